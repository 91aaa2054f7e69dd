"""What a silent process is doing, by what the kernel says of it."""

from __future__ import annotations

import pytest

from longwire.evidence import (
    MOST_STARVED_CPU_S,
    Condition,
    Facts,
    Reading,
    Thread,
    condition,
    facts,
    progress_s,
    thread,
)

STAT = "4711 (longwire: a (b) c) R 1 4711 4711 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 9 0 0"


def reading(at: float, *threads: Thread) -> Reading:
    return Reading(at, threads[0], dict(enumerate(threads)))


# Reading.


def test_a_threads_state_and_times_are_read_whatever_its_name_is() -> None:
    found = thread(STAT, "1500000000 250000000 17\n", ticks_per_s=100)
    assert found == Thread("R", cpu_s=1.5, delay_s=0.25)


def test_where_the_kernel_does_not_count_waiting_the_ticks_of_its_cpu_are_taken() -> None:
    assert thread(STAT, "", ticks_per_s=100) == Thread("R", cpu_s=3.0, delay_s=0.0)


@pytest.mark.parametrize("stat", ["", "4711 (longwire", "4711 (longwire) R 1 2"])
def test_what_is_no_stat_is_refused(stat: str) -> None:
    with pytest.raises(ValueError, match="too little"):
        thread(stat, "1 2 3", ticks_per_s=100)


# Between two readings.


def test_cpu_is_that_of_all_threads_and_waiting_that_of_the_one_that_waited_longest() -> None:
    first = reading(10.0, Thread("S", 1.0, 1.0), Thread("S", 2.0, 5.0))
    last = reading(12.0, Thread("S", 1.25, 1.5), Thread("S", 2.5, 5.25))
    assert facts(first, last) == Facts(
        state="S", threads=2, wchan=None, cpu_s=0.75, delay_s=0.5, window_s=2.0
    )


def test_a_thread_that_still_waits_has_waited_for_all_the_time_that_it_did_not_run() -> None:
    """The kernel adds a wait up only when it is over: a starved thread's number stands still."""
    first, last = reading(10.0, Thread("R", 1.0, 1.0)), reading(12.0, Thread("R", 1.5, 1.0))
    assert facts(first, last).delay_s == 1.5


def test_threads_that_began_meanwhile_count_for_nothing() -> None:
    first = reading(10.0, Thread("S", 1.0, 1.0))
    last = reading(12.0, Thread("S", 1.0, 1.0), Thread("R", 50.0, 50.0))
    found = facts(first, last)
    assert (found.threads, found.cpu_s, found.delay_s) == (2, 0.0, 0.0)


def test_a_reading_without_threads_is_no_reason_to_fail() -> None:
    empty = Reading(1.0, Thread("D"), {})
    assert facts(empty, empty) == Facts(
        state="D", threads=0, wchan=None, cpu_s=0.0, delay_s=0.0, window_s=0.0
    )


# Conditions.

LITTLE, ENOUGH = MOST_STARVED_CPU_S - 0.01, MOST_STARVED_CPU_S


@pytest.mark.parametrize(
    ("state", "cpu_s", "delay_s", "window_s", "expected"),
    [
        ("T", 0.0, 0.0, 1.0, Condition.STOPPED),
        ("t", 1.0, 0.0, 1.0, Condition.STOPPED),
        ("S", 0.0, 0.0, 1.0, Condition.BLOCKED),
        ("D", 0.0, 0.0, 1.0, Condition.BLOCKED),
        ("S", 0.1, 0.4, 1.0, Condition.BLOCKED),
        ("S", 0.0, 0.0, 0.0, Condition.BLOCKED),
        ("R", 1.0, 0.0, 1.0, Condition.SPINNING),
        ("R", 0.5, 0.5, 1.0, Condition.SPINNING),
        ("R", LITTLE, 0.8, 1.0, Condition.STARVED),
        ("R", ENOUGH, 0.8, 1.0, Condition.SPINNING),
        ("S", LITTLE, 0.8, 1.0, Condition.STARVED),
        ("R", LITTLE, 0.49, 0.6, Condition.STARVED),
        ("R", 0.15, 0.05, 0.2, Condition.SPINNING),
        ("R", ENOUGH, 8.0, 10.0, Condition.SPINNING),
    ],
    ids=[
        "stopped",
        "traced",
        "asleep",
        "waiting for a disk",
        "asleep for half of the time",
        "no window to see anything in",
        "alone on its CPU",
        "half of a CPU is plenty",
        "wanted and hardly got any",
        "wanted, and got what a beat needs a hundred times",
        "just asleep again, having wanted all the time",
        "a short window",
        "busy in a window too short for much CPU",
        "on a crowded machine, once it has had its CPU",
    ],
)
def test_conditions_are_told_apart(
    state: str, cpu_s: float, delay_s: float, window_s: float, expected: Condition
) -> None:
    found = Facts(state=state, threads=1, wchan=None, cpu_s=cpu_s, delay_s=delay_s, window_s=window_s)
    assert condition(found) is expected


# Starting.


def test_a_start_that_waits_for_a_cpu_makes_no_progress() -> None:
    assert progress_s(70.0, reading(0.0, Thread("R", 1.0, 65.0))) == 5.0
    assert progress_s(70.0, reading(0.0, Thread("R", 1.0, 71.0))) == 0.0


def test_a_start_that_sleeps_makes_all_the_progress_there_is() -> None:
    assert progress_s(70.0, reading(0.0, Thread("S", 1.0, 0.0))) == 70.0
    assert progress_s(70.0, None) == 70.0
