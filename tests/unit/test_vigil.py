"""Whose silence has come how far, in the supervisor's own running time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire.vigil import RunningClock, Stage, Vigil

LATE, SUSPECT, OVER = Stage.LATE, Stage.SUSPECT, Stage.OVER


# Running time.


def test_running_time_is_the_time_between_regular_looks() -> None:
    clock = RunningClock(100.0, max_step_s=0.4)
    assert clock.look(100.2) == pytest.approx(0.2)
    assert clock.look(100.4) == pytest.approx(0.4)
    assert clock.value == pytest.approx(0.4)


def test_a_supervisor_that_stood_still_hardly_grows_older() -> None:
    clock = RunningClock(0.0, max_step_s=0.4)
    assert clock.look(3600.0) == pytest.approx(0.4)
    assert clock.look(3600.2) == pytest.approx(0.6)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    clock = RunningClock(10.0, max_step_s=1.0)
    clock.look(10.5)
    assert clock.look(5.0) == pytest.approx(0.5)
    assert clock.look(5.5) == pytest.approx(1.0)


@given(st.lists(st.floats(0, 100), max_size=30))
def test_running_time_never_outruns_the_clock_nor_the_looks(steps: list[float]) -> None:
    clock, now, before = RunningClock(0.0, max_step_s=0.4), 0.0, 0.0
    for step in steps:
        now += step
        value = clock.look(now)
        assert before <= value <= before + 0.4 + 1e-9
        before = value
    assert clock.value <= now + 1e-6


# Heartbeats.


def vigil(*keys: str) -> Vigil[str]:
    watched: Vigil[str] = Vigil()
    for key in keys:
        watched.begin(key, 0.0, limit_s=10.0)
    return watched


def test_a_silence_is_late_then_suspect_then_over_and_each_is_said_once() -> None:
    watched = vigil("a")
    assert watched.due(5.9) == []
    assert watched.due(6.0) == [("a", LATE)]
    assert watched.due(7.9) == []
    assert watched.due(8.0) == [("a", SUSPECT)]
    assert watched.due(9.9) == []
    assert watched.due(10.0) == [("a", OVER)]
    assert watched.due(15.9) == []


def test_who_is_over_is_watched_on_until_somebody_ends_that() -> None:
    watched = vigil("a")
    for now in (6.0, 8.0, 10.0):
        watched.due(now)
    assert [watched.due(now) for now in (16.0, 18.0, 20.0)] == [
        [("a", LATE)],
        [("a", SUSPECT)],
        [("a", OVER)],
    ]
    watched.end("a")
    assert watched.due(1000.0) == []
    assert watched.next_due() is None


def test_of_many_the_longest_overdue_come_first_and_the_others_unless_they_have_beaten_at_the_next_call() -> (
    None
):
    watched: Vigil[str] = Vigil()
    for at, key in enumerate("abcd"):
        watched.begin(key, at / 10, limit_s=10.0)
    assert watched.due(7.0, most=2) == [("a", LATE), ("b", LATE)]
    watched.beat("c", 7.0)
    assert watched.due(7.0, most=2) == [("d", LATE)]
    assert watched.due(7.0, most=2) == []


def test_between_two_stages_of_a_silence_is_a_gap_however_late_they_are_told() -> None:
    watched: Vigil[str] = Vigil(gap_s=0.5)
    watched.begin("a", 0.0, limit_s=10.0)
    assert watched.due(60.0) == [("a", LATE)]
    assert watched.due(60.4) == []
    assert watched.next_due() == 60.5
    assert watched.due(60.5) == [("a", SUSPECT)]


def test_after_a_long_gap_each_look_tells_one_stage_so_that_evidence_has_time_to_come() -> None:
    watched = vigil("a", "b")
    assert watched.due(60.0) == [("a", LATE), ("b", LATE)]
    assert watched.due(60.0) == [("a", SUSPECT), ("b", SUSPECT)]
    assert watched.due(60.0) == [("a", OVER), ("b", OVER)]
    assert watched.due(60.0) == []


def test_a_beat_moves_every_deadline() -> None:
    watched = vigil("a")
    watched.beat("a", 2.0)
    assert watched.due(7.9) == []
    assert watched.due(8.0) == [("a", LATE)]
    assert watched.due(9.9) == []
    assert watched.due(10.0) == [("a", SUSPECT)]
    assert watched.due(11.9) == []
    assert watched.due(12.0) == [("a", OVER)]


def test_after_a_beat_of_one_that_was_late_the_stages_begin_again() -> None:
    watched = vigil("a")
    watched.due(6.0)
    watched.due(8.0)
    watched.beat("a", 9.5)
    assert watched.due(15.4) == []
    assert watched.due(15.5) == [("a", LATE)]


def test_who_is_not_watched_is_not_told_of() -> None:
    watched = vigil("a", "b")
    watched.end("a")
    watched.end("a")
    watched.end("never")
    watched.beat("a", 1.0)
    assert watched.due(6.0) == [("b", LATE)]


def test_beginning_again_forgets_what_was_before() -> None:
    watched = vigil("a")
    watched.due(6.0)
    watched.begin("a", 7.0, limit_s=20.0)
    watched.beat("a", 7.0)
    assert watched.due(18.9) == []
    assert watched.due(19.0) == [("a", LATE)]


def test_the_next_deadline_is_never_later_than_the_next_stage() -> None:
    watched = vigil("a", "b")
    assert watched.next_due() == 6.0
    watched.beat("a", 2.0)
    assert watched.next_due() == 6.0
    assert watched.due(6.0) == [("b", LATE)]
    assert watched.next_due() == 8.0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["beat", "begin", "end", "due"]), st.floats(0, 8)),
        max_size=60,
    )
)
def test_stages_are_those_of_a_watch_that_looks_at_everyone(steps: list[tuple[str, str, float]]) -> None:
    watched: Vigil[str] = Vigil()
    beats: dict[str, float] = {}
    passed: dict[str, int] = {}
    now = 0.0
    for key, what, wait in steps:
        now += wait
        match what:
            case "begin":
                watched.begin(key, now, limit_s=10.0)
                beats[key], passed[key] = now, 0
            case "end":
                watched.end(key)
                beats.pop(key, None)
            case "beat":
                watched.beat(key, now)
                if key in beats:
                    beats[key], passed[key] = now, 0
            case _:
                told = dict(watched.due(now))
                for name, beat_at in tuple(beats.items()):
                    stage = (LATE, SUSPECT, OVER)[passed[name]]
                    is_due = now >= beat_at + 10.0 * stage.value
                    assert told.pop(name, None) == (stage if is_due else None)
                    passed[name] += is_due
                    if is_due and stage is OVER:
                        beats[name], passed[name] = now, 0
                assert told == {}
