"""The asyncio client of a supervisor; `docs/protocol.md` describes what it speaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack

import zmq

from longwire_protocol.calls import LATE_LOOKS, Calls
from longwire_protocol.channel import Carrier, Channel, Sent
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.dialling import LINGER_MS, dial
from longwire_protocol.errors import (
    ClientClosed,
    ClientForked,
    CommandError,
    FrameError,
    LongwireError,
    RetCode,
    SupervisorUnreachable,
)
from longwire_protocol.event import Event, answer_to
from longwire_protocol.inherited import close_connections, tell_in_fork
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
from longwire_protocol.openings import Openings
from longwire_protocol.replies import data_of
from longwire_protocol.sending import Answer, Message, parted
from longwire_protocol.subscription import Replay, Start, Subscription, SubscriptionLimits
from longwire_protocol.version import CLIENT_PROTOCOL

_log = logging.getLogger("longwire.client")

_HELLO_S = 5.0
"""After this a hello is said again: a supervisor that ended just then may have taken the one before along."""

_PING_S = 2.0
"""How often the supervisor is asked whether it is there; a restart is noticed by the answer."""

_MAX_SILENT_LOOKS = 5
"""After so many pings without any frame in between, requests fail: nobody knows what became of them. Looks,
not seconds, because a process that was stopped itself comes back to answers it has not read yet."""

_REPLAY_CREDIT = 4_096
"""Events of a replay that may be on their way at once: some MiB, and never a wait for more."""

_RESPOND_S = 5.0
"""For the answer to a click: the platforms' 3 s, and time to hear that it was too late."""

_CLOSED = "the client was closed"


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
        self._is_heard = False
        self._is_ping_due = False
        self._unusable: Callable[[], LongwireError] | None = partial(ClientClosed, "enter it: `async with`")
        self._is_inherited = False
        self._pongs: dict[int, Subscription] = {}
        """Who waits for which, ascending; one for each nack that is on its way."""

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            SupervisorUnreachable: nobody answered in time, or nobody we can talk to.
        """
        self._channel = self._connect()
        tell_in_fork(self)
        self._calls = Calls(self._send, endpoint=self.endpoint)
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._openings = Openings(self._calls, self._tasks, take_leave=self._take_leave)
        self._unusable = None
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
        """Give up the subscriptions and close; calls under way end with `ClientClosed`.

        In the child of a fork it does nothing: all that would be done belongs to the parent.
        """
        if self._is_inherited:
            return
        self._unusable = partial(ClientClosed, _CLOSED)
        self._keeper.cancel()
        self._openings.end()
        await self._close()

    async def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        account: str | None = None,
        tenant: str | None = None,
        idempotency_key: str | None = None,
        wait_ms: int | None = None,
        deadline_s: float = 30.0,
    ) -> Any:
        """Ask the supervisor for something and return the reply's data.

        Args:
            method: as `docs/protocol.md` names it.
            params: of the method.
            account: the account meant.
            tenant: only what belongs to this tenant.
            idempotency_key: a command with it has one effect, however often it is sent. If the connection or
                the supervisor ends before the answer, it is asked again by itself.
            wait_ms: how long to wait for the outcome of a command, in milliseconds; afterwards an `Accepted`
                with a receipt is returned. `None`: until the deadline.
            deadline_s: how long the command counts, in seconds. The answer to one that was taken may come
                some seconds later, 4 at most.

        Raises:
            CommandError: it was refused, or there was no outcome by the deadline.
            SupervisorUnreachable: nobody took it, or nobody is there any more who could answer.
            ClientClosed: the client was left meanwhile, or before.
            ClientForked: the client was made before a fork.
            TypeError, ValueError, OverflowError, RecursionError: the params cannot be sent.
        """
        if self._unusable is not None:
            raise self._unusable()
        if deadline_s <= 0:
            raise CommandError(RetCode.BAD_PARAM, "deadline_s must be more than 0")
        request = Request(
            id=0,
            method=method,
            params=params or {},
            account=account,
            tenant=tenant,
            idempotency_key=idempotency_key,
            wait_ms=wait_ms,
        )
        return data_of(await self._calls.ask(request, deadline_s=deadline_s, late_looks=LATE_LOOKS))

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
        params = _given(name=name, start=start, types=types, accounts=accounts, tenant=tenant)
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
        params = _given(since=since, types=types, accounts=accounts, tenant=tenant)
        params |= _given(**{"from": first, "to": last})
        return Replay(self, params, credit=_REPLAY_CREDIT)

    async def send(self, account: str, chat: str, text: str | None = None, **message: Unpack[Message]) -> Any:
        """Send a message to a chat and return the platform's answer.

        Args:
            account: that sends it.
            chat: the chat's id.
            text: what it says, where it is plain text.
            message: what it says else, and how it is sent; see `Message` and `call`.

        Raises:
            CommandError: refused by the supervisor or by the platform.
        """
        says, how = parted(message)
        params = {"chat": chat, **says} if text is None else {"chat": chat, **says, "text": text}
        return await self.call("message.create", params, account=account, **how)

    async def reply(self, event: Event, **message: Unpack[Answer]) -> Any:
        """Answer a message where it was written; what is said, and how, is as for `send`.

        An event can come again after it was answered, e.g. when this program was killed before its ack. With
        `idempotency_key=event.key()` there is one answer all the same.

        Raises:
            CommandError: refused by the supervisor or by the platform.
        """
        says, how = parted(message)
        return await self.call("message.create", {**answer_to(event), **says}, account=event.account, **how)

    def in_fork(self) -> None:
        """See `inherited.Heir`."""
        if self._unusable is not None:  # not entered, or left: it has nothing that could be shared
            return
        self._is_inherited = True
        self._unusable = partial(ClientForked, "made before a fork; the child of the fork must make its own")
        self._openings.abandon(self._unusable())
        close_connections(self.endpoint)

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

    def new_id(self) -> int:
        """See `subscription.Line`."""
        return self._calls.new_id()

    def await_pong(self, number: int, subscription: Subscription) -> None:
        """See `subscription.Line`."""
        self._pongs[number] = subscription

    def open_subscription(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> asyncio.Future[LongwireError | None]:
        """See `subscription.Line`."""
        if self._unusable is not None:
            raise self._unusable()
        return self._openings.open(subscription, method, params)

    async def close_subscription(self, subscription: Subscription) -> None:
        """See `subscription.Line`."""
        if self._is_inherited and self._unusable is not None:
            raise self._unusable()
        if self._unusable is None:
            await self._openings.close(subscription)

    def _take_leave(self, name: str) -> None:
        """Close it without waiting for the answer: a client that is just gone counts as one that crashed."""
        params = {"subscription": name}
        request = Request(id=self._calls.new_id(), method="events.unsubscribe", params=params)
        self._send(encode(request))

    # The connection.

    def _connect(self) -> Carrier:
        """Return what carries frames to the supervisor, read from now on."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        return Channel(dial(self._context, self.endpoint), self._on_message, on_writable=self._flush)

    def _disconnect(self) -> None:
        """Give it up; nothing is read any more."""
        self._channel.close(linger_ms=LINGER_MS)
        self._context.term()

    async def _hello(self) -> str:
        end = asyncio.get_running_loop().time() + self._connect_timeout_s
        while True:
            left_s = end - asyncio.get_running_loop().time()
            try:
                request = Request(id=0, method="hello")
                hello = data_of(await self._calls.ask(request, deadline_s=min(left_s, _HELLO_S)))
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
        return str(hello["supervisor_id"])

    def _send(self, frame: bytes) -> bool:
        return self._channel.send([frame]) is Sent.OK

    def _flush(self) -> None:
        if self._is_ping_due:
            self._ping()
        if self._calls.flush():
            self._openings.flush()

    def _on_message(self, parts: list[bytes]) -> None:
        self._is_heard = True
        try:
            frame = self._decode(parts[-1])
        except FrameError as exc:
            _log.warning("unreadable frame of the supervisor: %s", exc)
            return
        match frame:
            case Events():
                self._openings.deliver(frame)
            case Reply():
                self._calls.replied(frame)
            case Ping():
                self._send(encode(Pong(id=frame.id)))
            case Pong():
                self._noticed(frame)
            case Error():
                self._complained(frame)

    def _noticed(self, pong: Pong) -> None:
        """Ask again what went by an earlier connection; open all again when it is another supervisor."""
        if isinstance(pong.id, int):
            for number in [number for number in self._pongs if number <= pong.id]:
                self._pongs.pop(number).caught_up(number)
        is_another = pong.supervisor_id is not None and pong.supervisor_id != self._supervisor_id
        if isinstance(pong.since, int):
            what = "the supervisor was restarted" if is_another else "the connection was lost"
            text = f"{what}; what became of the request is not known"
            self._calls.lost(text, before=pong.since)
        if is_another:
            self._supervisor_id = pong.supervisor_id
            self._openings.lose_all()

    def _complained(self, error: Error) -> None:
        if isinstance(error.id, int):
            self._calls.refused(error.id, error.message)
        elif error.code != "not_subscribed":
            _log.warning("the supervisor could not use a frame: %s: %s", error.code, error.message)
        else:
            self._openings.lose(error.subscription or "")

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
            self._openings.probe()

    def _ping(self) -> None:
        """Ask now, or as soon as there is somebody to ask."""
        self._is_ping_due = not self._send(encode(Ping(id=self._calls.new_id())))

    async def _close(self) -> None:
        self._unusable = partial(ClientClosed, _CLOSED)
        self._calls.end(_CLOSED)
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._disconnect()


def _given(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
