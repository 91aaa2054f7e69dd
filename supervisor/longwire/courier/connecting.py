"""Connections that go nowhere they may not, and bring no more than they may.

What is connected to is exactly what was checked: a name's addresses are filtered when they are looked up, and
the address itself is looked at once more when its socket is made, which is also what stands between us and an
address that is written in a URL. There is nothing between that look and the `connect` with the same address,
so a name that changes its mind (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from longwire.courier import addresses, asking
from longwire.courier.errors import Busy, Refused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

IDLE_S: Final = 15.0
"""How long an idle connection is kept: aiohttp's number, below those of common gateways, so that they seldom
close one in the moment in which it is used."""
MAX_RECEIVED_BYTES: Final = 256 * 1024
"""Of what comes after the last that was sent, heads, interim answers, chunks and TLS included: an answer of
64 KiB with the longest head that aiohttp reads."""
BUSY_S: Final = 1.0
"""When to come again where the system has no socket."""

_RECEIVE_BUFFER_BYTES: Final = 32 * 1024
"""Linux doubles it. What is read at once is parsed at once, and the loop stands still meanwhile."""
AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]


class Sockets:
    """How many sockets are open."""

    def __init__(self) -> None:
        self.open = 0


class Gate(AbstractResolver):
    """Where the connections of one pool may go: a resolver and a maker of sockets for aiohttp.

    There is a pool for each policy: an idle connection that one target was allowed must not be another's.
    """

    def __init__(self, resolver: AbstractResolver, sockets: Sockets, *, is_private_allowed: bool) -> None:
        self._resolver = resolver
        self._sockets = sockets
        self._is_private_allowed = is_private_allowed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        """Return those of a host's addresses that may be connected to; raises Refused where none may."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if self._is_allowed(result["host"])]
        if found and not allowed:
            raise Refused(f"{host} has no public address, and allow_private is not set")
        if not allowed:
            raise socket.gaierror(socket.EAI_NONAME, "the host has no address")
        return allowed

    async def close(self) -> None:
        """Leave the resolver, which is shared, to its owner."""

    def socket(self, info: AddrInfo) -> socket.socket:
        """Return a socket for exactly this address; raises OSError with the reason in the asking post."""
        post = asking.current.get()
        family, kind, proto, _, address = info
        if not self._is_allowed(str(address[0])):
            post.trouble = Refused(f"{address[0]} is not a public address, and allow_private is not set")
            raise PermissionError(errno.EACCES, "not a public address")
        post.opened += 1
        try:
            return BoundedSocket(self._sockets, family=family, kind=kind, proto=proto)
        except OSError as error:
            post.trouble = Busy(f"no socket: {error.strerror}", retry_after_s=BUSY_S)
            raise

    def _is_allowed(self, text: str) -> bool:
        address = addresses.parsed(text)
        return address is not None and (self._is_private_allowed or addresses.is_public(address))


class BoundedSocket(socket.socket):
    """A socket that is counted while it is open, and closes on who sends more than an answer.

    The bound is here because it holds for everything that a peer can think of: heads, interim answers without
    end, trailers, data that nobody asked for on an idle connection.
    """

    __slots__ = ("_received_bytes", "_sockets")

    def __init__(self, sockets: Sockets, *, family: int, kind: int, proto: int) -> None:
        super().__init__(family, kind, proto)
        self._received_bytes = 0
        self._sockets: Sockets | None = sockets
        sockets.open += 1
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send, after which an answer may come."""
        self._received_bytes = 0
        return super().send(data, flags)

    def sendmsg(self, *args: Any) -> int:
        """Likewise; newer loops send several pieces at once."""
        self._received_bytes = 0
        return super().sendmsg(*args)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive; raises ConnectionAbortedError past the bound."""
        data = super().recv(bufsize, flags)
        self._count(len(data))
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Likewise; TLS reads this way."""
        received = super().recv_into(buffer, nbytes, flags)
        self._count(received)
        return received

    def close(self) -> None:
        """Close, and be counted no more."""
        super().close()
        sockets, self._sockets = self._sockets, None
        if sockets is not None:
            sockets.open -= 1

    def _count(self, received: int) -> None:
        self._received_bytes += received
        if self._received_bytes > MAX_RECEIVED_BYTES:
            raise ConnectionAbortedError(errno.ECONNABORTED, "more than an answer")


def session(
    gate: Gate, *, tls: ssl.SSLContext, headers: dict[str, str], is_kept: bool
) -> aiohttp.ClientSession:
    """Return a pool of connections through a gate; made in a running loop.

    There is no bound on how many are used at once: whoever posts holds a permit. No cookies, no proxy and no
    password of the environment, nothing decompressed.

    Args:
        gate: where they go.
        tls: what they trust.
        headers: of every post.
        is_kept: whether a connection is used again.
    """
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=gate,
        socket_factory=gate.socket,
        ssl=tls,
        use_dns_cache=False,
        force_close=not is_kept,
        keepalive_timeout=IDLE_S if is_kept else None,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        auto_decompress=False,
        trust_env=False,
    )
