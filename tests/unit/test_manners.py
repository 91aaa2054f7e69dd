"""How close together one account may connect."""

from __future__ import annotations

import msgspec
import pytest

from fakes.configuration import LARK_ACCOUNT, read
from longwire.manners import RESTARTS, Manners
from longwire.pacing import Spacing, Spacings

ACCOUNTS = read(
    {"accounts": {"ding": {"connector": "dingtalk", "client_id": "1"}, "lark": LARK_ACCOUNT}}
).accounts
DING, LARK = ACCOUNTS["ding"], ACCOUNTS["lark"]


def connect(manners: Manners, now: float) -> bool:
    if manners.hold_s(DING, now):
        return False
    manners.connects(DING, now)
    return True


def test_a_platform_that_minds_gets_a_burst_and_then_one_each_interval() -> None:
    manners = Manners()
    assert [connect(manners, 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert manners.hold_s(DING, 0.0) == 20.0
    assert manners.hold_s(DING, 15.0) == pytest.approx(5.0)
    assert connect(manners, 20.0)
    assert not connect(manners, 20.0)


def test_c6_ten_restarts_in_a_minute_make_few_connections_and_the_others_are_told_when() -> None:
    """A connection at the start, then a restart each 6 s: 3 + 60 / 20 connections at most."""
    manners, answers = Manners(), list[float]()
    assert connect(manners, 0.0)
    for number in range(10):
        now = 6.0 * number
        answers.append(manners.restart(DING, now))
        if not answers[-1]:
            assert connect(manners, now), "what was promised is kept"
    assert answers.count(0.0) <= 5
    assert all(0 <= answer <= 20.0 for answer in answers)


def test_a_platform_that_does_not_mind_is_limited_for_operators_alone() -> None:
    manners = Manners()
    for _ in range(100):
        assert manners.hold_s(LARK, 0.0) == 0.0
        manners.connects(LARK, 0.0)
    assert [manners.restart(LARK, 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, RESTARTS.every_s]


def test_one_account_spends_nothing_of_anothers() -> None:
    manners, other = Manners(), msgspec.structs.replace(DING, account="other")
    while connect(manners, 0.0):
        pass
    assert manners.hold_s(other, 0.0) == 0.0


def test_without_a_delay_there_is_no_limit() -> None:
    spacings, none = Spacings(), Spacing(burst=1, every_s=0.0)
    assert [spacings.take("x", none, 0.0) for _ in range(5)] == [0.0] * 5
    assert spacings.wait_s("x", none, 0.0) == 0.0


def test_another_pace_gives_an_account_nothing_at_once() -> None:
    manners = Manners()
    while connect(manners, 0.0):
        pass
    settings = msgspec.structs.replace(DING.settings, backoff_initial_s=30.0)
    slower = msgspec.structs.replace(DING, settings=settings)
    assert manners.hold_s(slower, 0.0) == 30.0
    assert manners.hold_s(DING, 0.0) == 20.0, "nor does the way back"
    assert manners.hold_s(slower, 15.0) == pytest.approx(30.0 - 15.0 / 20.0 * 30.0)
    manners.connects(slower, 15.0)
    assert manners.hold_s(slower, 15.0) > 0


def test_another_burst_is_neither_a_gift_nor_a_debt() -> None:
    spacings = Spacings()
    assert spacings.take("x", Spacing(burst=3, every_s=10.0), 0.0) == 0.0
    many = Spacing(burst=100, every_s=10.0)
    assert [spacings.take("x", many, 0.0) for _ in range(3)] == [0.0, 0.0, 10.0]
    assert spacings.take("x", Spacing(burst=1, every_s=10.0), 1000.0) == 0.0
    assert spacings.take("x", Spacing(burst=1, every_s=10.0), 1000.0) == 10.0


def test_what_is_remembered_of_accounts_that_come_and_go_is_bounded() -> None:
    spacings, spacing = Spacings(), Spacing(burst=1, every_s=10.0)
    for number in range(5_000):
        assert spacings.take(f"bot-{number}", spacing, float(number)) == 0.0
        assert spacings.take(f"bot-{number}", Spacing(burst=1, every_s=20.0), float(number)) > 0
    assert len(spacings._buckets) <= 1_000
    assert spacings.take("bot-4999", spacing, 4999.0) > 0, "and what still matters is remembered"


def test_what_still_matters_is_not_looked_through_for_every_account_that_comes() -> None:
    spacings, spacing, rooms = Spacings(), Spacing(burst=1, every_s=1e9), set[int]()
    for number in range(5_000):
        spacings.take(f"bot-{number}", spacing, float(number))
        rooms.add(spacings._room)
    assert rooms == {1_000, 2_000, 4_000, 8_000}
