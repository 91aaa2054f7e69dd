"""Further troubles: processes that stand still for a while, an operator at work, a platform at its worst."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from chaos import spoilt, switches, troubles
from chaos.campaign import Campaign, Trouble
from chaos.judges.facts import Span
from chaos.platform import LOOPBACK
from harness.processes import Program
from longwire import CommandError
from longwire_connectors.simulator.fault_kinds import FaultBase
from longwire_connectors.simulator.injections import DingTalkEvent

_SWITCHES = 4
"""Thrown together, at different apps."""

_DROPPED, _FOR_ALL = 0.7, 0.2
"""How often connections are dropped with it, and how often it hits every app."""

_PARKED_S = 5.0
"""To see that a wrong secret parks."""

_LOOK_S = 0.1


# Processes that stand still, and go on.


async def child_stopped(campaign: Campaign) -> None:
    """SIGSTOP of a child, and SIGCONT: sometimes before its heartbeat timeout, sometimes after."""
    accounts = (await campaign.longwire.status())["accounts"]
    children = {each["account"]: each["pid"] for each in accounts if each["pid"]}
    if children:
        account = campaign.rng.choice(sorted(children))
        for_s = campaign.rng.uniform(0.1, 1.5) * campaign.plan.settings.heartbeat_timeout_s
        campaign.beside(
            _stand_still(campaign, children[account], "child stopped", account, for_s=for_s),
            name=f"{account} stands still",
        )


async def template_stopped(campaign: Campaign) -> None:
    """SIGSTOP of a template, and SIGCONT some time later."""
    templates = (await campaign.longwire.status())["supervisor"]["templates"]
    pids = [template["pid"] for template in templates if template["pid"]]
    if pids:
        for_s = campaign.rng.uniform(0.5, 10.0)
        work = _stand_still(campaign, campaign.rng.choice(pids), "template stopped", for_s=for_s)
        campaign.beside(work, name="a template stands still")


async def _stand_still(campaign: Campaign, pid: int, what: str, *accounts: str, for_s: float) -> None:
    with suppress(psutil.NoSuchProcess), campaign.record.during(what, *accounts):
        process = psutil.Process(pid)
        process.suspend()
        try:
            await asyncio.sleep(for_s)  # the time itself is what is wanted
        finally:
            process.resume()


async def supervisor_stopped(campaign: Campaign) -> None:
    """SIGSTOP of the supervisor for longer than any child may be silent, and SIGCONT."""
    for_s = campaign.rng.uniform(0.1, 2.0) * campaign.plan.settings.heartbeat_timeout_s
    await _stop(campaign, campaign.longwire.program, "supervisor stopped", for_s=for_s)


async def platform_stopped(campaign: Campaign) -> None:
    """SIGSTOP of both platforms: connections stay open and nothing answers, for longer than is believed."""
    for_s = campaign.rng.uniform(1.9, 2.6) * campaign.plan.settings.link_timeout_s
    await _stop(campaign, campaign.simulator.program, "platform stopped", for_s=for_s)


async def _stop(campaign: Campaign, program: Program, what: str, *, for_s: float) -> None:
    with campaign.record.during(what):
        program.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)  # the time itself is what is wanted
        finally:
            program.send(signal.SIGCONT)


# An operator at work.


async def account_restarted(campaign: Campaign) -> None:
    """`accounts restart` of some, in whatever state they are."""
    for account in _some(campaign, most=3):
        await campaign.restart(account)


async def account_stopped(campaign: Campaign) -> None:
    """`accounts stop` of some, and `accounts start` a moment later."""
    chosen = _some(campaign, most=3)
    with campaign.record.during("command", *chosen):
        await _tell(campaign, "account.stop", chosen)
        await asyncio.sleep(campaign.rng.uniform(0.0, 2.0))
        await _tell(campaign, "account.start", chosen)


async def parked_restarted(campaign: Campaign) -> None:
    """`accounts restart` of whoever is parked."""
    for account in (await campaign.longwire.status())["accounts"]:
        if account["state"] == "parked":
            await campaign.restart(account["account"])


async def accounts_reloaded(campaign: Campaign) -> None:
    """SIGHUP with one account changed, one removed, and all that were missing added."""
    changed, removed = campaign.rng.sample(sorted(campaign.crowd.apps), 2)
    limit_mb = campaign.rng.randrange(300, 400)
    await campaign.reload(**{changed: {"memory_limit_mb": limit_mb}, removed: None})


async def secret_mistaken(campaign: Campaign) -> None:
    """SIGHUP with a wrong secret of one account, and with the right one a moment later."""
    account = campaign.rng.choice(sorted(campaign.crowd.apps))
    key = "app_secret" if account in campaign.crowd.lark else "client_secret"
    with campaign.record.during("wrong secret", account, may_park=True):
        await campaign.reload(**{account: {key: "mistaken-secret"}})
        await _until_parked(campaign, account)
    await campaign.reload()


async def file_spoilt(campaign: Campaign) -> None:
    """SIGHUP with a file that is wrong: nothing changes, so whatever happens to an account is not excused."""
    good = campaign.longwire.config.read_text()
    nonsense = ["[accounts", good + "\n[accounts.x]\nconnector = 'none'\n", good + "\n[none]\n"]
    campaign.longwire.config.write_text(campaign.rng.choice(nonsense))
    try:
        await campaign.reread(until_logged="reload_refused")
    finally:
        campaign.longwire.config.write_text(good)


async def _until_parked(campaign: Campaign, account: str) -> None:
    end = time.monotonic() + _PARKED_S
    while time.monotonic() < end:
        if (await campaign.longwire.account(account))["state"] == "parked":
            return
        await asyncio.sleep(_LOOK_S)


def _some(campaign: Campaign, *, most: int) -> list[str]:
    present = sorted(set(campaign.longwire.accounts) - {LOOPBACK})
    return campaign.rng.sample(present, campaign.rng.randint(1, most))


async def _tell(campaign: Campaign, method: str, accounts: Sequence[str]) -> None:
    for account in accounts:
        with suppress(CommandError):
            await campaign.longwire.client.call(method, account=account)


# A platform at its worst.


async def switches_thrown(campaign: Campaign) -> None:
    """Some of the simulators' faults for a while; who must connect to meet one often has to."""
    for _ in range(_SWITCHES):
        platform, kind, way = campaign.deck.deal()
        apps = campaign.crowd.lark if platform == "lark" else campaign.crowd.dingtalk
        is_for_all = not way.may_park and not way.wait_s and campaign.rng.random() < _FOR_ALL
        app = "*" if is_for_all else campaign.rng.choice(sorted(apps.values()))
        for_s = campaign.rng.uniform(0.5, 3.0) * campaign.plan.settings.link_timeout_s
        fault = switches.throw(kind, way, platform=platform, app=app, for_s=for_s)
        await _throw(campaign, fault, way)
        if kind not in switches.WHILE_CONNECTED and campaign.rng.random() < _DROPPED:
            await campaign.simulator.drop(platform, app=app, how=campaign.rng.choice(["close", "abort"]))


async def _throw(campaign: Campaign, fault: FaultBase, way: switches.Way) -> None:
    begun = time.time()
    await campaign.simulator.fault(fault)
    account = campaign.crowd.account_of.get(fault.app)
    apps = campaign.crowd.lark if fault.platform == "lark" else campaign.crowd.dingtalk
    campaign.record.note(
        f"switch {type(fault).__name__}",
        *([account] if account else apps),
        span=Span(begun, time.time() + (fault.for_s or 0.0)),
        may_park=way.may_park,
        wait_s=way.wait_s,
    )


async def frames_spoilt(campaign: Campaign) -> None:
    """Frames that cannot be read, to every app."""
    for app in campaign.crowd.lark.values():
        await campaign.simulator.inject_lark(spoilt.lark_frame(app, campaign.rng))
    for app in campaign.crowd.dingtalk.values():
        await campaign.simulator.inject_dingtalk(spoilt.dingtalk_frame(app, campaign.rng))


async def connections_expired(campaign: Campaign) -> None:
    """DingTalk asks some for another connection."""
    apps = sorted(campaign.crowd.dingtalk.values())
    for app in campaign.rng.sample(apps, campaign.rng.randint(1, len(apps))):
        await campaign.simulator.inject_dingtalk(DingTalkEvent(app=app, kind="disconnect"))


STANDSTILLS: list[Trouble] = [child_stopped, template_stopped, supervisor_stopped, platform_stopped]
OPERATIONS: list[Trouble] = [
    account_restarted,
    account_stopped,
    parked_restarted,
    accounts_reloaded,
    secret_mistaken,
    file_spoilt,
]
WEATHER: list[Trouble] = [
    switches_thrown,
    switches_thrown,
    switches_thrown,
    frames_spoilt,
    connections_expired,
    troubles.connections_closed,
    troubles.connections_cut,
    troubles.discovery_failing,
]

EVERYTHING: list[Trouble] = [*troubles.KILLS, troubles.child_killed, *STANDSTILLS, *OPERATIONS, *WEATHER]
"""All that can happen, each as often as it stands here."""
