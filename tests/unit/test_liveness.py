"""Who is judged for silence, and who is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longwire.backoff import Backoff
from longwire.liveness import LinkWatch, Remedy, RunningClock, Verdict, Vigil
from longwire_protocol.frames import Heartbeat
from longwire_protocol.link import LinkState

LATE, HUNG = Verdict.LATE, Verdict.HUNG


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
        watched.begin(key, 0.0, late_s=3.0, timeout_s=5.0)
    return watched


def test_silence_is_first_late_and_then_hung_and_each_is_said_once() -> None:
    watched = vigil("a")
    assert watched.judge(2.9) == []
    assert watched.judge(3.0) == [("a", LATE)]
    assert watched.judge(4.9) == []
    assert watched.judge(5.0) == [("a", HUNG)]
    assert watched.judge(1000.0) == []
    assert watched.next_due() is None


def test_after_a_long_gap_between_judgements_both_are_said_in_order() -> None:
    assert vigil("a").judge(60.0) == [("a", LATE), ("a", HUNG)]


def test_a_beat_moves_both_deadlines() -> None:
    watched = vigil("a")
    assert watched.beat("a", 2.0) is False
    assert watched.judge(4.9) == []
    assert watched.judge(5.0) == [("a", LATE)]
    assert watched.judge(6.9) == []
    assert watched.judge(7.0) == [("a", HUNG)]


def test_a_beat_of_one_that_is_late_says_so_once() -> None:
    watched = vigil("a")
    watched.judge(3.0)
    assert watched.beat("a", 4.0) is True
    assert watched.beat("a", 4.5) is False
    assert watched.judge(5.0) == []
    assert watched.judge(9.0) == [("a", LATE)]
    assert watched.judge(9.5) == [("a", HUNG)]


def test_who_is_not_watched_is_not_judged() -> None:
    watched = vigil("a", "b")
    watched.end("a")
    watched.end("a")
    watched.end("never")
    assert watched.beat("a", 1.0) is False
    assert watched.judge(3.0) == [("b", LATE)]


def test_beginning_again_forgets_what_was_before() -> None:
    watched = vigil("a")
    watched.judge(3.0)
    watched.begin("a", 4.0, late_s=10.0, timeout_s=20.0)
    assert watched.beat("a", 4.0) is False
    assert watched.judge(13.9) == []
    assert watched.judge(14.0) == [("a", LATE)]


def test_the_next_deadline_is_never_later_than_the_next_verdict() -> None:
    watched = vigil("a", "b")
    assert watched.next_due() == 3.0
    watched.beat("a", 2.0)
    assert watched.next_due() == 3.0
    assert watched.judge(3.0) == [("b", LATE)]
    assert watched.next_due() == 5.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["beat", "begin", "end", "judge"]), st.floats(0, 4)
        ),
        max_size=60,
    )
)
def test_verdicts_are_those_of_a_watch_that_looks_at_everyone(steps: list[tuple[str, str, float]]) -> None:
    watched: Vigil[str] = Vigil()
    beats: dict[str, float] = {}
    late: set[str] = set()
    now = 0.0
    for key, what, wait in steps:
        now += wait
        match what:
            case "begin":
                watched.begin(key, now, late_s=3.0, timeout_s=5.0)
                beats[key] = now
                late.discard(key)
            case "end":
                watched.end(key)
                beats.pop(key, None)
                late.discard(key)
            case "beat":
                assert watched.beat(key, now) == (key in late)
                if key in beats:
                    beats[key] = now
                late.discard(key)
            case _:
                verdicts = watched.judge(now)
                for name, beat_at in tuple(beats.items()):
                    expected = []
                    if now >= beat_at + 5.0:
                        expected = [HUNG] if name in late else [LATE, HUNG]
                        del beats[name]
                        late.discard(name)
                    elif (name, LATE) in verdicts:
                        assert now >= beat_at + 3.0
                        late.add(name)
                        expected = [LATE]
                    assert [verdict for who, verdict in verdicts if who == name] == expected


# Links.

UP = Heartbeat(
    link=LinkState.UP,
    socket_proof_age_s=1.0,
    platform_proof_age_s=None,
    platform_timeout_s=None,
    last_frame_age_s=1.0,
    last_event_age_s=None,
    unstored=0,
    counters={},
)
DOWN = replace(UP, link=LinkState.DOWN)
CONNECTING = replace(UP, link=LinkState.CONNECTING, socket_proof_age_s=None)
STALE = replace(UP, socket_proof_age_s=60 * 1.25 + 5.1)


def judge(watch: LinkWatch, beat: Heartbeat, *times: float) -> list[tuple[Remedy, str] | None]:
    return [watch.judge(beat, now) for now in times]


@pytest.mark.parametrize(
    "beat",
    [
        UP,
        DOWN,
        replace(UP, socket_proof_age_s=None),
        replace(UP, socket_proof_age_s=60 * 1.25 + 5),
        replace(UP, last_event_age_s=1e6, last_frame_age_s=1e6),
        replace(UP, platform_proof_age_s=1e6, platform_timeout_s=None),
        replace(UP, platform_proof_age_s=None, platform_timeout_s=90.0),
        replace(UP, platform_proof_age_s=90 * 1.25 + 5, platform_timeout_s=90.0),
        replace(DOWN, socket_proof_age_s=1e6),
    ],
    ids=[
        "fresh",
        "down",
        "no socket proof yet",
        "within the margin",
        "long without events",
        "a platform that has no proof of its own",
        "no platform proof yet",
        "platform proof within the margin",
        "stale ages of a link that is down",
    ],
)
def test_a_link_in_order_is_let_be(beat: Heartbeat) -> None:
    assert judge(LinkWatch(60.0), beat, *range(100)) == [None] * 100


def test_a_stale_link_is_given_up_after_three_beats_that_say_so() -> None:
    watch = LinkWatch(60.0)
    assert judge(watch, STALE, 1, 2, 3) == [None, None, (Remedy.DISCONNECT, "link_timeout")]


def test_a_silent_platform_is_a_reason_of_its_own() -> None:
    silent = replace(UP, platform_proof_age_s=118.0, platform_timeout_s=90.0)
    assert judge(LinkWatch(60.0), silent, 1, 2, 3)[-1] == (Remedy.DISCONNECT, "platform_silent")


def test_a_beat_in_order_in_between_begins_the_count_anew() -> None:
    watch = LinkWatch(60.0)
    assert judge(watch, STALE, 1, 2) == [None, None]
    assert watch.judge(UP, 3) is None
    assert judge(watch, STALE, 4, 5) == [None, None]
    assert watch.judge(STALE, 6) == (Remedy.DISCONNECT, "link_timeout")


def test_a_child_that_does_not_obey_is_killed() -> None:
    watch = LinkWatch(60.0)
    judge(watch, STALE, 1, 2, 3)
    assert judge(watch, STALE, 4, 13) == [None, None]
    assert watch.judge(STALE, 13.1) == (Remedy.KILL, "link_did_not_end")


def test_a_child_that_obeys_is_forgiven() -> None:
    watch = LinkWatch(60.0)
    judge(watch, STALE, 1, 2, 3)
    assert watch.judge(DOWN, 4) is None
    assert judge(watch, STALE, 100, 101) == [None, None]


def test_an_attempt_has_the_link_timeout_and_half_a_minute_more() -> None:
    watch = LinkWatch(60.0)
    assert judge(watch, CONNECTING, 0, 50, 90) == [None, None, None]
    assert judge(watch, CONNECTING, 91, 92, 93) == [None, None, (Remedy.DISCONNECT, "connect_timeout")]


def test_each_attempt_is_timed_by_itself() -> None:
    watch = LinkWatch(60.0)
    judge(watch, CONNECTING, 0, 89)
    watch.judge(DOWN, 90)
    assert judge(watch, CONNECTING, 91, 170, 180) == [None, None, None]


# Backoff.


def test_the_delay_doubles_from_the_initial_one_up_to_the_cap() -> None:
    backoff = Backoff(initial_s=1.0, max_s=10.0)
    assert [backoff.delay(n, luck=0.0) for n in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_delay_is_between_half_and_the_whole_of_its_step(failures: int, luck: float) -> None:
    backoff = Backoff(initial_s=0.1, max_s=60.0)
    longest = min(60.0, 0.1 * 2.0 ** min(failures - 1, 64))
    assert longest / 2 <= backoff.delay(failures, luck=luck) <= longest


def test_an_initial_delay_of_zero_means_none_ever() -> None:
    assert Backoff(initial_s=0.0, max_s=60.0).delay(1000, luck=0.99) == 0.0
