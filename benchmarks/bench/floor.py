"""The floor: what heartbeats and requests cost a Python process that does nothing with them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bench.stage import PROGRAMS
from harness.processes import Program
from harness.waiting import until


class Floor(msgspec.Struct, frozen=True):
    """The running process."""

    pid: int
    endpoint: str
    """For a client; every request but `hello` gets as many ready-made accounts as it asks for."""


@asynccontextmanager
async def floor(folder: Path, *, beats_per_s: int) -> AsyncIterator[Floor]:
    """Run it, with a second process that sends it so many heartbeats a second, each from its own socket."""
    beats, requests = f"ipc://{folder}/beats", f"ipc://{folder}/requests"
    program = str(PROGRAMS / "floor.py")
    reader = await Program.start(
        [sys.executable, program, "read", beats, requests], output=folder / "read.log"
    )
    try:

        async def bound() -> bool:
            return (folder / "requests").exists()

        await until(bound, what="the floor listens")
        sender = await Program.start(
            [sys.executable, program, "beat", beats, str(beats_per_s)], output=folder / "beat.log"
        )
        try:
            yield Floor(reader.pid, requests)
        finally:
            await sender.kill()
    finally:
        await reader.kill()
