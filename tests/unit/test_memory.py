"""What of an account outlives the supervisor, and when it is written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longwire.memory import MEMORY_PREFIX, Memory, Notebook
from longwire_protocol.event import Bot
from longwire_protocol.link import Fault, LinkFailure

LOST = LinkFailure(fault=Fault.TRANSIENT, reason="closed_by_peer", message="closed")
DELAYED = Memory(failures=1, retry_at=1_000.0, why=LOST)


class Shelf:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Any]] = []

    def put_state(self, key: str, value: Any) -> None:
        self.written.append((key, value))


def book(memory: Memory = Memory()) -> tuple[Notebook, Shelf]:  # noqa: B008  it is frozen
    shelf = Shelf()
    return Notebook("bot", memory, keeper=shelf), shelf


def test_a_failure_is_written_with_its_delay() -> None:
    notes, shelf = book()
    notes.note(DELAYED, now=0.0, ends_at=10.0)
    assert shelf.written == [(MEMORY_PREFIX + "bot", DELAYED)]
    assert notes.memory == DELAYED


def test_the_same_again_is_not_written_though_the_wall_clock_is_never_the_same() -> None:
    notes, shelf = book()
    for jitter in range(5):
        notes.note(msgspec.structs.replace(DELAYED, retry_at=1_000.0 + jitter / 1e6), now=0.0, ends_at=10.0)
    assert len(shelf.written) == 1


def test_another_delay_is_written_though_the_failures_are_the_same() -> None:
    notes, shelf = book()
    notes.note(DELAYED, now=0.0, ends_at=10.0)
    held = msgspec.structs.replace(DELAYED, retry_at=1_020.0)
    notes.note(held, now=10.0, ends_at=30.0)
    assert [value for _, value in shelf.written] == [DELAYED, held]


def test_the_end_of_a_delay_is_not_written_as_it_lies_in_the_past() -> None:
    notes, shelf = book()
    notes.note(DELAYED, now=0.0, ends_at=10.0)
    notes.note(Memory(failures=1), now=10.0, ends_at=None)
    assert len(shelf.written) == 1


def test_a_delay_that_an_operator_cut_short_is_written_off() -> None:
    notes, shelf = book()
    notes.note(DELAYED, now=0.0, ends_at=10.0)
    notes.note(Memory(failures=1), now=3.0, ends_at=None)
    assert shelf.written[-1] == (MEMORY_PREFIX + "bot", Memory(failures=1))


def test_what_lasts_is_written_when_it_changes() -> None:
    notes, shelf = book(Memory(failures=2))
    steps = [Memory(), Memory(bot=Bot(id="b")), Memory(bot=Bot(id="b"), was_online=True)]
    for memory in steps:
        notes.note(memory, now=0.0, ends_at=None)
        notes.note(memory, now=1.0, ends_at=None)
    assert [value for _, value in shelf.written] == steps


@pytest.mark.parametrize(
    ("memory", "left_s"),
    [
        (Memory(), 0.0),
        (Memory(retry_at=990.0), 0.0),
        (Memory(retry_at=1_007.0), 7.0),
        (Memory(retry_at=9_000.0, why=LOST), 60.0),
        (Memory(retry_at=1_500.0, why=msgspec.structs.replace(LOST, retry_after_s=600.0)), 500.0),
        (Memory(retry_at=9_000.0, why=msgspec.structs.replace(LOST, retry_after_s=600.0)), 600.0),
    ],
)
def test_what_is_left_of_a_delay_is_waited_out_whatever_the_wall_clock_did(
    memory: Memory, left_s: float
) -> None:
    assert memory.left_s(1_000.0, longest_s=60.0) == left_s
