"""The connection behind a blocking client: made at its first use, by a task on the background loop."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from longwire_protocol.background import Background, background
from longwire_protocol.client import Client
from longwire_protocol.errors import ClientClosed, ClientForked

T = TypeVar("T")

_log = logging.getLogger("longwire.client")

_PROGRAM = 4
"""The program's frame, counted from the warning's: `run` and a public method are between them."""

_CLOSED = "the client was closed"


class BlockedLoopWarning(RuntimeWarning):
    """A blocking call on a thread whose event loop stands still meanwhile."""


class Session:
    """One connection and what it is made by; it may be made more than once until it comes about."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._background: Background | None = None
        self._life: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Client]
        self._leaving = asyncio.Event()
        self.is_left = False
        self.is_inherited = False
        """Whether it belongs to the parent of this process, a fork."""

    def run(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Return what the work returns; block until then. See `Background.wait`.

        Raises:
            SupervisorUnreachable: no connection came about.
            ClientClosed: the session is over.
            ClientForked: it is the parent's.
        """
        if self.is_inherited:
            raise ClientForked("made before a fork; the child of the fork must make its own")
        self._background = background()
        if not self._background.is_own_thread():
            _warn_of_a_loop()
        return self._background.wait(self._do(work), owner=self)

    def soon(self, act: Callable[[], None]) -> None:
        """Have it called on the loop, in the order of calls; without waiting."""
        if self.is_inherited:
            raise ClientForked("made before a fork; the child of the fork must make its own")
        if self._background is not None:
            self._background.soon(act)

    def cancel(self) -> None:
        """Cancel all that waits for it."""
        if self._background is not None and not self.is_inherited:
            self._background.cancel(self)

    def close(self) -> None:
        """Leave, and return when that is done."""
        self.is_left = True
        if self._background is not None and not self.is_inherited:
            with suppress(ClientClosed):  # the interpreter ends, and has closed it
                self._background.wait(self.leave(), owner=None)

    def abandon(self) -> None:
        """Leave without waiting: nobody is there any more to wait. From any thread."""
        if self._background is not None and not self.is_inherited:
            self._background.soon(self._let_go)

    async def leave(self) -> None:
        """Close the connection, or stop making it. On the loop."""
        self._let_go()
        if self._life is not None:
            await asyncio.wait([self._life])

    def _let_go(self) -> None:
        self.is_left = True
        self._leaving.set()
        if self._life is not None and not self._opened.done():
            self._life.cancel()

    async def _do(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        if self.is_left:
            raise ClientClosed(_CLOSED)
        if self._life is None or self._life.done():
            self._opened = asyncio.get_running_loop().create_future()
            self._life = background().own(self._live(self._opened), name="a blocking client's connection")
        return await work(await asyncio.shield(self._opened))

    async def _live(self, opened: asyncio.Future[Client]) -> None:
        tenants = background().tenants
        tenants.add(self)
        try:
            async with self._connect() as client:
                opened.set_result(client)
                await self._leaving.wait()
        except Exception as exc:  # noqa: BLE001  the edge of a task
            _settle(opened, exc)
        finally:
            tenants.discard(self)
            _settle(opened, ClientClosed(_CLOSED))


def _settle(opened: asyncio.Future[Client], failure: Exception) -> None:
    """Tell whoever waits for the connection, if it has not come about; else only the log is left."""
    if not opened.done():
        opened.set_exception(failure)
        opened.exception()  # seen: nobody may be waiting any more
    elif not isinstance(failure, ClientClosed):
        _log.error("the connection of a blocking client failed", exc_info=failure)


def _warn_of_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    text = "this call blocks the event loop of its thread until it is answered; await `Client` there instead"
    warnings.warn(text, BlockedLoopWarning, stacklevel=_PROGRAM)
