"""A test's hand on its targets."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Self

import msgspec

from harness.processes import Program
from harness.targets.behaviour import Answer, Arrival, Behaviour, Tally
from harness.targets.control import Arrivals, Behave, Cut, Open, Order, Release, Tallies, read, write
from harness.waiting import DEADLINE_S, until

_TESTS = Path(__file__).parents[2]
_ORDER_S = 30.0
"""For an answer to an order on a busy machine, also one with a hundred thousand arrivals in it."""


class Targets:
    """Steers the process of targets; used as a context, which ends the process.

    Orders are given by one task at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._urls: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        """Start the process."""
        path = self._folder / "targets.sock"
        command = [sys.executable, "-m", "harness.targets", str(path)]
        env = {"PYTHONPATH": str(_TESTS)}
        self.program = await Program.start(command, output=self._folder / "targets.log", env=env)

        async def connected() -> bool:
            assert self.program.returncode is None, self.program.text()
            try:
                self._reader, self._writer = await asyncio.open_unix_connection(path)
            except (FileNotFoundError, ConnectionRefusedError):  # it is there before it is listened to
                return False
            return True

        await until(connected, what="the targets' process listens")
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, which it does by itself when nobody steers it any more."""
        self._writer.close()
        try:
            assert await self.program.ended() == 0, self.program.text()
        finally:
            if self.program.returncode is None:
                await self.program.kill()

    async def open(self, name: str, behaviour: Behaviour | None = None, *, is_recording: bool = True) -> str:
        """Make a target that answers 200 unless told otherwise; return its URL."""
        port = await self._do(Open(name, behaviour or Answer(), is_recording), int)
        self._urls[name] = f"http://127.0.0.1:{port}/hook"
        return self._urls[name]

    def url(self, name: str) -> str:
        """Return the URL of a target that was made."""
        return self._urls[name]

    async def behave(self, name: str, behaviour: Behaviour) -> None:
        """Let it behave so from the next request on."""
        await self._do(Behave(name, behaviour), None)

    async def cut(self, name: str) -> None:
        """Reset all of its connections."""
        await self._do(Cut(name), None)

    async def release(self, name: str) -> None:
        """Let it give the answers that it holds."""
        await self._do(Release(name), None)

    async def arrivals(self, name: str, *, begin: int = 0) -> list[Arrival]:
        """Return what arrived there, oldest first, without the first `begin`."""
        return await self._do(Arrivals(name, begin), list[Arrival])

    async def tallies(self) -> dict[str, Tally]:
        """Return what all have seen, by name."""
        return await self._do(Tallies(), dict[str, Tally])

    async def tally(self, name: str) -> Tally:
        """Return what one has seen."""
        return (await self.tallies())[name]

    async def until_arrived(self, name: str, count: int, *, deadline_s: float = DEADLINE_S) -> list[Arrival]:
        """Wait until so many requests have arrived at a target; return all that have."""

        async def arrived() -> bool:
            return (await self.tally(name)).arrivals >= count

        await until(arrived, what=f"{count} requests arrived at {name}", deadline_s=deadline_s)
        return await self.arrivals(name)

    async def _do(self, order: Order, kind: Any) -> Any:
        write(self._writer, order)
        async with asyncio.timeout(_ORDER_S):
            return msgspec.msgpack.decode(await read(self._reader), type=kind)
