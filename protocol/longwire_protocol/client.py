"""The asyncio client of a supervisor; `docs/protocol.md` describes what it speaks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, Unpack

import zmq

from longwire_protocol.calls import Calls
from longwire_protocol.channel import Channel, Sent, new_socket
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.errors import CommandError, FrameError, LongwireError, RetCode, SupervisorUnreachable
from longwire_protocol.event import Chat, Event
from longwire_protocol.messages import (
    Ack,
    Credit,
    Error,
    Events,
    Nack,
    Ping,
    Pong,
    Reply,
    Request,
    ToClient,
)
from longwire_protocol.subscription import Replay, Start, Subscription, SubscriptionLimits
from longwire_protocol.version import CLIENT_PROTOCOL

_log = logging.getLogger("longwire.client")

_HIGH_WATER = 10_000
"""Frames queued for a supervisor that does not read; acks and credit are merged before that."""

_HELLO_S = 5.0
"""After this a hello is said again: a supervisor that ended just then may have taken the one before along."""

_HANDSHAKE_MS = 3_000
"""After this a connection on which nobody answers is made anew; some round trips, CURVE's included. ZeroMQ's
own 30 s would be lost where a fork of a killed supervisor's host still holds its socket and is silent."""

_PING_S = 2.0
"""How often the supervisor is asked whether it is there; a restart is noticed by the answer."""

_MAX_SILENT_LOOKS = 5
"""After so many pings without any frame in between, requests fail: nobody knows what became of them. Looks,
not seconds, because a process that was stopped itself comes back to answers it has not read yet."""

_SUBSCRIBE_S = 30.0
_UNSUBSCRIBE_S = 5.0

_REPLAY_CREDIT = 4_096
"""Events of a replay that may be on their way at once: some MiB, and never a wait for more."""

_RESPOND_S = 5.0
"""For the answer to a click: the platforms' 3 s, and time to hear that it was too late."""

_REOPEN_S = 0.5
"""Between attempts to open a subscription again that failed for a reason that may pass."""

_MAX_UNWANTED = 1_000
"""Openings given up before their reply came that are remembered; some replies never come."""

_MAY_PASS = frozenset({RetCode.DEADLINE_EXCEEDED, RetCode.JOURNAL_UNAVAILABLE, RetCode.SATURATED})

_LINGER_MS = 200
"""For the last acks; nothing waits for a supervisor that is away (`ZMQ_IMMEDIATE`)."""


class Client:
    """A connection to a supervisor. Use it as an async context manager, on one loop.

    Args:
        endpoint: `ipc://PATH`; a relative path counts from the working directory.
        connect_timeout_s: how long to wait for a supervisor that is not there yet.
    """

    def __init__(self, endpoint: str, *, connect_timeout_s: float = 5.0) -> None:
        self.endpoint = endpoint
        self._connect_timeout_s = connect_timeout_s
        self._decode = Decoder[ToClient](ToClient)
        self._supervisor_id: str | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._opening: dict[int, Subscription] = {}
        self._unwanted: deque[int] = deque(maxlen=_MAX_UNWANTED)
        self._reopening: dict[Subscription, asyncio.Task[None]] = {}
        self._is_heard = False
        self._is_ping_due = False
        self._is_closing = False

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            SupervisorUnreachable: nobody answered in time, or nobody we can talk to.
        """
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = new_socket(self._context, zmq.DEALER, high_water=_HIGH_WATER)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # a request that nobody took by its deadline is not sent later
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.connect(self.endpoint)
        self._channel = Channel(socket, self._on_message, on_writable=self._flush)
        self._calls = Calls(self._send, endpoint=self.endpoint)
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        try:
            self._supervisor_id = await self._hello()
        except BaseException:
            await self._close()
            raise
        self._keeper = self._tasks.create_task(self._keep(), name="longwire client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up the subscriptions and close."""
        self._is_closing = True
        self._keeper.cancel()
        for task in self._reopening.values():
            task.cancel()
        for name, subscription in self._subscriptions.items():
            subscription.end()
            self._take_leave(name)
        await self._close()

    async def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        account: str | None = None,
        tenant: str | None = None,
        idempotency_key: str | None = None,
        deadline_s: float = 30.0,
    ) -> Any:
        """Ask the supervisor for something and return the reply's data.

        Raises:
            CommandError: it was refused, or there was no outcome by the deadline.
            SupervisorUnreachable: nobody took it, or nobody is there any more who could answer.
        """
        number = self._calls.new_id()
        request = Request(
            id=number,
            method=method,
            params=params or {},
            account=account,
            tenant=tenant,
            idempotency_key=idempotency_key,
            deadline_ms=max(1, round(deadline_s * 1000)),
        )
        return _data(await self._calls.ask(number, request, deadline_s=deadline_s))

    def subscribe(
        self,
        name: str | None = None,
        *,
        start: Start = "new",
        types: list[str] | None = None,
        accounts: list[str] | None = None,
        tenant: str | None = None,
        credit: int = 256,
        **limits: Unpack[SubscriptionLimits],
    ) -> Subscription:
        """Return a subscription to iterate over; it opens when iteration begins, or by `open`.

        Args:
            name: of the durable reader, whose position survives everything; `None` for one that ends
                with this client and leaves nothing behind.
            start: `"new"`, `"all"` or a sequence number; counts the first time only.
            types: event types wanted; all where `None`.
            accounts: accounts wanted; all where `None`.
            tenant: the tenant wanted; all where `None`.
            credit: events that may be on their way to the caller at once.
            limits: of this subscription, in place of the supervisor's settings; one that is not given stays
                as it was.
        """
        wanted = {"name": name, "start": start, "types": types, "accounts": accounts, "tenant": tenant}
        params = {key: value for key, value in wanted.items() if value is not None}
        return Subscription(self, {**params, **limits}, credit=credit)

    def replay(
        self,
        *,
        first: int = 1,
        last: int | None = None,
        since: float | None = None,
        types: list[str] | None = None,
        accounts: list[str] | None = None,
        tenant: str | None = None,
    ) -> Replay:
        """Return a range of the journal to iterate over, which ends by itself; iteration opens it.

        Args:
            first: the lowest sequence number wanted.
            last: the highest; `None` for the newest event there is when it opens.
            since: only events received at this time or later, in Unix seconds.
            types: as for `subscribe`, and so are the others.
            accounts: accounts wanted.
            tenant: the tenant wanted.
        """
        wanted = {
            "from": first,
            "to": last,
            "since": since,
            "types": types,
            "accounts": accounts,
            "tenant": tenant,
        }
        params = {key: value for key, value in wanted.items() if value is not None}
        return Replay(self, params, credit=_REPLAY_CREDIT)

    async def send(self, account: str, chat: str, text: str) -> Any:
        """Send a text to a chat and return the platform's answer.

        Raises:
            CommandError: refused by the supervisor or by the platform.
        """
        return await self.call("message.create", {"chat": chat, "text": text}, account=account)

    async def reply(self, event: Event, *, text: str) -> Any:
        """Answer a message where it was written.

        Raises:
            CommandError: refused by the supervisor or by the platform.
        """
        params: dict[str, Any] = {"text": text}
        if event.chat is not None:
            params["chat"] = _map(event.chat)
        if event.sender is not None:
            params["user"] = event.sender.id
        if event.message_id is not None:
            params["reply_to"] = event.message_id
        return await self.call("message.create", params, account=event.account)

    async def respond(
        self,
        event: Event,
        *,
        toast: str | dict[str, Any] | None = None,
        card: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
    ) -> Any:
        """Say what the platform shows to who clicked on a card; in time, and the first answer, or not at all.

        Args:
            event: the click; `respond_by` says until when.
            toast: a short notice, with `type` and `content`, or only its text.
            card: the card's new content, in the platform's form.
            data: the platform's own answer, for what else it has.

        Raises:
            CommandError: it will not be shown; `DEADLINE_EXCEEDED` for one that is too late.
        """
        given = {"toast": {"content": toast} if isinstance(toast, str) else toast, "card": card, "data": data}
        params = {"event": event.id, **{key: value for key, value in given.items() if value is not None}}
        return await self.call("card.respond", params, account=event.account, deadline_s=_RESPOND_S)

    # For subscriptions.

    def tell(self, frame: Ack | Nack | Credit) -> bool:
        """See `subscription.Line`."""
        return self._send(encode(frame))

    def open_subscription(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> asyncio.Future[LongwireError | None]:
        """See `subscription.Line`."""
        if self._is_closing:
            raise SupervisorUnreachable("the client was closed")
        return self._tasks.create_task(self._open(subscription, method, params), name="open a subscription")

    async def close_subscription(self, subscription: Subscription) -> None:
        """See `subscription.Line`."""
        if not self._forget(subscription):
            return
        params = {"subscription": subscription.name}
        try:
            with suppress(SupervisorUnreachable):  # then it is not open any more
                await self.call("events.unsubscribe", params, deadline_s=_UNSUBSCRIBE_S)
        except CommandError as exc:
            if exc.retcode != RetCode.NOT_SUBSCRIBED:
                raise

    async def _open(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> LongwireError | None:
        number = self._calls.new_id()
        self._opening[number] = subscription
        request = Request(id=number, method=method, params=params, deadline_ms=round(_SUBSCRIBE_S * 1000))
        try:
            _data(await self._calls.ask(number, request, deadline_s=_SUBSCRIBE_S))
        except LongwireError as exc:
            return exc
        finally:
            self._give_up(number)
        return None

    def _give_up(self, number: int) -> None:
        """Want this opening no more; one whose reply still comes is left then."""
        if self._opening.pop(number, None) is not None:
            self._unwanted.append(number)

    def _opened(self, subscription: Subscription, name: str) -> None:
        self._forget_name(subscription)
        other = self._subscriptions.get(name)
        if other is not None:  # the supervisor knows one of a name and connection
            text = f"subscription {name!r} was opened again by the same client"
            other.fail(CommandError(RetCode.SUBSCRIPTION_CONFLICT, text))
        subscription.opened(name)
        self._subscriptions[name] = subscription

    def _opened_unwanted(self, name: str) -> None:
        """Leave it at once: the supervisor would deal chats to a reader that is not there.

        One of that name that is open here has begun anew, with another's credit: it is opened again. One that
        is being opened may be closed by this; its next probe finds that out.
        """
        current = self._subscriptions.get(name)
        if current is None:
            self._take_leave(name)
        else:
            self._lost(current)

    def _lost(self, subscription: Subscription) -> None:
        """Open it again, unless that is under way: one request however many frames complained."""
        subscription.lost()
        if subscription not in self._reopening and not self._is_closing:
            task = self._tasks.create_task(self._reopen(subscription), name=f"reopen {subscription.name}")
            self._reopening[subscription] = task

    async def _reopen(self, subscription: Subscription) -> None:
        try:
            while not await self._is_settled(subscription):  # noqa: ASYNC110  what it waits for is time
                await asyncio.sleep(_REOPEN_S)
        finally:
            self._reopening.pop(subscription, None)

    async def _is_settled(self, subscription: Subscription) -> bool:
        """Try to open it; return whether it is open, or refused for good."""
        try:
            await subscription.open()
        except SupervisorUnreachable:
            return False
        except CommandError as exc:
            if exc.retryable or exc.retcode in _MAY_PASS:
                return False
            self._forget_name(subscription)
            subscription.fail(exc)
            return True
        return subscription.is_open  # it may have been lost again in the meantime

    def _forget(self, subscription: Subscription) -> bool:
        """Have nothing more to do with it; return whether the supervisor may have it open."""
        reopening = self._reopening.pop(subscription, None)
        if reopening is not None:
            reopening.cancel()
        for number in [n for n, opening in self._opening.items() if opening is subscription]:
            self._give_up(number)
        return self._forget_name(subscription)

    def _forget_name(self, subscription: Subscription) -> bool:
        if subscription.name is None or self._subscriptions.get(subscription.name) is not subscription:
            return False
        del self._subscriptions[subscription.name]
        return True

    def _take_leave(self, name: str) -> None:
        """Close it without waiting for the answer: a client that is just gone counts as one that crashed."""
        params = {"subscription": name}
        request = Request(id=self._calls.new_id(), method="events.unsubscribe", params=params)
        self._send(encode(request))

    # The connection.

    async def _hello(self) -> str:
        end = asyncio.get_running_loop().time() + self._connect_timeout_s
        while True:
            left_s = end - asyncio.get_running_loop().time()
            try:
                hello = await self.call("hello", deadline_s=min(left_s, _HELLO_S))
                break
            except SupervisorUnreachable:
                if left_s <= _HELLO_S:
                    raise
            except CommandError as exc:
                if left_s <= _HELLO_S:
                    text = f"no supervisor answers at {self.endpoint}: {exc.message}"
                    raise SupervisorUnreachable(text) from exc
        if hello["protocol"] != CLIENT_PROTOCOL:
            text = f"speaks version {hello['protocol']} of the protocol, this client {CLIENT_PROTOCOL}"
            raise SupervisorUnreachable(f"the supervisor at {self.endpoint} {text}")
        supervisor_id: str = hello["supervisor_id"]
        return supervisor_id

    def _send(self, frame: bytes) -> bool:
        return self._channel.send([frame]) is Sent.OK

    def _flush(self) -> None:
        if self._is_ping_due:
            self._ping()
        if self._calls.flush():
            for subscription in self._subscriptions.values():
                subscription.flush()

    def _on_message(self, parts: list[bytes]) -> None:
        self._is_heard = True
        try:
            frame = self._decode(parts[-1])
        except FrameError as exc:
            _log.warning("unreadable frame of the supervisor: %s", exc)
            return
        match frame:
            case Events():
                subscription = self._subscriptions.get(frame.subscription)
                if subscription is not None:
                    subscription.deliver(frame)
                    if frame.end:
                        self._forget_name(subscription)
            case Reply():
                self._replied(frame)
            case Ping():
                self._send(encode(Pong(id=frame.id)))
            case Pong():
                self._noticed(frame)
            case Error():
                self._complained(frame)

    def _replied(self, reply: Reply) -> None:
        subscription = self._opening.pop(reply.id, None) if isinstance(reply.id, int) else None
        match reply:
            case Reply(status="ok", data={"subscription": str(name)}) if subscription is not None:
                self._opened(subscription, name)  # now: its events may be right behind
            case Reply(status="ok", data={"subscription": str(name)}) if reply.id in self._unwanted:
                self._opened_unwanted(name)
            case _:
                pass
        self._calls.replied(reply)

    def _noticed(self, pong: Pong) -> None:
        """Open every subscription again when another supervisor answers."""
        if pong.supervisor_id is None or pong.supervisor_id == self._supervisor_id:
            return
        self._supervisor_id = pong.supervisor_id
        text = "the supervisor was restarted; what became of the request is not known"
        self._calls.fail(text, sent_before=pong.id if isinstance(pong.id, int) else None)
        for subscription in self._subscriptions.values():
            self._lost(subscription)

    def _complained(self, error: Error) -> None:
        subscription = self._subscriptions.get(error.subscription or "")
        if error.code != "not_subscribed":
            _log.warning("the supervisor could not use a frame: %s: %s", error.code, error.message)
        elif subscription is not None:
            self._lost(subscription)

    async def _keep(self) -> None:
        """Ask regularly whether the supervisor is there and knows the subscriptions; fail what got lost."""
        silent_looks = 0
        while True:
            await asyncio.sleep(_PING_S)
            silent_looks = 0 if self._is_heard else silent_looks + 1
            self._is_heard = False
            if silent_looks >= _MAX_SILENT_LOOKS:
                self._calls.fail(f"the supervisor at {self.endpoint} does not answer")
            self._ping()
            for subscription in self._subscriptions.values():
                subscription.probe()

    def _ping(self) -> None:
        """Ask now, or as soon as there is somebody to ask."""
        self._is_ping_due = not self._send(encode(Ping(id=self._calls.new_id())))

    async def _close(self) -> None:
        self._calls.end("the client was closed")
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._channel.close(linger_ms=_LINGER_MS)
            self._context.term()


def _data(reply: Reply) -> Any:
    """Return what a reply brings, or raise what it refuses."""
    if reply.status != "failed":
        return reply.data
    raise CommandError(
        reply.retcode,
        reply.message,
        retryable=reply.retryable,
        retry_after_ms=reply.retry_after_ms,
        data=reply.data,
    )


def _map(chat: Chat) -> dict[str, Any]:
    fields = {"id": chat.id, "type": chat.type, "thread_id": chat.thread_id, "name": chat.name}
    return {key: value for key, value in fields.items() if value is not None}
