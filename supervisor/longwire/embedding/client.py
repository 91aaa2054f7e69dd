"""A client in the supervisor's own process: the frames of the protocol, by a pipe in place of a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, Self, TypeVar

from longwire.embedding.pipe import End
from longwire_protocol.channel import Carrier
from longwire_protocol.client import Client
from longwire_protocol.errors import ClientClosed, LongwireError, SupervisorUnreachable
from longwire_protocol.subscription import Subscription

T = TypeVar("T")

HERE = "the supervisor in this process"
"""In place of an endpoint, in the texts of errors."""


class Block:
    """The tasks of clients that nobody entered: they end with the block in which the supervisor was."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._tasks = asyncio.TaskGroup()
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Have tasks from now on."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the clients say what they have acked, and end; the block's own error passes as it is."""
        self._over.set()
        await self._tasks.__aexit__(None, None, None)

    def create_task(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start a task that ends with the block. Raises ClientClosed when that has ended."""
        if self._over.is_set():
            work.close()
            raise ClientClosed("the block of its supervisor has ended")
        return self._tasks.create_task(work, name=name)

    async def over(self) -> None:
        """Return when the block ends."""
        await self._over.wait()


class LocalClient(Client):
    """A `Client` of a supervisor in the same process, on a loop of its own or on the supervisor's.

    Like any client it is a context manager. One that is asked for in the block of its supervisor needs no
    block of its own: it opens when it is first used, and closes with that.

    Args:
        join: joins a pipe's end with one that the supervisor serves. Raises SupervisorUnreachable.
        block: in which it was asked for.
    """

    def __init__(
        self,
        join: Callable[[End], None],
        *,
        block: Block | None = None,
    ) -> None:
        super().__init__(HERE)
        self._join = join
        self._block = block
        self._entered: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        """Lets those who wait for the connection on before who comes when it is there."""

    async def __aenter__(self) -> Self:
        """Connect, without a socket."""
        if self._entered is None:
            self._block = None
        return await super().__aenter__()

    async def call(self, method: str, params: dict[str, Any] | None = None, **options: Any) -> Any:
        """See `Client.call`."""
        await self._enter()
        return await super().call(method, params, **options)

    def open_subscription(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> asyncio.Future[LongwireError | None]:
        """See `subscription.Line`."""
        if self._block is None:
            return super().open_subscription(subscription, method, params)
        return self._block.create_task(
            self._enter_and_open(subscription, method, params), name="open a subscription"
        )

    async def _enter_and_open(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> LongwireError | None:
        try:
            await self._enter()
            return await super().open_subscription(subscription, method, params)
        except LongwireError as exc:
            return exc

    async def _enter(self) -> None:
        """Return when it is connected. Raises ClientClosed outside of its block."""
        if self._block is None:
            return
        if self._block.loop is not asyncio.get_running_loop():  # also that of a fork
            raise ClientClosed("asked for on another loop; enter it on this one: `async with sup.client()`")
        async with self._turn:
            if self._entered is None:
                entered = self._block.loop.create_future()
                self._block.create_task(self._live(self._block, entered), name="client in a block")
                self._entered = entered
            await asyncio.shield(self._entered)

    async def _live(self, block: Block, entered: asyncio.Future[None]) -> None:
        try:
            async with self:
                entered.set_result(None)
                await block.over()
        except LongwireError as exc:
            _fail(entered, exc)
        finally:
            _fail(entered, ClientClosed("the block of its supervisor has ended"))

    def _connect(self) -> Carrier:
        end = End(asyncio.get_running_loop(), copy_context())
        end.open(self._on_message, on_writable=self._flush, on_closed=self._ended)
        self._join(end)
        return end

    def _disconnect(self) -> None:
        self._channel.close()

    def _ended(self) -> None:
        """There is no supervisor any more."""
        text = f"{HERE} has ended"
        self._unusable = partial(SupervisorUnreachable, text)
        self._calls.end(text)
        self._openings.fail(SupervisorUnreachable(text))


def _fail(entered: asyncio.Future[None], failure: LongwireError) -> None:
    if not entered.done():
        entered.set_exception(failure)
        entered.exception()  # seen: whoever waited may be gone
