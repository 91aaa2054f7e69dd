"""Little servers of HTTP that do exactly what a test says, and remember what they were sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from socket import AF_INET, AF_INET6, AF_UNSPEC, AI_NUMERICHOST, AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DEADLINE_S = 10.0


class Received:
    """One request as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines if x)}
        self.body = body


class Line:
    """One connection to a peer."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peer = peer
        self.reader = reader
        self.writer = writer

    async def request(self) -> Received:
        """Read the next request; raises IncompleteReadError where there is none."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        received = Received(head, b"")
        received.body = await self.reader.readexactly(int(received.headers.get("content-length", "0")))
        self._peer.received.append(received)
        return received

    async def say(self, data: bytes) -> None:
        """Send; raises ConnectionError once the other side has had enough."""
        self.writer.write(data)
        self._peer.sent_bytes += len(data)
        await self.writer.drain()

    async def hang(self) -> None:
        """Say nothing until the other side is gone."""
        await self.reader.read(-1)


async def true(condition: Callable[[], object]) -> None:
    """Wait until it is, turn by turn of the loop."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  aiohttp and the kernel set no event
            await asyncio.sleep(0)


Talk = Callable[[Line], Awaitable[None]]


class Peer:
    """A server, and what it saw."""

    def __init__(self, talk: Talk, *, scheme: str) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.sent_bytes = 0
        self.port = 0
        self._scheme = scheme
        self._talk = talk
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._served(Line(self, reader, writer)))
        self._talks[task] = writer

    async def _served(self, line: Line) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._talk(line)
        line.writer.close()

    async def end(self) -> None:
        for task, writer in self._talks.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*self._talks, return_exceptions=True)
        closing = (writer.wait_closed() for writer in self._talks.values())
        await asyncio.gather(*closing, return_exceptions=True)


@asynccontextmanager
async def peer(
    talk: Talk, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Peer]:
    """Listen, and talk so with each connection."""
    made = Peer(talk, scheme="https" if tls else "http")
    server = await asyncio.start_server(made.take, host, port, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()


def answering(answer: bytes = OK) -> Talk:
    """Answer every request of a connection so."""

    async def talk(line: Line) -> None:
        while True:
            await line.request()
            await line.say(answer)

    return talk


def head(status: int, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return an answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


class Names(AbstractResolver):
    """A resolver of a test's own: each question for a name gets the next of its answers, then the last."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
    ) -> list[ResolveResult]:
        assert family == AF_UNSPEC
        self.asked.append(host)
        answers = self.answers[host.partition(".")[0]]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=AF_INET6 if ":" in address else AF_INET,
                proto=0,
                flags=AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        return
