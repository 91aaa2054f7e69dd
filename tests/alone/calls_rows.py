"""Rows D: lark-oapi's own client in plain code, in loops, threads and forks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time

import psutil

from alone.stage import HERE, Stage, stage
from harness.processes import Program
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import ApiHang

WATCHED_S = 20.0


async def _program(it: Stage, what: str) -> Program:
    command = [sys.executable, str(HERE / "lark_calls.py"), it.simulator.url, it.app, what]
    program = await Program.start(command, output=it.folder / what)
    it.bots.append(program)

    async def has_spoken() -> bool:
        return "{" in program.text()

    await until(has_spoken, what=f"{what} says something", deadline_s=180)
    return program


async def d1() -> str:
    """Eight threads, 64 calls each."""
    async with stage("lark") as it:
        return (await _program(it, "d1")).text().strip()[-300:]


async def d4() -> str:
    """A call hangs when the program ends; it is also what D2 would cancel."""
    async with stage("lark") as it:
        await it.simulator.fault(ApiHang(platform="lark", call="any"))
        program = await _program(it, "d4")
        begun = time.monotonic()
        with contextlib.suppress(TimeoutError):
            code = await program.ended(deadline_s=WATCHED_S)
            return f"exit {code} after {time.monotonic() - begun:.1f} s"
        return f"alive {WATCHED_S:g} s after its end"


async def d5() -> str:
    """Inside a running loop, and on another thread."""
    async with stage("lark") as it:
        return (await _program(it, "d5")).text().strip()[-600:]


async def d7() -> str:
    """A fork of a program with a connection, which is then killed."""
    async with stage("lark") as it:
        program = await _program(it, "d7")
        (child,) = psutil.Process(program.pid).children()
        await program.kill()
        await asyncio.sleep(10)
        left = (await it.state()).connections_open
        os.kill(child.pid, signal.SIGKILL)
        return f"connections 10 s after the parent's SIGKILL: {left}"


ROWS = {"D1": d1, "D4": d4, "D5": d5, "D7": d7}
