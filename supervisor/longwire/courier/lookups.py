"""The addresses of hosts: looked up in threads of our own, few at a time, shared and remembered for a while.

The system's lookup cannot be interrupted, and a tenant may own the name server that it waits for. So a
thread counts until it has ended, whoever still waits for it; each tenant may have only a few; and who finds
none free is `Busy`, which is not the target's fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from longwire.courier import asking
from longwire.courier.errors import Busy

MAX_LOOKUPS: Final = 32
"""Threads: each is a few system calls and a wait."""
MAX_PER_TENANT: Final = 4
"""So that it takes eight tenants to use them up. At 20 ms each, 100 hosts take half a second."""
MAX_WAITING: Final = 256
"""Posts that wait for a thread: as many as the courier has under way."""
LIFE_S: Final = 10.0
"""How long an address is taken for the same: below the shortest lives that names are commonly given, 30 s."""
MAX_KNOWN: Final = 1024
"""Hosts remembered; the one looked up longest ago is forgotten first."""
BUSY_S: Final = 1.0
"""When to come again: a lookup that hangs takes some seconds."""

LookUp = Callable[[str], list[str]]
"""Blocks, and returns the addresses of a host as text; raises OSError or UnicodeError."""
Found = list[str] | OSError


def of_system(host: str) -> list[str]:
    """Return the addresses that the system's resolver has for a host, in its order of preference."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Lookups(AbstractResolver):
    """aiohttp's resolver for all connections of the courier. Made and used in one loop."""

    def __init__(self, look_up: LookUp = of_system) -> None:
        self._look_up = look_up
        self._known: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Found]] = {}
        self._threads: Counter[str | None] = Counter()
        self._waiting: set[asyncio.Future[None]] = set()

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        """Return the host's addresses of the family.

        Raises:
            OSError: it has none, or they cannot be found out.
            Busy: too many are being looked up.
        """
        found = self._remembered(host) or await self._found_out(host)
        if isinstance(found, OSError):
            raise found
        results = [_result(host, address, port) for address in found]
        return [result for result in results if family in {socket.AF_UNSPEC, result["family"]}]

    async def close(self) -> None:
        """Forget everything; threads that still look up end by themselves, unheard."""
        self._known.clear()

    @property
    def threads(self) -> int:
        """How many lookups are under way, those included that nobody waits for any more."""
        return self._threads.total()

    def _remembered(self, host: str) -> list[str] | None:
        until, addresses = self._known.get(host, (0.0, []))
        return addresses if asyncio.get_running_loop().time() < until else None

    async def _found_out(self, host: str) -> Found:
        post = asking.current.get()
        while (under_way := self._under_way.get(host)) is None:
            if self._threads.total() < MAX_LOOKUPS and self._threads[post.tenant] < MAX_PER_TENANT:
                under_way = self._begun(host, post.tenant)
                break
            await self._one_ended(post)
        return await asyncio.shield(under_way)

    async def _one_ended(self, post: asking.Asking) -> None:
        """Wait until some lookup has ended; the post's own deadline ends it, too."""
        if len(self._waiting) >= MAX_WAITING:
            raise Busy("too many hosts are being looked up", retry_after_s=BUSY_S)
        ended = asyncio.get_running_loop().create_future()
        self._waiting.add(ended)
        post.is_queued = True
        try:
            await ended
        finally:
            self._waiting.discard(ended)
        post.is_queued = False

    def _begun(self, host: str, tenant: str | None) -> asyncio.Future[Found]:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Future[Found] = loop.create_future()

        def run() -> None:
            try:
                found: Found = self._look_up(host)
            except OSError as error:
                found = error
            except UnicodeError:  # not a name that DNS can have
                found = socket.gaierror(socket.EAI_NONAME, "not a host's name")
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(self._ended, host, tenant, found)

        try:
            threading.Thread(target=run, name="webhook lookup", daemon=True).start()
        except RuntimeError as error:  # the system's bound on threads
            raise Busy("no thread could be started", retry_after_s=BUSY_S) from error
        self._threads[tenant] += 1
        self._under_way[host] = under_way
        return under_way

    def _ended(self, host: str, tenant: str | None, found: Found) -> None:
        self._threads[tenant] -= 1
        if not self._threads[tenant]:
            del self._threads[tenant]
        if not isinstance(found, OSError):
            self._remember(host, found)
        self._under_way.pop(host).set_result(found)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def _remember(self, host: str, addresses: list[str]) -> None:
        self._known[host] = (asyncio.get_running_loop().time() + LIFE_S, addresses)
        self._known.move_to_end(host)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
