"""Requests under way on one connection: what waits to be sent, and who waits for an answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from longwire_protocol.codec import encode
from longwire_protocol.errors import CommandError, RetCode, SupervisorUnreachable
from longwire_protocol.messages import Reply, Request

_MAX_WAITING = 1000
"""Requests kept for a supervisor that is away or does not read; more are refused at once."""


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
        self._open: dict[int, asyncio.Future[Reply]] = {}
        self._waiting: dict[int, bytes] = {}
        self._ended: str | None = None

    def new_id(self) -> int:
        """Return a number greater than all before it; pings use them too, which tells what went out first."""
        return next(self._ids)

    async def ask(self, number: int, request: Request, *, deadline_s: float) -> Reply:
        """Send a request as soon as there is somebody to take it, and return the reply.

        What the deadline finds still waiting is never sent.

        Args:
            number: the request's id, from `new_id`.
            request: with that id.
            deadline_s: how long to wait for the reply, in seconds.

        Raises:
            CommandError: there was no outcome by the deadline, or too many requests wait.
            SupervisorUnreachable: nobody took the request, or nobody can answer it any more.
        """
        if self._ended is not None:
            raise SupervisorUnreachable(self._ended)
        if len(self._waiting) >= _MAX_WAITING:
            raise CommandError(RetCode.SATURATED, "too many requests wait for the supervisor", retryable=True)
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._open[number] = answer
        self._waiting[number] = encode(request)
        self.flush()
        try:
            async with asyncio.timeout(deadline_s):
                return await answer
        except TimeoutError:
            if number in self._waiting:
                raise SupervisorUnreachable(f"no supervisor takes requests at {self._endpoint}") from None
            raise CommandError(RetCode.DEADLINE_EXCEEDED, f"no outcome of {request.method} in time") from None
        finally:
            del self._open[number]
            self._waiting.pop(number, None)

    def flush(self) -> bool:
        """Send what waits; return whether nothing does any more."""
        while self._waiting:
            number = next(iter(self._waiting))
            if not self._send(self._waiting[number]):
                return False
            del self._waiting[number]
        return True

    def replied(self, reply: Reply) -> None:
        """Give an answer to whoever waits for it."""
        answer = self._open.get(reply.id) if isinstance(reply.id, int) else None
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def fail(self, message: str, *, sent_before: int | None = None) -> None:
        """Fail what was sent and can have no answer any more; what still waits to be sent goes on waiting.

        Args:
            message: why.
            sent_before: an id from `new_id`: only requests with lower ones; all where `None`.
        """
        for number, answer in self._open.items():
            is_concerned = sent_before is None or number < sent_before
            if is_concerned and number not in self._waiting and not answer.done():
                answer.set_exception(SupervisorUnreachable(message))

    def end(self, message: str) -> None:
        """Fail everything, and refuse what is asked from now on."""
        self._ended = message
        self._waiting.clear()
        self.fail(message)
