"""What is to be looked at when."""

from __future__ import annotations

import gc
import weakref
from math import inf

import pytest

from longwire_protocol.agenda import Agenda


def test_an_agenda_tells_what_is_due_in_the_order_of_the_times() -> None:
    agenda: Agenda[str] = Agenda()
    for key, at in (("c", 3.0), ("a", 1.0), ("late", 9.0), ("b", 1.0)):
        agenda.set(key, at)
    assert list(agenda.pop_due(3.0)) == ["a", "b", "c"]
    assert (list(agenda.pop_due(3.0)), agenda.first_at(), len(agenda)) == ([], 9.0, 1)


@pytest.mark.parametrize("later", [0.5, 7.0])
def test_a_thing_has_one_time_in_an_agenda(later: float) -> None:
    agenda: Agenda[str] = Agenda()
    for at in (1.0, later, later):
        agenda.set("it", at)
    assert list(agenda.pop_due(10.0)) == ["it"]
    assert agenda.first_at() == inf


def test_what_is_put_off_for_ever_is_no_longer_in_the_agenda() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.set("it", 1.0)
    agenda.set("it", inf)
    assert (agenda.first_at(), len(agenda)) == (inf, 0)


def test_an_agenda_does_not_grow_by_what_was_called_off() -> None:
    agenda: Agenda[int] = Agenda()
    for key in range(10_000):
        agenda.set(key, 1e9)
        agenda.discard(key)
    agenda.set(-1, 2e9)
    assert len(agenda._heap) < 100
    assert agenda.first_at() == 2e9


def test_an_agenda_does_not_hold_what_was_called_off() -> None:
    class Thing:
        """Something large."""

    agenda: Agenda[Thing] = Agenda()
    thing = Thing()
    agenda.set(thing, 1e9)
    agenda.discard(thing)
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None
