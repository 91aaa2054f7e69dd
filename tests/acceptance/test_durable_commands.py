"""Commands that are accepted durably, through the installed command, the real SDKs and SIGKILL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.scenario import everything
from harness.simulator import Simulator
from harness.waiting import until
from longwire import CommandError
from longwire_connectors.simulator.fault_kinds import Slow
from longwire_protocol.errors import RetCode
from longwire_protocol.messages import Reply, Request

LARK, DING = "cli_00000000000000aa", "dinga"
QUICK = {"backoff_initial_s": 0.05, "backoff_max_s": 0.5, "stable_after_s": 1.0}
UNDER_WAY_S = 600.0
"""The platform does not answer for so long; nobody waits for it."""


async def ask(longwire: Longwire, method: str, account: str, params: dict[str, Any], **more: Any) -> Reply:
    """Return the reply as it came."""
    request = Request(id=0, method=method, params=params, account=account, **more)
    return await longwire.client._calls.ask(request, deadline_s=60)


async def until_ended(longwire: Longwire, receipt: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = await longwire.client.call("message.get", {"receipt": receipt})
        return found if found["ended_at"] else None

    return await until(look, what="the command has ended")


async def test_who_does_not_wait_gets_a_receipt_that_tells_what_became_of_it(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, LARK)}, defaults=QUICK)
    await longwire.start()
    await longwire.until_online()
    params = {"chat": "oc_1", "text": "hello"}
    reply = await ask(longwire, "message.create", "bot", params, wait_ms=0, idempotency_key="k1")
    assert (reply.status, reply.retcode) == ("accepted", 0)
    ended = await until_ended(longwire, reply.data["receipt"])
    assert (ended["state"], ended["account"], ended["attempts"]) == ("done", "bot", 1)
    (sent,) = (await simulator.app_state("lark", LARK)).messages
    assert sent.body["uuid"] == reply.data["receipt"]
    assert ended["data"] == {"message_id": sent.message_id}
    (event,) = [event for event in await everything(longwire) if event.type == "delivery.updated"]
    assert (event.raw["receipt"], event.raw["state"], event.message_id) == (
        reply.data["receipt"],
        "done",
        sent.message_id,
    )
    outbox = (await longwire.status())["supervisor"]["outbox"]
    assert (outbox["done"], outbox["queued"], outbox["under_way"]) == (1, 0, 0)
    again = await ask(longwire, "message.create", "bot", params, idempotency_key="k1")
    assert (again.status, again.data) == ("ok", ended["data"])
    with pytest.raises(CommandError) as stranger:
        await longwire.client.call("message.get", {"receipt": reply.data["receipt"]}, tenant="other")
    assert stranger.value.retcode == RetCode.BAD_PARAM


async def test_a_killed_supervisor_goes_on_with_what_it_accepted_and_repeats_nothing_that_cannot_be_told(
    simulator: Simulator, longwire: Longwire
) -> None:
    accounts = {"lark": lark(simulator.url, LARK), "ding": dingtalk(simulator.url, DING)}
    longwire.configure(accounts, defaults=QUICK)
    await longwire.start()
    await longwire.until_online()
    for platform in ("lark", "dingtalk"):
        await simulator.fault(Slow(platform=platform, step="api", delay_s=UNDER_WAY_S))  # type: ignore[arg-type]
    receipts = {}
    for name in accounts:
        for text in ("first", "second"):
            params = {"chat": f"{'cid' if name == 'ding' else 'oc_'}1", "text": text}
            reply = await ask(longwire, "message.create", name, params, wait_ms=0, deadline_ms=300_000)
            receipts[name, text] = reply.data["receipt"]

    async def are_under_way() -> bool:
        return (await longwire.status())["supervisor"]["outbox"]["under_way"] == 2

    await until(are_under_way, what="the first of each is under way")
    await longwire.kill()
    await simulator.clear_faults()
    await longwire.start()
    ended = {key: await until_ended(longwire, receipt) for key, receipt in receipts.items()}
    states = {key: (found["state"], found["attempts"]) for key, found in ended.items()}
    assert states == {
        ("lark", "first"): ("done", 2),
        ("lark", "second"): ("done", 1),
        ("ding", "first"): ("uncertain", 1),
        ("ding", "second"): ("done", 1),
    }
    uuids = [message.body["uuid"] for message in (await simulator.app_state("lark", LARK)).messages]
    assert uuids == [receipts["lark", "first"], receipts["lark", "second"]]
    assert len((await simulator.app_state("dingtalk", DING)).messages) == 1


async def test_a_parked_account_refuses_at_once_and_a_stop_leaves_what_waits_for_the_next_start(
    simulator: Simulator, longwire: Longwire
) -> None:
    await simulator.register("lark", app="cli_parked", secret="another one")
    accounts = {"bot": lark(simulator.url, LARK), "parked": lark(simulator.url, "cli_parked")}
    longwire.configure(accounts, defaults=QUICK)
    await longwire.start()
    await longwire.until_online("bot")
    await longwire.until_state("parked", "parked")
    params = {"chat": "oc_1", "text": "hello"}
    refused = await ask(longwire, "message.create", "parked", params)
    assert (refused.status, refused.retcode) == ("failed", RetCode.ACCOUNT_NOT_ONLINE)
    slow = await simulator.fault(Slow(platform="lark", step="api", delay_s=UNDER_WAY_S))
    waiting = [
        asyncio.ensure_future(ask(longwire, "message.create", "bot", params, deadline_ms=300_000))
        for _ in range(2)
    ]

    async def one_waits() -> bool:
        return (await longwire.account("bot"))["queued"] == 1

    await until(one_waits, what="one is under way and one waits")
    longwire.program.send(15)
    replies = await asyncio.gather(*waiting)
    assert [reply.status for reply in replies] == ["accepted", "accepted"]
    await longwire.program.ended()
    await longwire._disconnect()
    await simulator.clear_faults(slow)
    await longwire.start()
    for reply in replies:
        assert (await until_ended(longwire, reply.data["receipt"]))["state"] == "done"
    assert len((await simulator.app_state("lark", LARK)).messages) == 2
