"""How old Lark's answers may get."""

import asyncio
import math

import pytest

from longwire_connectors.base import Account
from longwire_connectors.lark.liveness import PlatformProof, first_answer_s, ping_interval_s, window_s


def account(link_timeout_s: float, *, explicit: bool = False) -> Account:
    return Account(
        account="a",
        tenant="t",
        platform="lark",
        link_timeout_s=link_timeout_s,
        is_link_timeout_explicit=explicit,
    )


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (90, 90.0),
        (0.5, 1.0),
        (0, 1.0),
        (-7, 1.0),
        (601, 600.0),
        (10**400, 600.0),
        (-(10**400), 1.0),
        (math.inf, 600.0),
        (-math.inf, 1.0),
        (math.nan, 42.0),
        (None, 42.0),
        (True, 42.0),
        ("90", 42.0),
        ([90], 42.0),
    ],
)
def test_a_ping_interval_is_clamped_or_stays_as_it_was(given: object, used: float) -> None:
    assert ping_interval_s(given, current_s=42.0) == used


def test_a_pong_may_be_three_intervals_old_or_as_old_as_a_longer_timeout_that_was_chosen() -> None:
    assert window_s(account(60.0), interval_s=90.0) == 270.0
    assert window_s(account(60.0, explicit=True), interval_s=90.0) == 270.0
    assert window_s(account(100.0, explicit=True), interval_s=90.0) == 100.0
    assert window_s(account(100.0), interval_s=90.0) == 270.0


def test_the_first_answer_is_due_within_the_shortest_of_three() -> None:
    assert first_answer_s(account(60.0), interval_s=90.0) == 30.0
    assert first_answer_s(account(7.0), interval_s=90.0) == 7.0
    assert first_answer_s(account(60.0), interval_s=1.0) == 3.0


async def test_silence_ends_when_an_answer_is_overdue_and_not_before() -> None:
    proof = PlatformProof(limit_s=0.05)
    loop = asyncio.get_running_loop()
    started = loop.time()
    proof.note(limit_s=0.15)
    async with asyncio.timeout(10.0):
        await proof.silence()
    assert loop.time() - started >= 0.149


async def test_nothing_ages_while_reading_is_paused() -> None:
    proof = PlatformProof(limit_s=0.05)
    async with asyncio.timeout(10.0), asyncio.TaskGroup() as tasks:
        with proof.paused():
            silence = tasks.create_task(proof.silence())
            done, _ = await asyncio.wait([silence], timeout=0.3)
            assert not done
        await silence
