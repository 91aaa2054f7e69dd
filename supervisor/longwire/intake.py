"""From the children to the journal: what was handed over is written, and only then called stored."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from uuid import uuid4

from longwire.children import ChildrenHub, Peer
from longwire.journal import Arrivals, Commit, EventStore
from longwire.status import AccountStatus
from longwire.subscriptions import Gap
from longwire_protocol.codec import encode_event
from longwire_protocol.event import Event
from longwire_protocol.frames import HandedOver, HandOver

Tell = Callable[[str, int, int], None]


class Intake:
    """Appends events to the journal and tells the children what is on disk.

    What the journal does not take now is held here. That is bounded, because a child hands over no more
    than its window (`longwire_connectors.handover`) before something of it is stored, and because what an
    earlier incarnation left is dropped meanwhile: it was not told `stored`, so nothing of it is acknowledged.

    Args:
        journal: where events go.
        counted: told account, new events and duplicates after each commit.
    """

    def __init__(self, journal: EventStore, *, counted: Tell) -> None:
        self._journal = journal
        self._counted = counted
        self._held: deque[tuple[Peer, HandOver]] = deque()
        self.hub: ChildrenHub | None = None

    def hand_over(self, peer: Peer, frame: HandOver) -> None:
        """Take the events of a child, of an old incarnation too."""
        if self._journal.is_full:
            self._held = deque(held for held in self._held if not held[0].is_retired)
            if peer.is_retired:
                return
        self._held.append((peer, frame))
        self._pump()

    def report(self, status: AccountStatus, *, platform: str) -> None:
        """Put a change of an account's state into the journal, as an `account.status` event."""
        now = time.time()
        event = Event(
            id=uuid4().hex,
            type="account.status",
            time=status.since,
            recv_time=now,
            tenant=status.tenant,
            account=status.account,
            platform=platform,
            bot=status.bot,
            raw=status,
        )
        self._append_own(event)

    def report_gap(self, gap: Gap) -> None:
        """Put into the journal that a subscription has lost events, as a `subscription.gap` event."""
        now = time.time()
        lost = {"subscription": gap.subscription, "from": gap.first, "to": gap.last, "reason": gap.reason}
        self._append_own(
            Event(
                id=uuid4().hex,
                type="subscription.gap",
                time=now,
                recv_time=now,
                tenant=gap.tenant or "",
                account="",
                platform="",
                raw=lost,
            )
        )

    def _append_own(self, event: Event) -> None:
        if self._journal.is_full:
            return  # it is in `status` or the log, too; events of platforms go first
        handed_over = HandedOver(0, event.type, None, None, event.recv_time, encode_event(event))
        self._journal.append(Arrivals(event.account, event.tenant, [handed_over]), done=_nothing)

    def _pump(self) -> None:
        while self._held and not self._journal.is_full:
            peer, frame = self._held.popleft()
            if frame.events:
                arrivals = Arrivals(peer.account, peer.tenant, frame.events)
                self._journal.append(arrivals, done=self._done(peer, frame.events[-1].number))

    def _done(self, peer: Peer, up_to: int) -> Callable[[Commit], None]:
        def done(commit: Commit) -> None:
            if self.hub is not None:
                self.hub.stored(peer, up_to)
            self._counted(peer.account, len(commit.stored), len(commit.duplicates))
            self._pump()

        return done


def _nothing(_: Commit) -> None:
    """Nobody waits for it."""
