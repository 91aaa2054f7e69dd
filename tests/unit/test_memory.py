"""What of an account outlives the supervisor, and when it is written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longwire.memory import MEMORY_PREFIX, Memories, Memory, Notebook
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


def of(name: str) -> Memory:
    return Memory(bot=Bot(id=name))


def test_what_was_known_of_an_account_is_known_when_it_comes_again() -> None:
    shelf = Shelf()
    memories = Memories({MEMORY_PREFIX + "a": DELAYED}, keeper=shelf)
    assert memories.take("a") == DELAYED
    assert memories.take("a") == Memory()  # since it is there, it knows itself
    memories.keep("a", of("a"))
    assert shelf.written == [(MEMORY_PREFIX + "a", of("a"))]
    memories.trim()
    assert memories.take("a") == of("a")


def test_of_accounts_that_are_gone_the_latest_are_remembered_and_the_others_leave_the_disk_too() -> None:
    shelf = Shelf()
    known = {MEMORY_PREFIX + name: of(name) for name in ("old", "older")} | {MEMORY_PREFIX + "there": DELAYED}
    memories = Memories(known, keeper=shelf, most=2)
    memories.take("there")
    memories.keep("old", memories.take("old"))  # it was there once more
    memories.keep("new", of("new"))
    shelf.written.clear()
    memories.trim()
    assert shelf.written == [(MEMORY_PREFIX + "older", None)]


def test_one_that_is_gone_with_neither_identity_nor_failures_is_not_remembered() -> None:
    shelf = Shelf()
    known = {"a": Memory(app="x", was_online=True), "b": of("b"), "c": DELAYED}
    memories = Memories({MEMORY_PREFIX + name: known[name] for name in known}, keeper=shelf)
    memories.trim()
    assert shelf.written == [(MEMORY_PREFIX + "a", None)]
    assert [memories.take(name) for name in "abc"] == [Memory(), of("b"), DELAYED]
