"""How late a loop's turns are: the worst but for one of a hundred."""

from __future__ import annotations

from longwire.courier.lag import Lag


def test_nothing_known_is_no_lag() -> None:
    assert Lag().p99_s == 0.0


def test_one_of_a_hundred_may_be_later() -> None:
    lag = Lag()
    for _ in range(198):
        lag.note(0.001)
    lag.note(-1.0)
    lag.note(9.0)
    assert lag.p99_s == 0.001
    lag.note(9.0)
    lag.note(9.0)
    assert lag.p99_s == 9.0


def test_what_is_long_ago_is_forgotten() -> None:
    lag = Lag()
    for _ in range(100):
        lag.note(9.0)
    for _ in range(1_500):
        lag.note(0.002)
    assert lag.p99_s == 0.002
