"""The evidence of real processes that hang."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from harness.waiting import until
from longwire import procfs
from longwire.evidence import Condition
from longwire.inquest import Inquest
from longwire.process import Process, spawn
from longwire_connectors import stacks as armed
from longwire_protocol import stacks

HANGS = {
    "sleep": (Condition.BLOCKED, "time.sleep(600)"),
    "spin": (Condition.SPINNING, "while True: pass"),
    "gil": (Condition.SPINNING, "all(itertools.repeat(True))"),
}
PROGRAM = """
import itertools, time
{arm}
def hangs():
    print("begins", flush=True)
    {code}
hangs()
"""
ARM = "from longwire_connectors import stacks; stacks.arm()"


@asynccontextmanager
async def running(code: str, *, is_armed: bool = True) -> AsyncIterator[Process]:
    """Run this in a fresh process that says when it begins."""
    program = PROGRAM.format(arm=ARM if is_armed else "", code=code)
    ended = asyncio.Event()
    process = spawn(
        lambda _: [sys.executable, "-c", program],
        environment={**os.environ},
        on_exit=lambda _: ended.set(),
    )
    try:
        assert (await asyncio.to_thread(os.read, process.log_fd, 100)).startswith(b"begins")
        yield process
    finally:
        process.signal(signal.SIGKILL)
        async with asyncio.timeout(20):
            await ended.wait()
        os.close(process.log_fd)


async def suspected(process: Process) -> Inquest:
    """Return an inquest in which the process was asked: it has just begun, and may want a CPU at first."""
    inquest = Inquest(process)

    async def is_asked() -> bool:
        inquest.suspect()
        return inquest.condition is not Condition.STARVED

    await until(is_asked, what="it is not called starved")
    return inquest


@pytest.mark.parametrize("how", HANGS)
async def test_a_process_that_hangs_tells_what_it_does_and_where(how: str) -> None:
    expected, code = HANGS[how]
    async with running(code) as process:
        inquest = await suspected(process)

        async def is_clear() -> bool:
            inquest.look()
            findings = inquest.findings()
            return findings.condition is expected and findings.stacks is not None

        await until(is_clear, what=f"it is {expected} and has written its stacks")
        found = inquest.findings()
    assert found.stacks is not None
    assert "in hangs" in found.stacks


async def test_stacks_are_those_of_the_last_time_they_were_asked_for() -> None:
    async with running(HANGS["sleep"][1]) as process:
        inquest = await suspected(process)
        for _ in range(3):
            inquest.suspect()

            async def are_there() -> bool:
                return inquest.findings().stacks is not None

            await until(are_there, what="stacks")
        found = inquest.findings().stacks
        assert Inquest(process).findings().stacks is None, "nobody asked in this silence"
    assert found is not None
    assert found.count("in hangs") == 1


async def test_a_stopped_process_is_called_stopped() -> None:
    async with running(HANGS["spin"][1]) as process:
        process.signal_alone(signal.SIGSTOP)
        inquest = Inquest(process)

        async def is_stopped() -> bool:
            inquest.look()
            return inquest.condition is Condition.STOPPED

        await until(is_stopped, what="it is stopped")


async def test_a_process_that_does_not_handle_the_signal_is_not_sent_it() -> None:
    async with running(HANGS["sleep"][1], is_armed=False) as process:
        assert not procfs.catches(process.pid, stacks.SIGNAL)
        inquest = await suspected(process)

        async def is_asleep() -> bool:
            inquest.look()
            return inquest.condition is Condition.BLOCKED

        await until(is_asleep, what="it is there, and asleep")
        assert inquest.findings().stacks is None


async def test_of_a_process_that_is_gone_nothing_is_known_and_nothing_fails() -> None:
    async with running("pass") as process:

        async def is_gone() -> bool:
            return procfs.read(process.pid) is None

        await until(is_gone, what="it has ended and was waited for")
        inquest = Inquest(process)
        inquest.suspect()
        assert inquest.look() is None
        found = inquest.findings()
    assert (found.condition, found.proc, found.stacks) == (None, None, None)


def test_where_there_is_no_memory_to_write_into_stacks_go_into_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registered: list[int] = []
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(
        "faulthandler.register", lambda _number, *, file, all_threads: registered.append(file * all_threads)
    )
    armed.arm()
    assert registered == [2]
