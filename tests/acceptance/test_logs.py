"""`longwire logs`, as it is needed at night."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire
from harness.processes import COMMAND, Program
from harness.waiting import until

PLUGINS = str(Path(__file__).parent.parent / "plugins")
TOKEN = "token-that-nobody-may-see"
LIMIT_BYTES = 16 * 1024 * 1024


async def start(longwire: Longwire) -> None:
    longwire.configure(
        {
            # Its loop stands still while it floods, for as long as the supervisor takes to redact 8 MiB.
            "bad": {
                "connector": "misbehaving",
                "token": TOKEN,
                "tenant": "bad-inc",
                "heartbeat_timeout_s": 60.0,
            },
            "good": {"connector": "loopback", "tenant": "good-inc"},
        },
        defaults={"backoff_initial_s": 0.1},
    )
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()


class Reader:
    """`longwire logs --json` and what it printed."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        whole, _, _ = self.program.text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def has(self, event: str, **fields: Any) -> bool:
        """Whether a line of this event with these fields was printed."""
        return any(line["event"] == event and fields.items() <= line.items() for line in self.lines)

    async def until(self, event: str, **fields: Any) -> None:
        """Wait for such a line."""

        async def look() -> bool:
            return self.has(event, **fields)

        await until(look, what=f"{event} {fields} is printed")

    async def until_said(self, text: str) -> None:
        """Wait for a text that is no line of the log."""

        async def look() -> bool:
            return f"longwire: {text}" in self.program.text()

        await until(look, what=f"{text!r} is said")


@asynccontextmanager
async def reading(longwire: Longwire, *arguments: str) -> AsyncIterator[Reader]:
    """Run the verb in the background; end it by Ctrl-C, which is no failure."""
    command = [COMMAND, "-c", str(longwire.config), "logs", "--json", *arguments]
    output = longwire.folder / f"reader-{'-'.join(arguments)}.log"
    program = await Program.start(command, output=output)
    yield Reader(program)
    program.send(signal.SIGINT)
    assert await program.ended() == 0, program.text()


async def read(longwire: Longwire, *arguments: str) -> Reader:
    """Run the verb to its end."""
    async with reading(longwire, *arguments) as reader:
        assert await reader.program.ended() == 0, reader.program.text()
    return reader


async def test_an_account_is_followed_through_its_restart(longwire: Longwire) -> None:
    await start(longwire)
    async with reading(longwire, "-f", "good") as reader:
        await reader.until("child_ready", incarnation=1)
        await longwire.client.call("account.restart", account="good")
        await reader.until("account_restarts", reason="operator")
        await reader.until("child_exited", incarnation=1)
        await reader.until("child_ready", incarnation=2)
        await longwire.client.call("account.restart", account="bad")
        await longwire.until_online()
        await longwire.client.call("account.stop", account="good")
        await reader.until("account_state", state="stopped")
    assert {line["account"] for line in reader.lines} == {"good"}
    times = [line["time"] for line in reader.lines]
    assert times == sorted(set(times))


async def test_a_follower_goes_on_across_a_kill_and_a_restart_of_the_supervisor(longwire: Longwire) -> None:
    await start(longwire)
    async with reading(longwire, "-f") as reader:
        await reader.until("account_state", account="bad", state="online")
        before = len(reader.lines)
        await longwire.kill()
        await longwire.start(env={"PYTHONPATH": PLUGINS})
        await reader.until_said("the supervisor was restarted")
        await longwire.until_online()
        await reader.until("child_started", account="good", incarnation=2)
        await longwire.stop()
        await longwire.start(env={"PYTHONPATH": PLUGINS})
        await reader.until("child_started", account="good", incarnation=3)
    assert reader.has("supervisor_stopped")
    assert sum(line["event"] == "supervisor_started" for line in reader.lines) == 3
    assert reader.lines[before]["event"] == "supervisor_started"
    times = [line["time"] for line in reader.lines]
    assert times == sorted(set(times))


async def test_what_was_said_before_a_kill_can_be_read_afterwards(longwire: Longwire) -> None:
    await start(longwire)
    await longwire.kill()
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    reader = await read(longwire, "good")
    assert reader.has("child_started", incarnation=1)


@pytest.mark.timeout(240)
async def test_g10_a_child_that_floods_its_log_pushes_out_nobody_elses_lines(longwire: Longwire) -> None:
    """The neighbours' lines stay, however much one writes.

    Alone: in a process each nothing is shared; in one program a handler of 5 s held up the acks and pings of
    all (docs/platforms.md, L10).
    """
    await start(longwire)
    for _ in range(2):
        params = {"chat": "c", "text": "flood widely"}  # some 8 MiB each time, and 8 are kept in all
        await longwire.client.call("message.create", params, account="bad", deadline_s=30)
        await longwire.client.call("account.stop", account="bad")
        await longwire.until_state("bad", "stopped")
        await longwire.client.call("account.start", account="bad")
        await longwire.until_state("bad", "online")
    reader = await read(longwire, "-n", "10000")
    # As many as there are, or as fit into a reply: how many are kept depends on how long the flood took.
    assert re.search(r"\d+ lines before these (were dropped|do not fit)", reader.program.text())
    assert any(line["event"].startswith("flood") and line["incarnation"] == 2 for line in reader.lines)
    assert (await read(longwire, "good")).has("child_started", incarnation=1)
    said = await longwire.client.call("logs.tail", {"account": "bad", "lines": 0})
    assert said["dropped"] > 0
    kept = await longwire.client.call("logs.tail", {"after": f"{said['supervisor_id']}-0-0", "lines": 20})
    # What the supervisor says of the one that floods is there, too.
    events = [(line["account"], line["event"]) for line in kept["lines"] if line.get("incarnation") == 1]
    assert {("bad", "child_started"), ("good", "child_started"), ("bad", "child_ready")} <= {*events}
    assert (await read(longwire)).lines[-1]["event"] == "account_state"
    on_disk = longwire.folder / "var" / "log.jsonl"
    await longwire.stop()
    assert on_disk.stat().st_size <= LIMIT_BYTES
    for path in (on_disk, *longwire.folder.glob("reader-*")):
        assert TOKEN not in path.read_text(errors="replace")
    assert "with [redacted] ..." in on_disk.read_text()


async def test_a_tenant_reads_the_lines_of_its_own_accounts_alone(longwire: Longwire) -> None:
    await start(longwire)
    lines = (await longwire.client.call("logs.tail", tenant="good-inc"))["lines"]
    assert {line["account"] for line in lines} == {"good"}


async def test_following_makes_no_line_of_its_own(longwire: Longwire) -> None:
    await start(longwire)
    first = await longwire.client.call("logs.tail")
    async with reading(longwire, "-f") as reader:
        await reader.until("account_state", account="good", state="online")
        after = await longwire.client.call("logs.tail", {"after": first["cursor"], "wait_ms": 1500})
    assert [
        line for line in after["lines"] if "account" not in line
    ] == []  # a busy machine delays heartbeats
