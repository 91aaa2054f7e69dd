"""The book of deliveries: what is due, what waits for its ack, what is pushed again and when.

Pure: time comes in as an argument (Unix seconds that never go back), sockets are only named. Around it stands
``pump.py``, which sends what the book says.

A delivery is *waiting* until it is sent, *sent* until its ack or its deadline, and then *acked*, waiting
again after the policy's next wait, or *exhausted* when the policy has none left. *Dropped* is one that the
platform does not push at all.
"""

import enum
import heapq
import math
from collections import deque

import msgspec

from longwire_connectors.simulator.errors import BookFullError

__all__ = ["AckOutcome", "Delivery", "DeliveryBook", "DeliveryRecord", "Phase", "Policy"]

WireFrame = bytes | str
"""One WebSocket message: bytes go out as a binary one, str as text."""


class Phase(enum.Enum):
    """Where a delivery is in its life."""

    WAITING = "waiting"  # not due yet, or no connection to send it on
    SENT = "sent"  # the deadline of its ack runs
    ACKED = "acked"  # finished well
    EXHAUSTED = "exhausted"  # not acked, and the platform does not push it again
    DROPPED = "dropped"  # never pushed: nobody was there, or nobody subscribed


class AckOutcome(enum.Enum):
    """What an ack did."""

    ACCEPTED = "accepted"  # the delivery is finished
    REFUSED = "refused"  # the client reported a failure: the ladder goes on
    LATE = "late"  # after the deadline; without effect
    DUPLICATE = "duplicate"  # the delivery had been acked already
    LOST = "lost"  # never heard, as a fault wanted it
    UNKNOWN = "unknown"  # no such message was sent to this app


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How long an ack is awaited and what happens without one; seconds."""

    ack_deadline_s: float
    ladder_s: tuple[float, ...] = ()
    repeats_last: bool = False

    def wait_before(self, redelivery: int) -> float | None:
        """Return the wait before redelivery ``redelivery``, counted from 0; None when there is none."""
        if redelivery < len(self.ladder_s):
            return self.ladder_s[redelivery]
        return self.ladder_s[-1] if self.repeats_last and self.ladder_s else None


class DeliveryRecord(msgspec.Struct, kw_only=True):
    """One event as the platform saw it; times are Unix seconds, the ids are empty where they do not apply."""

    app: str
    kind: str
    frame_message_id: str
    message_id: str = ""
    event_id: str = ""
    phase: Phase = Phase.WAITING
    sent_at: list[float] = []
    connections: list[str] = []
    """The connection of each sending, so the last one is where its ack should come from."""
    ack_count: int = 0
    acked_at: float | None = None
    ack_code: int | None = None
    ack_data: str | None = None
    """The client's answer as JSON text, decoded from base64 where the platform encodes it."""


class Delivery(msgspec.Struct, kw_only=True, eq=False):
    """A record with what the simulator needs to send it."""

    record: DeliveryRecord
    policy: Policy
    attempts: tuple[tuple[WireFrame, ...], ...]
    """The WebSocket messages of each attempt; the last entry serves all further ones."""
    topic: str = ""
    connection: str | None = None
    """The only connection it may go to; None for any."""
    is_farewell: bool = False
    """Whether the platform delivers nothing after it and cuts the connection (DingTalk's SYSTEM
    disconnect)."""
    due_at: float = 0.0
    number: int = 0

    @property
    def frames(self) -> tuple[WireFrame, ...]:
        """The WebSocket messages of the next attempt."""
        return self.attempts[min(len(self.record.sent_at), len(self.attempts) - 1)]


class DeliveryBook:
    """Every delivery of one platform, in the order in which it falls due.

    ``max_unfinished`` bounds what waits or is in flight; beyond it ``add`` raises BookFullError.
    ``max_finished`` is how many finished ones can still be looked at.
    """

    def __init__(self, *, max_unfinished: int = 100_000, max_finished: int = 50_000) -> None:
        self._max_unfinished = max_unfinished
        self._max_finished = max_finished
        self._all: dict[int, Delivery] = {}
        self._agenda: list[tuple[float, int, Delivery]] = []
        self._ready: dict[str, deque[Delivery]] = {}
        self._by_frame: dict[tuple[str, str], list[Delivery]] = {}
        self._finished: deque[Delivery] = deque()
        self._next_number = 0

    @property
    def unfinished(self) -> int:
        """How many deliveries wait or are in flight."""
        return len(self._all) - len(self._finished)

    def require_room(self, count: int) -> None:
        """Raise BookFullError unless ``count`` more deliveries fit."""
        if self.unfinished + count > self._max_unfinished:
            raise BookFullError(
                f"no room for {count} more deliveries beside {self.unfinished} unfinished ones"
            )

    def add(self, delivery: Delivery, *, due_at: float) -> None:
        """Take a delivery that is to be sent at ``due_at``.

        Deliveries due at the same time keep their order.
        """
        self.require_room(1)
        delivery.number = self._next_number
        self._next_number += 1
        record = delivery.record
        self._all[delivery.number] = delivery
        self._by_frame.setdefault((record.app, record.frame_message_id), []).append(delivery)
        self._schedule(delivery, due_at)

    def collect(self, now: float) -> list[str]:
        """Move what has fallen due to its app's queue and name the apps with something to send.

        Missed deadlines are judged on the way.
        """
        while self._agenda and self._agenda[0][0] <= now:
            due_at, _, delivery = heapq.heappop(self._agenda)
            if delivery.due_at != due_at:
                continue  # it was acked or moved since
            if delivery.record.phase is Phase.SENT:
                self._fail(delivery, now)
            else:
                delivery.due_at = math.inf
                self._ready.setdefault(delivery.record.app, deque()).append(delivery)
        return list(self._ready)

    def next_at(self) -> float | None:
        """Return when ``collect`` will have something to do, None if nothing is on the agenda."""
        return self._agenda[0][0] if self._agenda else None

    def first(self, app: str) -> Delivery | None:
        """Return the delivery at the head of the app's queue, None if the queue is empty."""
        queue = self._ready.get(app)
        return queue[0] if queue else None

    def sent(self, app: str, *, connection: str, now: float) -> None:
        """Note that the head of the app's queue went out on ``connection``; its ack's deadline begins."""
        delivery = self._shift(app)
        record = delivery.record
        record.phase = Phase.SENT
        record.sent_at.append(now)
        record.connections.append(connection)
        self._schedule(delivery, now + delivery.policy.ack_deadline_s)

    def dropped(self, app: str) -> None:
        """Note that the platform does not push the head of the app's queue."""
        self._finish(self._shift(app), Phase.DROPPED)

    def acked(self, app: str, *, frame_message_id: str, succeeded: bool, now: float) -> AckOutcome:
        """Judge an ack. ``succeeded`` is what the platform makes of its code and data.

        A late success changes nothing: the platform has written the attempt off. Not established, and the
        stricter reading.
        """
        delivery = self.find(app, frame_message_id=frame_message_id)
        if delivery is None or delivery.record.phase is Phase.DROPPED:
            return AckOutcome.UNKNOWN
        record = delivery.record
        record.ack_count += 1
        if record.phase is Phase.ACKED:
            return AckOutcome.DUPLICATE
        if record.phase is not Phase.SENT:
            return AckOutcome.LATE
        if not succeeded:
            self._fail(delivery, now)
            return AckOutcome.REFUSED
        record.acked_at = now
        self._finish(delivery, Phase.ACKED)
        return AckOutcome.ACCEPTED

    def find(self, app: str, *, frame_message_id: str) -> Delivery | None:
        """Return the delivery an ack with this id belongs to.

        That is the oldest one in flight, else the newest of that id.
        """
        found = self._by_frame.get((app, frame_message_id), [])
        in_flight = (delivery for delivery in found if delivery.record.phase is Phase.SENT)
        return next(in_flight, found[-1] if found else None)

    def redeliver(self, app: str, *, identity: str, now: float) -> int:
        """Push again at once what carries this message, event or frame id; return how many.

        Only what was sent before; what waits to be sent at this moment is counted and left as it is.
        """
        again = [
            delivery
            for delivery in self._all.values()
            if delivery.record.app == app
            and delivery.record.sent_at
            and identity in _identities(delivery.record)
        ]
        for delivery in again:
            if delivery.due_at != math.inf or delivery.record.phase is not Phase.WAITING:
                self._revive(delivery, now)
        return len(again)

    def records(self, app: str | None = None) -> list[DeliveryRecord]:
        """Return the deliveries of ``app`` (None: of all) in the order they were added."""
        return [found.record for found in self._all.values() if app is None or found.record.app == app]

    def _revive(self, delivery: Delivery, now: float) -> None:
        if delivery.record.phase in (Phase.ACKED, Phase.EXHAUSTED, Phase.DROPPED):
            self._finished.remove(delivery)
        delivery.record.phase = Phase.WAITING
        self._schedule(delivery, now)

    def _shift(self, app: str) -> Delivery:
        queue = self._ready[app]
        delivery = queue.popleft()
        if not queue:
            del self._ready[app]
        return delivery

    def _schedule(self, delivery: Delivery, due_at: float) -> None:
        delivery.due_at = due_at
        heapq.heappush(self._agenda, (due_at, delivery.number, delivery))

    def _fail(self, delivery: Delivery, now: float) -> None:
        wait_s = delivery.policy.wait_before(len(delivery.record.sent_at) - 1)
        if wait_s is None:
            self._finish(delivery, Phase.EXHAUSTED)
            return
        delivery.record.phase = Phase.WAITING
        self._schedule(delivery, now + wait_s)

    def _finish(self, delivery: Delivery, phase: Phase) -> None:
        delivery.record.phase = phase
        delivery.due_at = math.inf
        self._finished.append(delivery)
        while len(self._finished) > self._max_finished:
            self._forget(self._finished.popleft())

    def _forget(self, delivery: Delivery) -> None:
        record = delivery.record
        del self._all[delivery.number]
        same_id = self._by_frame[record.app, record.frame_message_id]
        same_id.remove(delivery)
        if not same_id:
            del self._by_frame[record.app, record.frame_message_id]


def _identities(record: DeliveryRecord) -> tuple[str, str, str]:
    return record.message_id, record.event_id, record.frame_message_id
