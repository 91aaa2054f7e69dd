"""Which lines are kept, found and counted; with a hypothesis that looks for lines lost without a word."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire.logbook import tail as tail_module
from longwire.logbook.ring import Line, Ring, Speaker, Wanted
from longwire.logbook.tail import Mark, Tail, TailParams, tail

BEGAN = 1_700_000_000_000_000
ALL = Wanted()
SUPERVISOR = Speaker()
ACME = Speaker("acme", "acme-inc")
ACME_CHILD = Speaker("acme", "acme-inc", is_child=True)
BETA_CHILD = Speaker("beta", "beta-inc", is_child=True)
INFO, WARNING = logging.INFO, logging.WARNING


def ring(max_bytes: int = 1 << 20) -> Ring:
    return Ring(began=BEGAN, max_bytes=max_bytes)


def put(into: Ring, *events: str, speaker: Speaker = SUPERVISOR, level: int = INFO, now: int = 0) -> None:
    for event in events:
        into.put(speaker, level, msgspec.json.encode({"event": event}), now or into.last + 1)


def names(lines: list[Line]) -> list[str]:
    return [json.loads(line.text)["event"] for line in lines]


def look(
    at: Ring, wanted: Wanted = ALL, *, after: Mark | None = None, limit: int = 100, run: str = "r1"
) -> Tail:
    return tail(at, wanted, run=run, limit=limit, after=after)


def recalled(*events: str, position: int) -> list[tuple[Speaker, Line]]:
    return [
        (SUPERVISOR, Line(position + n, INFO, msgspec.json.encode({"event": event})))
        for n, event in enumerate(events)
    ]


# What is kept.


def test_a_line_begins_with_its_time_which_is_its_position() -> None:
    kept = ring()
    put(kept, "a", now=BEGAN + 1_234_567)
    (line,) = kept.newest(ALL, limit=1)
    assert line.text == b'{"time":1700000001.234567,"event":"a"}'
    assert round(json.loads(line.text)["time"] * 1_000_000) == line.position


def test_positions_grow_though_the_clock_stands_still_or_steps_back() -> None:
    kept = ring()
    for now in (BEGAN + 5, BEGAN + 5, BEGAN - 1_000_000, BEGAN + 9):
        put(kept, "a", now=now)
    assert [line.position - BEGAN for line in kept.behind(0, ALL)] == [5, 6, 7, 9]


def test_a_flood_pushes_out_its_own_past_and_nobody_elses() -> None:
    kept = ring(20_000)
    put(kept, *(f"s{n}" for n in range(10)))
    put(kept, *(f"a{n}" for n in range(10)), speaker=ACME)
    put(kept, *(f"x{n}" for n in range(5_000)), speaker=ACME_CHILD)
    lines = names(kept.behind(0, ALL))
    assert lines[:20] == [*(f"s{n}" for n in range(10)), *(f"a{n}" for n in range(10))]
    assert lines[-1] == "x4999"
    assert 20 < len(lines[20:]) < 120
    assert kept.lost(Wanted(account="acme")) == 5_000 - len(lines[20:])


def test_two_floods_share_the_room() -> None:
    kept = ring(40_000)
    for n in range(2_000):
        put(kept, f"a{n}", speaker=ACME_CHILD)
        put(kept, f"b{n}", speaker=BETA_CHILD)
    counts = [len(kept.behind(0, Wanted(account=account))) for account in ("acme", "beta")]
    assert min(counts) > 40


def test_more_speakers_than_there_is_room_for_are_forgotten_from_the_largest_on() -> None:
    kept = ring(20_000)
    for n in range(1_000):
        put(kept, f"line {n}", speaker=Speaker(f"account-{n}"))
    assert 1 <= len(kept.behind(0, ALL)) <= 20


def test_a_line_larger_than_all_the_room_is_not_kept() -> None:
    kept = ring(2_000)
    put(kept, "x" * 3_000)
    assert kept.behind(0, ALL) == []
    put(kept, "small")
    assert names(kept.behind(0, ALL)) == ["small"]


# What is found.


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ALL, ["s", "a", "A", "B"]),
        (Wanted(account="acme"), ["a", "A"]),
        (Wanted(tenant="acme-inc"), ["a", "A"]),
        (Wanted(tenant="beta-inc"), ["B"]),
        (Wanted(account="acme", tenant="beta-inc"), []),
        (Wanted(account="nobody"), []),
        (Wanted(level=WARNING), ["A"]),
        (Wanted(since=BEGAN + 3), ["A", "B"]),
        (Wanted(since=BEGAN + 9), []),
    ],
)
def test_a_reader_gets_what_it_wants_in_order(wanted: Wanted, found: list[str]) -> None:
    kept = ring()
    put(kept, "s")
    put(kept, "a", speaker=ACME)
    put(kept, "A", speaker=ACME_CHILD, level=WARNING)
    put(kept, "B", speaker=BETA_CHILD)
    assert names(kept.newest(wanted, limit=10)) == found
    assert names(kept.behind(0, wanted)) == found


def test_the_newest_are_the_last_of_all_speakers_together() -> None:
    kept = ring()
    put(kept, "a1", "a2", speaker=ACME)
    put(kept, "b1", speaker=BETA_CHILD)
    put(kept, "a3", speaker=ACME)
    assert names(kept.newest(ALL, limit=3)) == ["a2", "b1", "a3"]
    assert kept.newest(ALL, limit=0) == []


# Across a restart.


def test_lines_of_an_earlier_run_come_before_all_others() -> None:
    kept = ring()
    put(kept, "new")
    kept.recall(recalled("old 1", "old 2", position=BEGAN - 100))
    assert names(kept.behind(0, ALL)) == ["old 1", "old 2", "new"]


def test_lines_of_an_earlier_run_come_before_all_others_though_the_clock_was_stepped_back() -> None:
    kept = ring()
    put(kept, "new")
    kept.recall(recalled("old 1", "old 2", position=BEGAN + 1_000_000))
    assert names(kept.behind(0, ALL)) == ["old 1", "old 2", "new"]
    assert names(kept.behind(BEGAN, ALL)) == ["new"]


def test_nothing_to_recall_is_fine() -> None:
    kept = ring()
    kept.recall([])
    assert kept.behind(0, ALL) == []


def test_a_cursor_of_the_run_before_goes_on_where_it_was() -> None:
    kept = ring()
    kept.recall(recalled("seen", "not seen", position=BEGAN - 100))
    put(kept, "new")
    found = look(kept, after=Mark("r0", BEGAN - 100, 77))
    assert (names(found.lines), found.dropped) == (["not seen", "new"], 0)
    assert found.mark == Mark("r1", kept.last, 3)


def test_a_cursor_of_another_run_from_the_future_misses_nothing_of_this_one() -> None:
    kept = ring()
    put(kept, "new")
    assert names(look(kept, after=Mark("r0", BEGAN + 10_000_000, 0)).lines) == ["new"]


# Following.


def test_a_reader_goes_on_where_it_was() -> None:
    kept = ring()
    put(kept, "a", "b", "c")
    first = look(kept, limit=2)
    assert (names(first.lines), first.dropped) == (["b", "c"], 0)
    assert look(kept, after=first.mark).lines == []
    put(kept, "d", "e")
    second = look(kept, after=first.mark)
    assert (names(second.lines), second.dropped) == (["d", "e"], 0)


def test_a_reader_that_takes_little_at_a_time_misses_nothing() -> None:
    kept = ring()
    mark = look(kept).mark
    put(kept, "a", "b", "c")
    seen: list[str] = []
    for _ in range(4):
        found = look(kept, after=mark, limit=1)
        seen += names(found.lines)
        mark = found.mark
        assert found.dropped == 0
    assert seen == ["a", "b", "c"]


def test_a_reader_that_takes_nothing_stays_where_it_is() -> None:
    kept = ring()
    mark = look(kept).mark
    put(kept, "a")
    found = look(kept, after=mark, limit=0)
    assert (found.lines, found.mark) == ([], mark)


def test_a_reply_is_bounded_in_bytes_too_but_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "_MAX_REPLY_BYTES", 100)
    kept = ring()
    mark = look(kept).mark
    put(kept, "small", "x" * 500, "y" * 500)
    found = look(kept)
    assert (names(found.lines), found.left_out) == (["y" * 500], 2)
    found = look(kept, after=mark)
    assert names(found.lines) == ["small"]
    found = look(kept, after=found.mark)
    assert names(found.lines) == ["x" * 500]
    assert names(look(kept, after=found.mark).lines) == ["y" * 500]


def test_the_first_look_tells_how_many_lines_there_are_no_more() -> None:
    kept = ring(10_000)
    put(kept, *(f"{n}" for n in range(500)))
    found = look(kept, limit=1000)
    assert found.dropped == 500 - len(found.lines) > 0


def test_a_reader_is_told_of_exactly_the_lines_that_it_will_never_see() -> None:
    kept = ring(10_000)
    put(kept, *(f"old {n}" for n in range(30)), speaker=ACME_CHILD)
    mark = look(kept, Wanted(account="acme")).mark
    put(kept, *(f"{n}" for n in range(500)), speaker=ACME_CHILD)
    put(kept, *(f"{n}" for n in range(10)), speaker=BETA_CHILD)
    found = look(kept, Wanted(account="acme"), after=mark)
    assert found.dropped == 500 - len(found.lines) > 0
    assert look(kept, Wanted(account="acme"), after=found.mark).dropped == 0
    assert look(kept, Wanted(account="beta"), after=mark).dropped == 0


def test_a_speaker_that_went_with_all_its_lines_is_no_negative_number() -> None:
    kept = ring(3_000)
    put(kept, "x" * 1_000, speaker=ACME_CHILD)
    mark = look(kept).mark
    put(kept, "y" * 1_500)
    assert look(kept, after=mark).dropped == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([SUPERVISOR, ACME, ACME_CHILD, BETA_CHILD]), st.integers(1, 30)),
        st.tuples(st.none(), st.integers(1, 30)),
    ),
    max_size=40,
)


@given(steps=STEPS, wanted=st.sampled_from([ALL, Wanted(account="acme"), Wanted(tenant="beta-inc")]))
def test_what_a_follower_saw_and_what_it_was_told_it_missed_is_all_there_was(
    steps: list[tuple[Speaker | None, int]], wanted: Wanted
) -> None:
    kept = ring(12_000)  # room for every speaker's shelf, so that none goes with all its lines
    mark, seen, missed, written = look(kept, wanted).mark, 0, 0, 0
    for speaker, n in [*steps, *[(None, 1_000)] * 2]:
        if speaker is not None:
            put(kept, *("x" * 50 for _ in range(n)), speaker=speaker)
            written += n * wanted.hears(speaker)
        else:
            found = look(kept, wanted, after=mark, limit=n)
            mark, seen, missed = found.mark, seen + len(found.lines), missed + found.dropped
    assert seen + missed == written


# Cursors and parameters.


def test_a_cursor_is_a_text_and_back() -> None:
    mark = Mark("5f0c9a1e2b3d4c6f", BEGAN, 7)
    assert Mark.parse(str(mark)) == mark


@pytest.mark.parametrize("text", ["", "x", "r-1", "r-1-2-3", "r--1-2", "r-1-9999999999999999999", "r 1-1-1"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        Mark.parse(text)


@pytest.mark.parametrize(
    "params",
    [
        {"lines": -1},
        {"lines": 10_001},
        {"level": "loud"},
        {"since": -1},
        {"wait_ms": 60_001},
        {"follow": True},
    ],
)
def test_parameters_out_of_bounds_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, TailParams)
