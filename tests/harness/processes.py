"""Programs started for a test: their output kept, their end awaited, their descendants found."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

COMMAND = str(Path(sys.executable).with_name("longwire"))
"""The installed command, beside the interpreter that runs the tests."""

STOP_S = 20.0


class Program:
    """A program, in a session of its own unless started otherwise; its output goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self._process = process
        self.output = output

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        output: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        has_own_session: bool = True,
    ) -> Program:
        """Start it."""
        with output.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=has_own_session,
            )
        return cls(process, output)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, once it is over."""
        return self._process.returncode

    def text(self) -> str:
        """What it wrote so far."""
        return self.output.read_text(errors="replace")

    def send(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def ended(self, *, deadline_s: float = STOP_S) -> int:
        """Return its exit code."""
        async with asyncio.timeout(deadline_s):
            return await self._process.wait()

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end; return its exit code and how many seconds it took."""
        begun = time.monotonic()
        self.send(signal.SIGCONT)
        self.send(number)
        return await self.ended(), time.monotonic() - begun

    async def kill(self) -> None:
        """End it at once."""
        self.send(signal.SIGKILL)
        await self.ended()

    def descendants(self) -> list[psutil.Process]:
        """Return every living process below it."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def is_alive(pid: int) -> bool:
    """Return whether a process runs or is stopped; a zombie is dead."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def memory(pid: int) -> bytes:
    """Return all of a process's own memory: what it can write to, which is where its objects are."""
    pieces: list[bytes] = []
    maps = Path(f"/proc/{pid}/maps").read_text()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as mem:
        for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
            mem.seek(int(start, 16))
            with suppress(OSError):  # it has given this piece back meanwhile
                pieces.append(mem.read(int(end, 16) - int(start, 16)))
    return b"".join(pieces)
