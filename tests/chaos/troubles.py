"""What can go wrong, a function each; all randomness is the campaign's."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from typing import Literal

import psutil

from chaos.campaign import Campaign, Trouble, is_there
from chaos.judges.facts import Span
from chaos.platform import burst
from harness.waiting import until
from longwire_connectors.simulator.admin_models import PlatformName
from longwire_connectors.simulator.fault_kinds import DingTalkOpenStatus, LarkDiscoveryStatus

_BURST_S = 0.2
"""About how long the way of a burst takes."""

_LOCK_S = 5.0
_ORPHANS_S = 2.0
"""T7 wants 0.1 s; this is for a machine that is busy with much else."""


async def child_killed(campaign: Campaign) -> None:
    """SIGKILL of any child, starting ones too, with events on their way."""

    async def kill() -> None:
        children = campaign.look_at_processes()
        if children:
            with suppress(ProcessLookupError):
                os.kill(campaign.rng.choice(children).pid, signal.SIGKILL)
                campaign.killed["child"] += 1

    await _amid_events(campaign, kill)


async def template_killed(campaign: Campaign) -> None:
    """SIGKILL of a template with events on their way; its children live on."""
    await _strike_template(campaign, signal.SIGKILL)


async def template_frozen(campaign: Campaign) -> None:
    """SIGSTOP of a template: it forks nothing and waits for nobody."""
    await _strike_template(campaign, signal.SIGSTOP)


async def _strike_template(campaign: Campaign, number: int) -> None:
    async def strike() -> None:
        present = (await campaign.longwire.status())["supervisor"]["templates"]
        templates = [template for template in present if template["pid"]]
        if templates:
            with suppress(ProcessLookupError):
                os.kill(campaign.rng.choice(templates)["pid"], number)
                campaign.killed["template"] += number == signal.SIGKILL

    await _amid_events(campaign, strike)


async def child_frozen(campaign: Campaign) -> None:
    """SIGSTOP of a child that has said hello; one that has not may take a minute, by design."""
    status = await campaign.longwire.status()
    ready = [account for account in status["accounts"] if account["connected_since"] is not None]
    if ready:
        account = campaign.rng.choice(ready)
        with suppress(ProcessLookupError):
            os.kill(account["pid"], signal.SIGSTOP)
            now = time.time()
            until_killed = Span(now, now + campaign.plan.settings.heartbeat_timeout_s)
            campaign.record.note("child stopped", account["account"], span=until_killed)


async def supervisor_killed(campaign: Campaign) -> None:
    """SIGKILL of the supervisor with events on their way, some children perhaps frozen; then the next one."""
    with campaign.record.during("supervisor killed"):
        await _kill_supervisor(campaign)
        await campaign.start()


async def supervisor_killed_before_it_could_commit(campaign: Campaign) -> None:
    """The same while another process holds the journal's lock, so that no event of the burst is on disk."""
    journal = campaign.longwire.folder / "var" / "journal.sqlite3"
    with campaign.record.during("supervisor killed"):
        with closing(sqlite3.connect(journal, timeout=_LOCK_S, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            await _kill_supervisor(campaign)
        await campaign.start()


async def _kill_supervisor(campaign: Campaign) -> None:
    orphans: list[psutil.Process] = []

    async def kill() -> None:
        orphans.extend(campaign.look_at_processes())
        await campaign.longwire.kill()
        campaign.killed["supervisor"] += 1

    await _amid_events(campaign, kill)

    async def gone() -> bool:
        return not any(is_there(process) for process in orphans)

    try:
        await until(gone, what="no child outlives the supervisor", deadline_s=_ORPHANS_S)
    except AssertionError as error:
        left = [f"{process} {process.cmdline()}" for process in orphans if is_there(process)]
        raise AssertionError(f"{error}: {left}") from None
    await asyncio.sleep(campaign.rng.uniform(0, 0.5))  # events come while nobody is there


async def connections_closed(campaign: Campaign) -> None:
    """Close frames from the platform, for one app or all of it."""
    await _drop(campaign, "close")


async def connections_cut(campaign: Campaign) -> None:
    """Cut TCP connections."""
    await _drop(campaign, "abort")


async def discovery_failing(campaign: Campaign) -> None:
    """Discovery answers 500 for a while, and nobody is connected."""
    for_s = campaign.rng.uniform(0.3, 2.5)
    await campaign.simulator.fault(LarkDiscoveryStatus(platform="lark", status=500, for_s=for_s))
    await campaign.simulator.fault(DingTalkOpenStatus(platform="dingtalk", status=500, for_s=for_s))
    await _drop(campaign, "abort")


async def subscriber_killed(campaign: Campaign) -> None:
    """SIGKILL of the subscriber with events on their way to it; then the next one."""

    async def kill() -> None:
        await campaign.reader.kill()
        campaign.killed["subscriber"] += 1

    await _amid_events(campaign, kill)
    await asyncio.sleep(campaign.rng.uniform(0, 0.5))  # events come while nobody is there
    await campaign.reader.open()


async def _amid_events(campaign: Campaign, strike: Callable[[], Awaitable[None]]) -> None:
    """Strike while a burst of events is on its way to the subscriber, so that there is something to lose."""
    async with asyncio.TaskGroup() as tasks:
        events = burst(campaign.simulator, campaign.crowd, campaign.rng, count=campaign.plan.burst)
        tasks.create_task(events, name="burst")
        await asyncio.sleep(campaign.rng.uniform(0, _BURST_S))  # a random moment is the point
        await strike()


async def _drop(campaign: Campaign, how: Literal["close", "abort"]) -> None:
    platform: PlatformName = campaign.rng.choice(["lark", "dingtalk"])
    apps = campaign.crowd.lark if platform == "lark" else campaign.crowd.dingtalk
    await campaign.simulator.drop(platform, app=campaign.rng.choice([*apps.values(), "*"]), how=how)


KILLS: list[Trouble] = [
    child_killed,
    supervisor_killed,
    supervisor_killed_before_it_could_commit,
    subscriber_killed,
    template_killed,
]

TROUBLES: list[Trouble] = [
    *KILLS,
    child_killed,
    subscriber_killed,
    child_frozen,
    template_frozen,
    connections_closed,
    connections_cut,
    discovery_failing,
]
"""Each as often as it stands here; more than half are kills."""
