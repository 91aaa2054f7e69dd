"""Requests under way on one connection: what waits to be sent, and who waits for an answer.

A supervisor that ends takes the answers to what it was sent along. A request with an idempotency key is then
asked again, with the same key and under a new number, as that has one effect however often it is sent; any
other fails, as nobody knows what became of it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import TypedDict

import msgspec

from longwire_protocol.codec import encode
from longwire_protocol.errors import ClientClosed, CommandError, RetCode, SupervisorUnreachable
from longwire_protocol.messages import Reply, Request

_MAX_WAITING = 1000
"""Requests kept for a supervisor that is away or does not read; more are refused at once."""


class Sending(TypedDict, total=False):
    """How a command is sent; see `Client.call`."""

    idempotency_key: str | None
    wait_ms: int | None
    deadline_s: float


class _Call(msgspec.Struct, eq=False, kw_only=True):
    """A request and who waits for its reply."""

    number: int
    """Its id now; a new one each time it is asked again."""
    request: Request
    ends_at: float
    """When nobody waits any more, by the loop's clock."""
    answer: asyncio.Future[Reply]
    is_sent: bool = False
    """Whether a supervisor may have it, so that it may have an effect."""


class Calls:
    """The open requests of a client. Used on its loop only.

    Args:
        send: sends a frame without waiting; returns whether it is on its way.
        endpoint: for the texts of errors.
    """

    def __init__(self, send: Callable[[bytes], bool], *, endpoint: str) -> None:
        self._send = send
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1)
        self._open: dict[int, _Call] = {}
        self._waiting: dict[int, _Call] = {}
        self._ended: str | None = None

    def new_id(self) -> int:
        """Return a number greater than all before it; pings use them too, which tells what went out first."""
        return next(self._ids)

    async def ask(self, number: int, request: Request, *, deadline_s: float) -> Reply:
        """Send a request as soon as there is somebody to take it, and return the reply.

        What the deadline finds still waiting is never sent.

        Args:
            number: the request's id, from `new_id`.
            request: what to ask; its id and deadline are set here.
            deadline_s: how long to wait for the reply, in seconds.

        Raises:
            CommandError: there was no outcome by the deadline, or too many requests wait.
            SupervisorUnreachable: nobody took the request, or nobody can answer it any more.
            ClientClosed: the client was left.
        """
        if self._ended is not None:
            raise ClientClosed(self._ended)
        if len(self._waiting) >= _MAX_WAITING:
            raise CommandError(RetCode.SATURATED, "too many requests wait for the supervisor", retryable=True)
        ends_at = self._loop.time() + deadline_s
        call = _Call(number=number, request=request, ends_at=ends_at, answer=self._loop.create_future())
        self._open[number] = self._waiting[number] = call
        self.flush()
        try:
            async with asyncio.timeout_at(ends_at):
                return await call.answer
        except TimeoutError:
            if not call.is_sent:
                raise SupervisorUnreachable(f"no supervisor takes requests at {self._endpoint}") from None
            raise CommandError(RetCode.DEADLINE_EXCEEDED, f"no outcome of {request.method} in time") from None
        finally:
            del self._open[call.number]
            self._waiting.pop(call.number, None)

    def flush(self) -> bool:
        """Send what waits; return whether nothing does any more."""
        while self._waiting:
            call = next(iter(self._waiting.values()))
            if not self._send(self._encoded(call)):
                return False
            call.is_sent = True
            del self._waiting[call.number]
        return True

    def replied(self, reply: Reply) -> None:
        """Give an answer to whoever waits for it."""
        call = self._open.get(reply.id) if isinstance(reply.id, int) else None
        if call is not None and not call.answer.done():
            call.answer.set_result(reply)

    def fail(self, message: str) -> None:
        """Fail what was sent, as nobody answers; what has a key can be asked again and goes on waiting."""
        for call in self._sent():
            if call.request.idempotency_key is None:
                call.answer.set_exception(SupervisorUnreachable(message))

    def restarted(self, message: str, *, before: int | None) -> None:
        """Take note of another supervisor, which knows nothing of what was sent to the one before.

        Args:
            message: what those are told whose requests have no key; the others are asked again.
            before: a number from `new_id`: only requests with lower ones; all where `None`.
        """
        again: dict[int, _Call] = {}
        for call in self._sent():
            if before is not None and call.number >= before:
                continue
            if call.request.idempotency_key is None:
                call.answer.set_exception(SupervisorUnreachable(message))
            else:
                del self._open[call.number]
                call.number = self.new_id()
                self._open[call.number] = again[call.number] = call
        self._waiting = {**again, **self._waiting}  # they are older than what waits
        self.flush()

    def end(self, message: str) -> None:
        """Fail everything, and refuse what is asked from now on."""
        self._ended = message
        self._waiting.clear()
        for call in self._sent():
            call.answer.set_exception(ClientClosed(message))

    def _sent(self) -> list[_Call]:
        """Return what was sent and is not answered."""
        calls = self._open.items()
        return [call for number, call in calls if number not in self._waiting and not call.answer.done()]

    def _encoded(self, call: _Call) -> bytes:
        left_ms = max(1, round((call.ends_at - self._loop.time()) * 1000))
        return encode(msgspec.structs.replace(call.request, id=call.number, deadline_ms=left_ms))
