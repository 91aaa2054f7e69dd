"""All targets of one process, each at a port of its own, and the socket by which a test steers them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.targets.behaviour import Behaviour, Tally, Unaccepting
from harness.targets.connection import Connection, Target
from harness.targets.control import Arrivals, Behave, Cut, Open, Order, Release, Tallies, read_order, write

_BACKLOG = 1_024
_ADDRESS = "127.0.0.1"


class Host:
    """Has the targets and does what it is told, until whoever tells it has gone."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._targets: dict[str, Target] = {}
        self._servers: list[asyncio.Server] = []

    async def serve(self, path: Path) -> None:
        """Take one test's orders and end with it, so that no process is left behind a test that died."""
        over = asyncio.Event()

        async def steered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    write(writer, await self._do(await read_order(reader)))
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                over.set()

        server = await asyncio.start_unix_server(steered, path)
        await over.wait()
        server.close()
        for it in self._servers:
            it.close()

    async def _do(self, order: Order) -> Any:
        match order:
            case Open(name, behaviour, is_recording):
                return await self._open(name, behaviour, is_recording=is_recording)
            case Behave(name, behaviour):
                return self._targets[name].behave(behaviour)
            case Arrivals(name, begin):
                return self._targets[name].arrivals[begin:]
            case Tallies():
                tallies: dict[str, Tally] = {name: it.tally for name, it in self._targets.items()}
                return tallies
            case Cut(name):
                for connection in tuple(self._targets[name].connections):
                    connection.reset()
                return None
            case Release(name):
                return self._targets[name].release()

    async def _open(self, name: str, behaviour: Behaviour, *, is_recording: bool) -> int:
        target = self._targets[name] = Target(behaviour, is_recording=is_recording)
        listening = self._stack.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_ADDRESS, 0))
        if isinstance(behaviour, Unaccepting):
            self._fill(listening)
        else:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: Connection(target), sock=listening, backlog=_BACKLOG)
            self._servers.append(server)
        port: int = listening.getsockname()[1]
        return port

    def _fill(self, listening: socket.socket) -> None:
        """Fill its backlog, which has one place: the kernel drops the SYN of whoever comes after that."""
        listening.listen(0)
        for _ in range(2):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
