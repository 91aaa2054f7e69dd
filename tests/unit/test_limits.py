from __future__ import annotations

import pytest

from longwire.limits import Excess, Limits, Meter, Recycling

MIB = 1024 * 1024
LIMITS = Limits(memory_mb=100, cpu_percent=50.0, open_files=1024, nice=0)


def meter(*looks: tuple[float, float], rss_mb: int = 10) -> Meter:
    """Return the meter of a process that was looked at: clock and CPU seconds."""
    measured = Meter(7, window_s=60.0)
    for now, cpu_s in looks:
        measured.look(now, rss_bytes=rss_mb * MIB, cpu_s=cpu_s)
    return measured


def reason(excess: Excess | None) -> str | None:
    return excess and excess.reason


def test_of_a_process_that_was_never_looked_at_nothing_is_known() -> None:
    assert meter().excess(LIMITS) is None
    assert not meter().is_suspect(LIMITS)


def test_what_is_shared_does_not_count_where_the_share_is_known() -> None:
    measured = meter((0.0, 0.0), rss_mb=150)
    assert measured.is_suspect(LIMITS)
    measured.weigh(90 * MIB)
    assert measured.excess(LIMITS) is None
    measured.weigh(101 * MIB)
    excess = measured.excess(LIMITS)
    assert excess is not None
    assert (excess.reason, excess.is_urgent) == ("memory_limit", False)
    assert "101 MiB" in excess.message
    assert "memory_limit_mb" in excess.user_action


def test_all_that_is_resident_counts_where_the_share_cannot_be_read() -> None:
    measured = meter((0.0, 0.0), rss_mb=150)
    measured.weigh(None)
    assert measured.is_weighed
    assert reason(measured.excess(LIMITS)) == "memory_limit"


def test_a_share_is_forgotten_once_what_is_resident_is_within_the_limit() -> None:
    measured = meter((0.0, 0.0), rss_mb=150)
    measured.weigh(150 * MIB)
    measured.look(5.0, rss_bytes=60 * MIB, cpu_s=0.0)
    assert measured.excess(LIMITS) is None


def test_twice_the_limit_leaves_no_room_for_a_second_process() -> None:
    excess = meter((0.0, 0.0), rss_mb=200).excess(LIMITS)
    assert excess is not None
    assert excess.is_urgent


def test_cpu_is_shown_between_looks_and_judged_over_the_window() -> None:
    measured = meter((0.0, 0.0), (10.0, 9.0))
    assert measured.cpu_percent == pytest.approx(90.0)
    assert measured.excess(LIMITS) is None
    measured.look(60.0, rss_bytes=0, cpu_s=33.0)
    assert measured.cpu_percent == pytest.approx(48.0)
    excess = measured.excess(LIMITS)
    assert excess is not None
    assert (excess.reason, excess.is_urgent) == ("cpu_limit", False)
    assert "55 % of a core, 50 are allowed" in excess.message


def test_a_burst_of_cpu_within_the_window_is_allowed_and_a_calm_window_ends_the_excess() -> None:
    measured = meter((0.0, 0.0), (30.0, 29.0), (60.0, 29.0))
    assert measured.excess(LIMITS) is None
    measured.look(120.0, rss_bytes=0, cpu_s=89.0)
    assert reason(measured.excess(LIMITS)) == "cpu_limit"
    measured.look(150.0, rss_bytes=0, cpu_s=89.0)
    assert reason(measured.excess(LIMITS)) == "cpu_limit"
    measured.look(180.0, rss_bytes=0, cpu_s=89.0)
    assert measured.excess(LIMITS) is None


def test_without_a_limit_any_cpu_is_allowed() -> None:
    unlimited = Limits(memory_mb=100, cpu_percent=0.0, open_files=1024, nice=0)
    assert meter((0.0, 0.0), (60.0, 240.0)).excess(unlimited) is None


def test_two_looks_in_the_same_moment_divide_by_nothing() -> None:
    assert meter((5.0, 1.0), (5.0, 1.0)).cpu_percent == 0.0


def test_a_child_that_is_over_its_limit_at_once_is_replaced_ever_more_rarely() -> None:
    recycling, times, now = Recycling(), list[float](), 0.0
    while now < 3600:
        if recycling.may(now):
            recycling.note(now)
            times.append(now)
        now += 5
    assert times == [0, 60, 180, 420, 900, 1500, 2100, 2700, 3300]


def test_a_slow_leak_is_replaced_each_time() -> None:
    recycling = Recycling()
    for hour in range(10):
        assert recycling.may(3600.0 * hour)
        recycling.note(3600.0 * hour)
        assert recycling.in_a_row == 1
