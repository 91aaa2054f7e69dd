"""Deduplication in the journal's own tables: what is recognised, for how long, and after which crash."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from fakes.journal import arrivals, numbers, path_fixture  # noqa: F401  # pytest finds it here
from longwire.journal import dedup
from longwire.journal.keyfilter import KeyFilter
from longwire.journal.recovery import recover
from longwire.journal.schema import PAGE_BYTES, open_for_writing
from longwire.journal.store import Store

WINDOW_S = 100.0


@pytest.fixture(autouse=True)
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four keys to a run, three runs to a filter, which is saved after each second."""
    monkeypatch.setattr(dedup, "RUN_KEYS", 4)
    monkeypatch.setattr(dedup, "RUNS_PER_FILTER", 3)
    monkeypatch.setattr(dedup, "_SAVED_EACH", 2)


class Shelf:
    """A store that can be put away and taken out again, at a time of the test's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_000_000.0
        self.reopen()

    def reopen(self) -> None:
        """Take it out as a restart does; what was not committed is gone."""
        self.connection = open_for_writing(self.path)
        self.store = Store(self.connection, dedup_window_s=WINDOW_S, wall_clock=lambda: self.now)

    def crash(self) -> None:
        self.connection.close()
        self.reopen()

    def put(self, *keys: str | None) -> list[int]:
        """Store what is new, seal if that is due, and return the numbers given."""
        (commit,) = self.store.commit([arrivals(*keys)], states={})
        if self.store.is_seal_due:
            self.store.seal()
        return numbers(commit.stored)

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


@pytest.fixture(name="shelf")
def shelf_fixture(path: Path) -> Iterator[Shelf]:
    shelf = Shelf(path)
    yield shelf
    shelf.connection.close()


def test_keys_are_known_across_runs_filters_and_restarts(shelf: Shelf) -> None:
    keys = [f"k{n}" for n in range(60)]
    for pair in zip(keys[::2], keys[1::2], strict=True):
        assert len(shelf.put(*pair)) == 2
    assert (shelf.count("key_log"), shelf.count("key_runs"), shelf.count("key_filters")) == (0, 15, 5)
    for _ in range(2):
        assert shelf.put(*keys) == []
        shelf.crash()
    assert shelf.put("new", *keys) == [61]


def test_keys_are_found_in_every_row_of_a_run_and_others_in_none(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedup, "RUN_KEYS", 1000)
    keys = [f"k{n}" for n in range(1000)]
    assert len(shelf.put(*keys)) == 1000
    assert (shelf.count("key_log"), shelf.count("key_runs"), shelf.count("sealed_keys")) == (0, 1, 16)
    shelf.crash()
    monkeypatch.setattr(KeyFilter, "find", lambda _, probe: list(range(len(probe.hashes))))  # none excluded
    assert shelf.put(*keys) == []
    assert len(shelf.put(*[f"new {n}" for n in range(500)])) == 500


def test_numbers_have_no_gap_where_a_duplicate_was(shelf: Shelf) -> None:
    assert shelf.put("a") == [1]
    assert shelf.put("b", "a", "a") == [2]
    assert shelf.put("a", "b", "c", "c", "d") == [3, 4]


def test_a_commit_that_failed_leaves_no_key_behind(shelf: Shelf) -> None:
    failing = Store(shelf.connection, dedup_window_s=WINDOW_S, before_commit=_fail)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            failing.commit([arrivals("a", "b")], states={})
    assert shelf.put("a", "b") == [1, 2]


def test_a_seal_that_failed_is_done_again_and_forgets_nothing(shelf: Shelf) -> None:
    shelf.connection.execute("CREATE TRIGGER refuse INSERT ON key_runs BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(sqlite3.Error, match="no"):
        shelf.put("a", "b", "c", "d")
    (again,) = shelf.store.commit([arrivals("a", "e")], states={})
    assert (numbers(again.stored), len(again.duplicates)) == ([5], 1)
    shelf.connection.execute("DROP TRIGGER refuse")
    shelf.store.seal()
    assert shelf.count("key_log") == 0
    assert shelf.put("a", "b", "c", "d", "e") == []


def test_a_key_is_forgotten_after_the_window_and_not_before(shelf: Shelf) -> None:
    shelf.put("old 1", "old 2", "old 3", "old 4")
    shelf.now += WINDOW_S - 1.0
    shelf.put(*[f"a{n}" for n in range(4)])
    assert shelf.put("old 1") == []
    shelf.now += 2.0
    shelf.put(*[f"b{n}" for n in range(4)])
    assert len(shelf.put("old 1")) == 1
    assert shelf.put(*[f"a{n}" for n in range(4)]) == []


def test_the_index_stays_as_small_as_the_window(shelf: Shelf) -> None:
    for n in range(200):
        shelf.now += WINDOW_S / 5
        shelf.put(*[f"{n}/{m}" for m in range(4)])
    assert shelf.count("key_runs") == shelf.count("sealed_keys") <= 7
    assert shelf.count("key_filters") <= 4
    shelf.crash()
    assert shelf.put("199/0", "199/3") == []


@pytest.mark.parametrize("seed", range(5))
def test_it_says_what_a_set_would_say_whatever_comes(shelf: Shelf, seed: int) -> None:
    random = Random(seed)  # noqa: S311  # for a test
    known: set[str] = set()
    for _ in range(150):
        keys = [random.choice([None, f"k{random.randrange(300)}"]) for _ in range(random.randrange(12))]
        expected = 0
        for key in keys:
            expected += key is None or key not in known
            known |= {key} - {None}
        assert len(shelf.put(*keys)) == expected
        if random.random() < 0.1:
            shelf.crash()


@pytest.mark.parametrize(
    "lost", [["key_runs"], ["sealed_keys"], ["key_runs", "sealed_keys"], ["key_filters"]], ids="+".join
)
def test_keys_are_known_after_a_recovery_that_lost_a_part_of_the_index(shelf: Shelf, lost: list[str]) -> None:
    old = [f"old {n}" for n in range(44)]
    for n in range(0, 44, 4):
        shelf.put(*old[n : n + 4])
    roots = dict(shelf.connection.execute("SELECT name, rootpage FROM sqlite_schema"))
    shelf.connection.close()
    for table in lost:
        with shelf.path.open("r+b") as file:
            file.seek((roots[table] - 1) * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))
    copy, _ = recover(shelf.path)
    assert copy.damaged_tables == sorted(lost)
    shelf.reopen()
    if "sealed_keys" not in lost:
        assert shelf.put(*old) == []
    new = [f"new {n}" for n in range(44)]
    for n in range(0, 44, 4):
        assert len(shelf.put(*new[n : n + 4])) == 4
        shelf.crash()
        assert shelf.put(*new[: n + 4]) == []


def _fail() -> None:
    raise sqlite3.OperationalError("disk I/O error")
