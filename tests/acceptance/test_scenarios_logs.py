"""What an outage leaves in the log: bounded, counted, without secrets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import DingTalkOpenStatus, LarkDiscoveryStatus

PLUGINS = str(Path(__file__).parent.parent / "plugins")
APPS = {"bot": ("lark", "cli_00000000000000aa"), "ding": ("dingtalk", "dingscenario")}
ATTEMPTS = 30
"""More than are said one by one."""
FAST = {"backoff_initial_s": 0.02, "backoff_max_s": 0.2}


async def calls(simulator: Simulator) -> dict[str, int]:
    """Return how often each account asked for a connection."""
    found = {name: await simulator.app_state(*app) for name, app in APPS.items()}
    return {name: state.discovery_calls for name, state in found.items()}


def lines_of(lines: Sequence[dict[str, Any]], name: str, *, since: int) -> list[dict[str, Any]]:
    return [line for line in lines[since:] if line.get("account") == name]


async def test_b4_c1_an_outage_says_one_line_an_attempt_at_most_and_counts_what_it_leaves_out(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Twenty attempts are said one by one, then two a minute; the end of the outage is said at once.

    Alone: one attempt each ReconnectInterval exactly, for ever, neither growing nor spread; a server that
    closed at once was asked 8 times in 120 s.
    """
    longwire.configure(
        {
            "bot": lark(simulator.url, APPS["bot"][1], **FAST),
            "ding": dingtalk(simulator.url, APPS["ding"][1], **FAST),
        }
    )
    await longwire.start(log_level="info")
    await longwire.until_online()
    said_before, calls_before = len(longwire.log_lines()), await calls(simulator)
    begun = time.monotonic()
    down = [
        await simulator.fault(LarkDiscoveryStatus(platform="lark", status=503)),
        await simulator.fault(DingTalkOpenStatus(platform="dingtalk", status=503)),
    ]
    for platform, app in APPS.values():
        await simulator.drop(platform, app=app, how="abort")

    async def failed_often() -> bool:
        return all(n - calls_before[name] >= ATTEMPTS for name, n in (await calls(simulator)).items())

    await until(failed_often, what=f"{ATTEMPTS} attempts each")
    for fault in down:
        await simulator.clear_faults(fault)
    await longwire.until_online()
    attempts = {name: n - calls_before[name] for name, n in (await calls(simulator)).items()}
    minutes = (time.monotonic() - begun) // 60
    kept = (await longwire.client.call("logs.tail", {"lines": 10_000}))["lines"]
    await longwire.stop()  # which says what is not said yet
    lines = longwire.log_lines()
    for name, made in attempts.items():
        told = lines_of(lines, name, since=said_before)
        about = [line for line in told if line["event"] == "account_state"]
        failed = [line for line in about if line["state"] == "backoff"]
        assert len(told) - len([x for x in told if x["event"] == "lines_left_out"]) <= made + minutes + 3
        assert any(line["state"] == "online" for line in about), "however much was left out before"
        assert [line["attempt"] for line in failed[:10]] == [*range(1, 11)]
        assert all(line["retry_in_s"] <= FAST["backoff_max_s"] and line["text"] for line in failed)
        left_out = sum(line.get("left_out", 0) for line in told)
        assert left_out > 0
        assert len(failed) + left_out >= made, "what is not said is counted"
        assert len(lines_of(kept, name, since=0)) <= len(lines_of(lines, name, since=0))
    on_disk = (longwire.folder / "var" / "log.jsonl").read_text()
    assert [app for _, app in APPS.values() if f"secret-of-{app}" in longwire.log() + on_disk] == []


async def test_g10_a_child_that_repeats_itself_is_heard_and_counted_and_its_errors_are_not_hidden(
    longwire: Longwire,
) -> None:
    """A child that repeats itself is heard and counted and its errors are not hidden.

    Alone: in a process each nothing is shared; in one program a handler of 5 s held up the acks and pings of
    all (docs/platforms.md, L10).
    """
    longwire.configure({"bad": {"connector": "misbehaving"}})
    await longwire.start(log_level="info", env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    longwire.allowed |= {"Traceback"}
    await longwire.client.call("message.create", {"chat": "c", "text": "repeat"}, account="bad")

    async def heard() -> bool:
        return any(line["level"] == "error" for line in longwire.log_events("same_again"))

    await until(heard, what="the error is in the log")
    kept = (await longwire.client.call("logs.tail", {"account": "bad", "lines": 1000}))["lines"]
    await longwire.stop()
    repeated = [line for line in longwire.log_events("same_again") if line["level"] == "warning"]
    assert [line["number"] for line in repeated] == [*range(20)]
    assert [line["number"] for line in kept if line.get("number") is not None] == [*range(20)]
    assert [line["left_out"] for line in longwire.log_events("lines_left_out")] == [80]
    (error,) = [line for line in longwire.log_events("same_again") if line["level"] == "error"]
    assert "this one is news" in error["exception"]
    assert len(longwire.log_events("output")) == 100, "what is printed has more room: a traceback is 50 lines"
