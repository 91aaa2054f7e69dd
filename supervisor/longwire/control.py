"""The endpoint for clients: frames in, replies and events out; what they ask for is done by others.

A client is a routing id on one of the endpoints. It never has to ping: one that is gone shows when something
is sent to it (`ROUTER_MANDATORY`), so every client is pinged now and then.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
import zmq

from longwire.logger import get_logger
from longwire_protocol.address import ipc_path
from longwire_protocol.channel import Carrier, Channel, Sent, new_socket
from longwire_protocol.codec import MAX_REQUEST_BYTES, Decoder, encode, request_id
from longwire_protocol.deadlines import Timeouts
from longwire_protocol.errors import CommandError, FrameError, FrameTooLarge, RetCode
from longwire_protocol.messages import (
    Ack,
    Credit,
    Error,
    Nack,
    Ping,
    Pong,
    Reply,
    Request,
    ToClient,
    ToSupervisor,
)
from longwire_protocol.workers import Workers

_log = get_logger("longwire.control")

_HIGH_WATER = 64
"""Frames ZeroMQ queues per client; a batch of events is one frame of up to some 100 KiB."""

_MAX_OUTBOX = 16_384
"""Frames kept for a client that does not read: a window's worth of events, a frame each. More, and it is
given up."""

_MAX_OUTBOX_BYTES = 64 * 1024 * 1024
"""The same in bytes; as much as the window of a subscription holds."""

_MAX_OPEN = 256
"""Requests of one client under way at once to one account, or to the supervisor; over it the answer is
`SATURATED` at once. By account, as what waits for one that is down must not keep a host with many from the
others, nor from removing it."""

_MAX_OPEN_IN_ALL = 2_048
"""The same for all accounts; each costs a task."""

_MOST_IDLE = 128
"""Tasks kept for requests to come: a burst from a host with a hundred accounts makes none."""

_MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Over this ZeroMQ itself drops the connection; up to it a frame that is too large is answered."""

_DEFAULT_DEADLINE_MS = 30_000
_MAX_DEADLINE_MS = 600_000

_GRACE_S = 5.0
"""Beyond its deadline, how long a request may take: the outcome of a command at its deadline has to be found
out and written. For all others the handler itself sees to the deadline."""

_PING_S = 1.0
_HEARTBEAT_MS, _HEARTBEAT_TIMEOUT_MS = 5_000, 30_000
"""ZeroMQ's own heartbeats: they find a frozen client, whose library cannot answer."""

_SATURATED_RETRY_MS = 100

_LOCAL = b""
"""The routing id of the one client on a pipe."""


_numbers = itertools.count(1)


class ClientPeer:
    """A client, as far as the supervisor knows one."""

    def __init__(self, port: Port, routing_id: bytes) -> None:
        self.id = str(next(_numbers))
        """Unique in this supervisor's time."""
        self.since: str | int | None = None
        """See `Pong.since`."""
        self._port = port
        self._routing_id = routing_id
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self.is_gone = False
        self.open_requests: Counter[str | None] = Counter()
        """Those under way, by account."""
        self.subscriptions: set[str] = set()

    def send(self, frame: ToClient) -> None:
        """Send a frame, or keep it for a moment; a client that does not take them is given up."""
        if self.is_gone:
            return
        data = encode(frame)
        self._outbox.append(data)
        self._outbox_bytes += len(data)
        self.flush()
        if len(self._outbox) > _MAX_OUTBOX or self._outbox_bytes > _MAX_OUTBOX_BYTES:
            _log.warning("client_does_not_read", waiting=len(self._outbox), waiting_bytes=self._outbox_bytes)
            self._port.lost(self)

    @property
    def is_blocked(self) -> bool:
        """Whether frames wait because the client does not read."""
        return bool(self._outbox)

    def flush(self) -> bool:
        """Send what waits; return whether all is sent."""
        while self._outbox:
            sent = self._port.channel.send((self._routing_id, self._outbox[0]))
            if sent is Sent.FULL:
                self._port.blocked.add(self)
                self._drained.clear()
                return False
            if sent is Sent.GONE:
                self._port.lost(self)
                return True
            self._outbox_bytes -= len(self._outbox.popleft())
        self._drained.set()
        return True

    async def drained(self) -> None:
        """Return when nothing waits because the client does not read, or when it is gone."""
        await self._drained.wait()

    def gone(self) -> None:
        """Forget what waits."""
        self.is_gone = True
        self._outbox.clear()
        self._outbox_bytes = 0
        self._drained.set()

    @property
    def routing_id(self) -> bytes:
        """The address on its port."""
        return self._routing_id


class Handler(Protocol):
    """Whoever does what clients ask for."""

    async def request(self, client: ClientPeer, request: Request, *, deadline_s: float) -> Any:
        """Return the data of the reply. Raises CommandError, and TimeoutError at the deadline."""
        ...

    def ack(self, client: ClientPeer, ack: Ack) -> None:
        """Take an ack. Raises CommandError for a subscription that is not open."""
        ...

    def nack(self, client: ClientPeer, nack: Nack) -> None:
        """Take a nack. Raises CommandError for a subscription that is not open."""
        ...

    def credit(self, client: ClientPeer, credit: Credit) -> None:
        """Take credit. Raises CommandError for a subscription that is not open."""
        ...

    def client_gone(self, client: ClientPeer) -> None:
        """It is gone; what it held is free."""
        ...


class Pipe(Carrier, Protocol):
    """The end of a pipe whose other end is a client of this process; see `embedding.pipe.End`."""

    def open(
        self,
        receive: Callable[[list[bytes]], None],
        *,
        on_writable: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        """Begin to read."""
        ...


class Port:
    """One endpoint: its socket or pipe and the clients on it."""

    def __init__(
        self,
        carrier: Callable[[Port], Carrier],
        lost: Callable[[ClientPeer], None],
    ) -> None:
        self.channel = carrier(self)
        self.lost = lost
        self.clients: dict[bytes, ClientPeer] = {}
        self.blocked: set[ClientPeer] = set()

    def flush(self) -> None:
        """Try the blocked clients again."""
        for client in tuple(self.blocked):
            self.blocked.discard(client)
            client.flush()


class Control:
    """Owns the client endpoints.

    Args:
        context: the supervisor's own ZeroMQ context.
        endpoints: `ipc://...`, each in a folder that exists.
        handler: does what is asked for.
        tasks: owns the tasks that answer requests.
        supervisor_id: tells one supervisor from the next.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Sequence[str],
        *,
        handler: Handler,
        tasks: asyncio.TaskGroup,
        supervisor_id: str,
    ) -> None:
        self._handler = handler
        self._workers = Workers(tasks, name="requests", most_idle=_MOST_IDLE)
        self._timeouts = Timeouts()
        self._supervisor_id = supervisor_id
        self._decode = Decoder[ToSupervisor](ToSupervisor, max_bytes=MAX_REQUEST_BYTES)
        self._ports = [self._open(context, endpoint) for endpoint in endpoints]
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_PING_S, self._ping)
        self._is_closed = False

    @property
    def clients(self) -> int:
        """How many clients are known."""
        return sum(len(port.clients) for port in self._ports)

    def close(self) -> None:
        """Send what waits, as far as it goes at once, and close; requests under way are given up."""
        self._is_closed = True
        self._workers.cancel()
        self._timer.cancel()
        for port in self._ports:
            port.flush()
            port.channel.close(linger_ms=100)

    def _open(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Port:
        socket = new_socket(context, zmq.ROUTER, high_water=_HIGH_WATER)
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_FRAME_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        socket.bind(endpoint)
        path = ipc_path(endpoint)
        if path is not None:
            path.chmod(0o600)  # commands are for the same user only; the folder is private as well
        return Port(
            lambda port: Channel(socket, partial(self._on_message, port), on_writable=port.flush), self._lost
        )

    def attach(self, pipe: Pipe) -> None:
        """Serve a client of this process until the pipe is closed; it is at once after `close`."""
        if self._is_closed:
            pipe.close()
            return

        def open_(port: Port) -> Carrier:
            pipe.open(
                lambda parts: self._on_message(port, [_LOCAL, *parts]),
                on_writable=port.flush,
                on_closed=partial(self._detach, port),
            )
            return pipe

        self._ports.append(Port(open_, self._lost))

    def _detach(self, port: Port) -> None:
        for client in tuple(port.clients.values()):
            self._lost(client)
        if port in self._ports:
            self._ports.remove(port)

    def _on_message(self, port: Port, parts: list[bytes]) -> None:
        routing_id = parts[0]
        client = port.clients.get(routing_id)
        if client is None:
            client = port.clients[routing_id] = ClientPeer(port, routing_id)
        try:
            frame = self._decode(parts[-1])
        except FrameError as exc:
            code = "too_large" if isinstance(exc, FrameTooLarge) else "malformed"
            client.send(Error(code=code, message=str(exc), id=request_id(parts[-1])))
            return
        match frame:
            case Ack():
                self._reading(client, frame.subscription, self._handler.ack, frame)
            case Credit():
                self._reading(client, frame.subscription, self._handler.credit, frame)
            case Nack():
                if isinstance(
                    frame.id, str | int
                ):  # before anything comes again: what was sent until here is stale
                    client.send(Pong(id=frame.id))
                self._reading(client, frame.subscription, self._handler.nack, frame)
            case Request():
                client.since = frame.id if client.since is None else client.since
                self._requested(client, frame)
            case Ping():
                client.since = frame.id if client.since is None else client.since
                client.send(Pong(id=frame.id, supervisor_id=self._supervisor_id, since=client.since))
            case Pong():
                pass

    def _reading(
        self, client: ClientPeer, subscription: str, act: Callable[[ClientPeer, Any], None], frame: Any
    ) -> None:
        try:
            act(client, frame)
        except CommandError as exc:
            code = "not_subscribed" if exc.retcode == RetCode.NOT_SUBSCRIBED else "bad_ack"
            client.send(Error(code=code, message=exc.message, subscription=subscription))

    def _requested(self, client: ClientPeer, request: Request) -> None:
        if self._is_closed:  # what closing reads once more
            return
        account = _account_of(request)
        of_it, in_all = client.open_requests[account], client.open_requests.total()
        if of_it >= _MAX_OPEN or in_all >= _MAX_OPEN_IN_ALL:
            whose = account or "the supervisor"
            text = f"requests of this client are under way: {of_it} to {whose}, {in_all} in all"
            client.send(
                _failed(
                    request,
                    CommandError(RetCode.SATURATED, text, retryable=True, retry_after_ms=_SATURATED_RETRY_MS),
                )
            )
            return
        client.open_requests[account] += 1
        self._workers.run(self._answer(client, request))

    async def _answer(self, client: ClientPeer, request: Request) -> None:
        deadline_ms = min(max(1, request.deadline_ms or _DEFAULT_DEADLINE_MS), _MAX_DEADLINE_MS)
        try:
            with self._timeouts.within(deadline_ms / 1000 + _GRACE_S):
                data = await self._handler.request(client, request, deadline_s=deadline_ms / 1000)
        except CommandError as exc:
            client.send(_failed(request, exc))
        except TimeoutError:
            text = f"no outcome within {deadline_ms} ms; what became of it is not known"
            client.send(_failed(request, CommandError(RetCode.DEADLINE_EXCEEDED, text)))
        except Exception:  # noqa: BLE001  # the edge of a task; a bug must not take the supervisor down
            _log.exception("request_failed", method=request.method)
            text = "a bug of the supervisor; its log has the traceback"
            client.send(_failed(request, CommandError(RetCode.INTERNAL, text)))
        else:
            if isinstance(data, Accepted):
                client.send(Reply(id=request.id, status="accepted", data=data))
            elif not isinstance(data, Answered):
                client.send(Reply(id=request.id, status="ok", data=data))
        finally:
            self._ended(client, request)

    def _ended(self, client: ClientPeer, request: Request) -> None:
        account = _account_of(request)
        client.open_requests[account] -= 1
        if not client.open_requests[account]:
            del client.open_requests[account]  # names are the client's to make up

    def _ping(self) -> None:
        self._timer = self._loop.call_later(_PING_S, self._ping)
        for port in self._ports:
            for client in tuple(port.clients.values()):
                if not client.is_blocked:
                    client.send(Ping())

    def _lost(self, client: ClientPeer) -> None:
        for port in self._ports:
            if port.clients.get(client.routing_id) is client:
                del port.clients[client.routing_id]
            port.blocked.discard(client)
        client.gone()
        # Not now: whoever was sending to it is in the middle of a batch, whose order must not be overtaken.
        self._loop.call_soon(self._handler.client_gone, client)


class Answered:
    """Returned by a handler that has sent the reply itself, because its order among other frames matters."""


ANSWERED = Answered()


class Accepted(msgspec.Struct, frozen=True):
    """Returned by a handler that will do what was asked for, and has not yet."""

    receipt: str


def _account_of(request: Request) -> str | None:
    """Return the account whose child is asked; `None` where the supervisor answers, also of an account."""
    named = request.account or request.params.get("account")
    return named if isinstance(named, str) and not request.method.startswith("account.") else None


def _failed(request: Request, error: CommandError) -> Reply:
    return Reply(
        id=request.id,
        status="failed",
        retcode=error.retcode,
        data=error.data,
        message=error.message,
        retryable=error.retryable,
        retry_after_ms=error.retry_after_ms,
    )
