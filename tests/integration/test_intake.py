"""Between children and journal: what is held while the journal takes nothing."""

from __future__ import annotations

from typing import cast

from longwire.children import Owner, Peer
from longwire.intake import Intake
from longwire.journal import Arrivals, EventStore
from longwire_protocol.frames import HandedOver, HandOver


class FullJournal:
    """A journal that is full until it is told otherwise."""

    def __init__(self) -> None:
        self.is_full = True
        self.taken: list[int] = []

    def append(self, arrivals: Arrivals, *, done: object) -> None:
        del done
        self.taken += [event.number for event in arrivals.events]


def peer(incarnation: int) -> Peer:
    return Peer("bot", "acme", incarnation, cast("Owner", None))


def frame(number: int) -> HandOver:
    return HandOver([HandedOver(number, "message.created", "c", None, 0.0, b"\x80")])


def test_what_dead_children_left_is_dropped_while_the_journal_is_full() -> None:
    """It was never called stored, so the platform delivers it again; else each restart would add a window."""
    journal = FullJournal()
    intake = Intake(cast("EventStore", journal), counted=lambda *_: None)
    alive = peer(100)
    for incarnation in range(20):
        child = peer(incarnation)
        intake.hand_over(child, frame(incarnation))
        child.is_retired = True
        intake.hand_over(child, frame(incarnation))
    intake.hand_over(alive, frame(100))
    journal.is_full = False
    intake.hand_over(alive, frame(101))
    assert journal.taken == [100, 101]


def test_what_dead_children_left_is_stored_while_there_is_room() -> None:
    journal = FullJournal()
    journal.is_full = False
    intake = Intake(cast("EventStore", journal), counted=lambda *_: None)
    child = peer(1)
    child.is_retired = True
    intake.hand_over(child, frame(7))
    assert journal.taken == [7]
