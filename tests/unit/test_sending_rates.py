"""A platform's limits hold in all windows, wherever between request and answer the platform counts."""

from collections.abc import Sequence
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from longwire.sending.rates import SLEW, Bucket
from longwire_protocol.declaration import Rate

LARK_APP = (Rate(50, 1.0), Rate(1000, 60.0))


def spend(bucket: Bucket, times: int, *, at: float, latency_s: float = 0.0) -> None:
    for _ in range(times):
        assert bucket.free_at() <= at
        bucket.take()
    for _ in range(times):
        bucket.give_back(at + latency_s)


def test_a_limit_is_used_up_to_the_last_request_and_no_further() -> None:
    bucket = Bucket((Rate(5, 1.0),))
    spend(bucket, 5, at=10.0)
    assert bucket.free_at() == 10.0 + SLEW


def test_a_pause_gives_nothing_on_top() -> None:
    bucket = Bucket((Rate(5, 1.0),))
    spend(bucket, 5, at=1_000.0)
    spend_at = bucket.free_at()
    assert spend_at > 1_001.0
    spend(bucket, 5, at=spend_at)
    assert bucket.free_at() > spend_at + 1


def test_a_token_is_out_until_a_window_after_the_answer() -> None:
    bucket = Bucket((Rate(2, 1.0),))
    spend(bucket, 2, at=0.0, latency_s=7.0)
    assert bucket.free_at() == 7.0 + SLEW


def test_a_request_without_answer_keeps_its_token() -> None:
    bucket = Bucket((Rate(1, 1.0),))
    bucket.take()
    assert bucket.free_at() == inf


def test_each_of_several_windows_holds() -> None:
    bucket = Bucket(LARK_APP)
    now = 0.0
    for _ in range(20):
        now = max(now, bucket.free_at())
        spend(bucket, 50, at=now)
    assert now < 20
    assert bucket.free_at() == 60 * SLEW


def test_without_limits_there_is_always_a_token_and_nothing_to_remember() -> None:
    bucket = Bucket(())
    spend(bucket, 10_000, at=0.0)
    assert (bucket.free_at(), bucket.rested_at()) == (-inf, -inf)


def test_a_bucket_is_as_new_when_its_longest_window_has_passed() -> None:
    bucket = Bucket(LARK_APP)
    assert bucket.rested_at() == -inf
    spend(bucket, 1, at=5.0)
    assert bucket.rested_at() == 5.0 + 60 * SLEW


def test_an_answer_that_is_told_late_counts_from_the_one_before() -> None:
    bucket = Bucket((Rate(1, 1.0),))
    bucket.count(5.0)
    bucket.count(4.0)
    assert bucket.free_at() == 5.0 + SLEW


@given(
    rates=st.lists(st.builds(Rate, st.integers(1, 6), st.sampled_from([0.5, 1.0, 7.0])), max_size=3),
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.5, 3.0]), st.sampled_from([0.0, 0.2, 4.0]), st.floats(0, 1)),
        max_size=60,
    ),
)
def test_no_window_of_the_platform_has_more_than_its_limit(
    rates: list[Rate], steps: list[tuple[float, float, float]]
) -> None:
    """Each step: how long to wait, how long the request takes, when in that time the platform counts."""
    bucket, now, counted = Bucket(rates), 0.0, list[float]()
    for pause_s, latency_s, moment in steps:
        now = max(now + pause_s, bucket.free_at())
        bucket.take()
        counted.append(now + moment * latency_s)
        now += latency_s
        bucket.give_back(now)
    assert_within(rates, counted)


def assert_within(rates: Sequence[Rate], counted: Sequence[float]) -> None:
    times = sorted(counted)
    for rate in rates:
        for first, one_too_many in zip(times, times[rate.most :], strict=False):
            assert one_too_many - first > rate.within_s
