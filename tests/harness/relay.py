"""A relay between a client and a supervisor, whose connections a test can cut while both live on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_CHUNK_BYTES = 65_536


class Relay:
    """Listens at an endpoint of its own; each connection there becomes one to the supervisor's."""

    def __init__(self, folder: Path, target: str) -> None:
        self.endpoint = f"ipc://{folder}/relay.sock"
        self._target = target.removeprefix("ipc://")
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_deaf = False
        """Whether what the supervisor says is lost."""

    def cut(self) -> None:
        """End every connection; new ones are made as before."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends."""
        try:
            there, back = await asyncio.open_unix_connection(self._target)
        except OSError:  # no supervisor is there now
            writer.close()
            return
        ends = {writer, back}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry(reader, back, ends), name="relay there")
                tasks.create_task(self._carry(there, writer, ends, is_answer=True), name="relay back")
        finally:
            self._writers -= ends

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: set[asyncio.StreamWriter],
        *,
        is_answer: bool = False,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if not (is_answer and self.is_deaf):
                    writer.write(data)
                    await writer.drain()
        for end in ends:
            end.close()


@asynccontextmanager
async def relay(folder: Path, target: str) -> AsyncGenerator[Relay]:
    """Run one in this folder, to an endpoint."""
    made = Relay(folder, target)
    server = await asyncio.start_unix_server(made.serve, made.endpoint.removeprefix("ipc://"))
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await server.wait_closed()
