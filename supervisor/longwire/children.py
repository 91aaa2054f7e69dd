"""The socket to all children: who is who by one-time token, and frames to and fro.

A child is known by the ZeroMQ routing id from which a hello with a valid token came; frames of other ids are
dropped. A peer whose process is gone or was replaced is *retired*: its events are still committed, because it
may have got them acknowledged by nobody and dedup makes that safe, but nothing else of it counts, and it
gets no `stored`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from secrets import token_hex
from typing import Protocol

import zmq

from longwire.logger import get_logger
from longwire.pacing import TokenBucket
from longwire_protocol.address import ipc_path
from longwire_protocol.channel import Channel, Sent, new_socket
from longwire_protocol.codec import BODY_HEADER_BYTES, Decoder, encode, is_body
from longwire_protocol.errors import FrameError
from longwire_protocol.frames import CommandResult, FromChild, HandOver, Hello, Stored, ToChild

_log = get_logger("longwire.children")

_HIGH_WATER = 1000
"""Frames queued for one child that does not read; far more than it gets in its heartbeat timeout."""

_OUTBOX = 64
"""Control frames kept for a child whose ZeroMQ queue is full."""

_DRAIN_PER_PEER = 2 * _HIGH_WATER
"""Frames read before a judgement: more than the queues of both sides hold, and they are dealt out fairly."""

_STRANGERS_PER_S, _STRANGERS_BURST = 1.0, 10
"""Log lines about frames of nobody we know."""

_REST_FROM_PEERS, _REST_S = 20, 0.005
"""From so many children on, heartbeats wait so long for each other: a thousand wake us 170 times a second."""

_EVENTFUL_S = 1.0
"""For how long after an event, or the answer to a command, every frame is read at once."""

_RETIRED_S = 30.0
"""How long frames of a dead child may still come out of our own queues."""


class Owner(Protocol):
    """Whoever the frames of a child are for."""

    def on_frame(self, peer: Peer, frame: FromChild) -> None:
        """Take a frame of this owner's present child; the first is its hello."""
        ...

    def on_garbage(self, peer: Peer, what: str) -> None:
        """Hear that its present child sends what cannot be used, and so cannot be trusted."""
        ...


class Peer:
    """One incarnation of one account's child, as the hub sees it."""

    def __init__(self, account: str, tenant: str, incarnation: int, owner: Owner) -> None:
        self.account = account
        self.tenant = tenant
        self.incarnation = incarnation
        self.owner = owner
        self.token = token_hex(16)
        self.routing_id: bytes | None = None
        self.is_retired = False
        self.outbox: deque[bytes] = deque()
        self.stored_up_to = 0
        self.told_stored = 0


class ChildrenHub:
    """Owns the ROUTER socket of the children.

    Args:
        context: the supervisor's own ZeroMQ context.
        endpoint: `ipc://...` in a folder only we can enter.
        hand_over: takes the events of a child to the journal.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        *,
        hand_over: Callable[[Peer, HandOver], None],
    ) -> None:
        self.endpoint = endpoint
        self._hand_over = hand_over
        self._expected: dict[str, Peer] = {}
        self._peers: dict[bytes, Peer] = {}
        self._blocked: set[Peer] = set()
        self._decode = Decoder[FromChild](FromChild)
        now = asyncio.get_running_loop().time()
        self._complaints = TokenBucket(rate_per_s=_STRANGERS_PER_S, burst=_STRANGERS_BURST, now=now)
        socket = new_socket(context, zmq.ROUTER, high_water=_HIGH_WATER)
        socket.bind(endpoint)
        path = ipc_path(endpoint)
        if path is not None:
            path.chmod(0o600)
        self._channel = Channel(socket, self._on_message, on_writable=self._flush)
        self._now = asyncio.get_running_loop().time
        self._quiet_at = 0.0

    def expect(self, peer: Peer) -> None:
        """Accept one hello with the peer's token."""
        self._expected[peer.token] = peer

    def send(self, peer: Peer, frame: ToChild) -> bool:
        """Send a control frame; return whether it is on its way (a hung child's queue may be full)."""
        if peer.routing_id is None or peer.is_retired or len(peer.outbox) >= _OUTBOX:
            return False
        peer.outbox.append(encode(frame))
        self._flush_peer(peer)
        return True

    def stored(self, peer: Peer, up_to: int) -> None:
        """Tell a child that its events up to this number are on disk; an old incarnation is told nothing."""
        peer.stored_up_to = max(peer.stored_up_to, up_to)
        self._flush_peer(peer)

    def retire(self, peer: Peer) -> None:
        """The process is gone: only its events count from now on, and those for a little while."""
        self._expected.pop(peer.token, None)
        peer.is_retired = True
        peer.outbox.clear()
        self._blocked.discard(peer)
        if peer.routing_id is not None:
            asyncio.get_running_loop().call_later(_RETIRED_S, self._peers.pop, peer.routing_id, None)

    def drain(self) -> None:
        """Read all that waits, before anyone is judged for silence."""
        self._channel.drain(max_messages=_DRAIN_PER_PEER * (len(self._peers) + 1))

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()

    def _on_message(self, parts: list[bytes]) -> None:
        routing_id, body = parts[0], parts[-1]
        peer = self._peers.get(routing_id)
        try:
            frame = self._decode(body)
        except FrameError as exc:
            self._garbage(peer, str(exc))
            return
        if peer is None:
            peer = self._welcome(routing_id, frame)
            if peer is None:
                return
        if isinstance(frame, HandOver | CommandResult):
            self._channel.rest_s, self._quiet_at = 0.0, self._now() + _EVENTFUL_S
        if isinstance(frame, HandOver):
            # Thousands of events begin with the same few bytes: each beginning is looked at once.
            if all(map(is_body, {event.body[:BODY_HEADER_BYTES] for event in frame.events})):
                self._hand_over(peer, frame)
            else:  # in the journal it would stop its readers; unstored, it is not acknowledged
                self._garbage(peer, "an event whose body is not a map")
            return
        if self._now() > self._quiet_at:
            self._channel.rest_s = _REST_S if len(self._peers) >= _REST_FROM_PEERS else 0.0
        if not peer.is_retired:
            peer.owner.on_frame(peer, frame)

    def _garbage(self, peer: Peer | None, what: str) -> None:
        if self._may_complain():
            _log.error("unusable_frame_of_child", account=peer.account if peer else None, text=what)
        if peer is not None and not peer.is_retired:
            peer.owner.on_garbage(peer, what)

    def _welcome(self, routing_id: bytes, frame: FromChild) -> Peer | None:
        peer = self._expected.pop(frame.token, None) if isinstance(frame, Hello) else None
        if peer is None:
            if self._may_complain():
                _log.warning("stranger_on_the_children_socket", kind=type(frame).__name__)
            return None
        peer.routing_id = routing_id
        self._peers[routing_id] = peer
        return peer

    def _may_complain(self) -> bool:
        return self._complaints.take(asyncio.get_running_loop().time()) == 0

    def _flush(self) -> None:
        for peer in tuple(self._blocked):
            self._flush_peer(peer)

    def _flush_peer(self, peer: Peer) -> None:
        if peer.is_retired or peer.routing_id is None:
            return
        self._blocked.discard(peer)
        while peer.outbox:
            if not self._send_now(peer, peer.outbox[0]):
                return
            peer.outbox.popleft()
        if peer.told_stored < peer.stored_up_to and self._send_now(peer, encode(Stored(peer.stored_up_to))):
            peer.told_stored = peer.stored_up_to

    def _send_now(self, peer: Peer, frame: bytes) -> bool:
        assert peer.routing_id is not None  # noqa: S101  # for the type checker
        sent = self._channel.send((peer.routing_id, frame))
        if sent is Sent.FULL:
            self._blocked.add(peer)
        return sent is Sent.OK
