"""Requests under way on one connection: what waits to be sent, and who waits for an answer.

A connection that ends, with its supervisor or alone, takes the answers to what was sent on it along. A
request with an idempotency key is then asked again, with the same key, as that has one effect however often
it is sent; any other fails, as nobody knows what became of it. Each gets its number when it is sent, so that
the first number of a connection tells what went out before it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import msgspec

from longwire_protocol.codec import MAX_REQUEST_BYTES, encode
from longwire_protocol.deadlines import Deadlines
from longwire_protocol.errors import ClientClosed, CommandError, RetCode, SupervisorUnreachable
from longwire_protocol.messages import Reply, Request

_MAX_WAITING = 1000
"""Requests kept for a supervisor that is away or does not read; more are refused at once."""

_MAX_LATE = 1000
"""Requests given up before their reply came whose reply still matters; some never come."""

_NO_ROOM_MS = 100
"""When to ask again where the supervisor has no room for what it may have had before, and names no time."""

LATE_LOOKS = 4
_LATE_LOOK_S = 1.0
"""Beyond its deadline, how often and how long the answer to a command is waited for: the supervisor's own
comes up to 3 s after it, and says more than none. Looks, not seconds, because a process that was stopped
itself comes back to an answer that it has not read yet, or has to ask for again."""

_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What msgspec raises for params that cannot be sent; the caller gets it as it is."""

Seen = Callable[[Reply], None]


class _Call(msgspec.Struct, eq=False, kw_only=True):
    """A request and who waits for its reply."""

    request: Request
    ends_at: float
    """When it counts no more, by the loop's clock."""
    answer: asyncio.Future[Reply]
    seen: Seen | None
    looks: int
    """How often the answer to what was sent is still looked for beyond the deadline."""
    number: int = 0
    """Its id now; a new one each time it is sent."""
    is_sent: bool = False
    """Whether a supervisor may have it, so that it may have an effect."""
    is_again: bool = False
    """Whether it was sent before: a refusal for want of room says nothing of that one's effect."""


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
        self._waiting: dict[_Call, None] = {}
        self._sent: dict[int, _Call] = {}
        self._late: dict[int, Seen] = {}
        self._ended: str | None = None
        self._deadlines = Deadlines[_Call](self._overdue)

    def new_id(self) -> int:
        """Return a number greater than all before it, for a frame that is sent now; pings use them, too."""
        return next(self._ids)

    async def ask(
        self, request: Request, *, deadline_s: float, late_looks: int = 0, seen: Seen | None = None
    ) -> Reply:
        """Send a request as soon as there is somebody to take it, and return the reply.

        What the deadline finds still waiting is never sent.

        Args:
            request: what to ask; its id and deadline are set here.
            deadline_s: how long it counts, in seconds.
            late_looks: how many seconds more to wait for the reply to what was sent.
            seen: called with the reply before the next frame is read; also when nobody waits for it any more.

        Raises:
            CommandError: there was no outcome in time, or too many requests wait.
            SupervisorUnreachable: nobody took the request, or nobody can answer it any more.
            ClientClosed: the client was left.
            TypeError, ValueError, OverflowError, RecursionError: the params cannot be sent.
        """
        if self._ended is not None:
            raise ClientClosed(self._ended)
        if len(self._waiting) >= _MAX_WAITING:
            raise CommandError(RetCode.SATURATED, "too many requests wait for the supervisor", retryable=True)
        ends_at = self._loop.time() + deadline_s
        answer: asyncio.Future[Reply] = self._loop.create_future()
        call = _Call(request=request, ends_at=ends_at, answer=answer, seen=seen, looks=late_looks)
        self._waiting[call] = None
        self.flush()
        self._deadlines.set(call, deadline_s)
        try:
            return await answer
        finally:
            self._give_up(call)
            del answer, call  # an error holds this frame, and would be held by it

    def flush(self) -> bool:
        """Send what waits; return whether nothing does any more."""
        while self._waiting:
            call = next(iter(self._waiting))
            if call.answer.done():  # who waited has given up, in this turn of the loop
                del self._waiting[call]
                continue
            call.number = self.new_id()
            try:
                frame = self._encoded(call)
            except (CommandError, *_UNENCODABLE) as exc:  # the others' requests go on
                del self._waiting[call]
                call.answer.set_exception(exc)
                continue
            if not self._send(frame):
                return False
            call.is_sent = True
            del self._waiting[call]
            self._sent[call.number] = call
        return True

    def replied(self, reply: Reply) -> None:
        """Give an answer to whoever waits for it."""
        if not isinstance(reply.id, int):
            return
        call = self._sent.get(reply.id)
        if call is not None and call.is_again and reply.retcode == RetCode.SATURATED:
            wait_s = (reply.retry_after_ms or _NO_ROOM_MS) / 1000
            self._loop.call_later(wait_s, self._ask_again, call, call.number)
            return
        if call is None:
            seen = self._late.pop(reply.id, None)
        else:
            seen, call.seen = call.seen, None
            if not call.answer.done():
                call.answer.set_result(reply)
        if seen is not None:
            seen(reply)

    def refused(self, number: int, message: str) -> None:
        """Take note that the supervisor could not read a request: nothing was done."""
        call = self._sent.get(number)
        if call is not None and not call.answer.done():
            call.answer.set_exception(CommandError(RetCode.BAD_REQUEST, message))

    def fail(self, message: str) -> None:
        """Fail what was sent, as nobody answers; what has a key can be asked again and goes on waiting."""
        for call in self._unanswered():
            if call.request.idempotency_key is None:
                call.answer.set_exception(SupervisorUnreachable(message))

    def lost(self, message: str, *, before: int) -> None:
        """Take note of a new connection: what was sent before it is not answered any more.

        Args:
            message: what those are told whose requests have no key; the others are asked again.
            before: the first number that went out on it.
        """
        again: dict[_Call, None] = {}
        for call in self._unanswered():
            if call.number >= before:
                continue
            if call.request.idempotency_key is None:
                call.answer.set_exception(SupervisorUnreachable(message))
            else:
                del self._sent[call.number]
                call.is_again = True
                again[call] = None
        if again:
            self._waiting = {**again, **self._waiting}  # they are older than what waits
            self.flush()

    def end(self, message: str) -> None:
        """Fail everything, and refuse what is asked from now on."""
        self._ended = message
        for call in [*self._unanswered(), *self._waiting]:
            if not call.answer.done():
                call.answer.set_exception(ClientClosed(message))
        self._waiting.clear()

    def _ask_again(self, call: _Call, number: int) -> None:
        if self._sent.get(number) is call and not call.answer.done():
            del self._sent[number]
            self._waiting[call] = None
            self.flush()

    def _unanswered(self) -> list[_Call]:
        """Return what was sent and is not answered."""
        return [call for call in self._sent.values() if not call.answer.done()]

    def _overdue(self, call: _Call) -> None:
        if call.answer.done():
            return
        if not call.is_sent:
            text = f"no supervisor takes requests at {self._endpoint}"
            call.answer.set_exception(SupervisorUnreachable(text))
        elif call.looks:
            call.looks -= 1
            self._deadlines.set(call, _LATE_LOOK_S)
        else:
            text = f"no outcome of {call.request.method} in time"
            call.answer.set_exception(CommandError(RetCode.DEADLINE_EXCEEDED, text))

    def _give_up(self, call: _Call) -> None:
        """Nobody waits for it any more."""
        self._deadlines.discard(call)
        self._waiting.pop(call, None)
        if self._sent.pop(call.number, None) is not None and call.seen is not None:
            self._late[call.number] = call.seen
            if len(self._late) > _MAX_LATE:
                del self._late[next(iter(self._late))]
        if call.answer.done() and not call.answer.cancelled():
            call.answer.exception()  # seen: whoever was cancelled in that moment does not ask

    def _encoded(self, call: _Call) -> bytes:
        left_ms = max(1, round((call.ends_at - self._loop.time()) * 1000))
        frame = encode(msgspec.structs.replace(call.request, id=call.number, deadline_ms=left_ms))
        if len(frame) > MAX_REQUEST_BYTES:
            text = f"the request has {len(frame)} bytes, {MAX_REQUEST_BYTES} at most are taken"
            raise CommandError(RetCode.BAD_PARAM, f"{text}; files go in chunks")
        return frame
