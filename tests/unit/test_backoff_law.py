"""T10: what the law gives, on a simulated clock, against a platform that fails each attempt at once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from longwire.backoff import Backoff
from longwire.lifecycle import Happened, Life, Rules, State, Trigger, step
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.lark.connector import LarkConnector
from longwire_protocol.link import Fault, LinkFailure

LOST = LinkFailure(fault=Fault.TRANSIENT, reason="closed_by_peer", message="closed")
REFUSED = LinkFailure(fault=Fault.PERMANENT, reason="bad_credentials", message="no", user_action="mend it")
SEEDS = range(50)
MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0


def rules(declaration: object) -> Rules:
    initial_s, max_s = (getattr(declaration, f"backoff_{name}_s") for name in ("initial", "max"))
    return Rules(Backoff(initial_s, max_s), stable_after_s=60.0)


LARK, DINGTALK = rules(LarkConnector.declaration), rules(DingTalkConnector.declaration)


def connects(law: Rules, *, seed: int, for_s: float, is_accepted: bool = False) -> list[float]:
    """Return when an account connects whose link is refused, or is proven and lost in the same moment."""
    luck = random.Random(seed)  # noqa: S311  the same for each run
    life, times, now = Life(), list[float](), 0.0

    def happen(trigger: Trigger) -> None:
        nonlocal life
        life, _ = step(life, Happened(trigger=trigger, now=now, luck=luck.random(), why=LOST), law)

    happen(Trigger.START)
    happen(Trigger.READY)
    while now < for_s:
        times.append(now)
        if is_accepted:
            happen(Trigger.PROVEN)
        happen(Trigger.FAILED)
        assert life.retry_at is not None
        now = life.retry_at
        happen(Trigger.RETRY)
    return times


@pytest.mark.parametrize("is_accepted", [False, True], ids=["refused", "accepted and dropped"])
@pytest.mark.parametrize(
    ("law", "for_s", "at_most"),
    [
        (LARK, MINUTE_S, 11),
        (LARK, HOUR_S, 95),
        (LARK, DAY_S, 1_960),
        (DINGTALK, MINUTE_S, 4),
        (DINGTALK, HOUR_S, 23),
        (DINGTALK, DAY_S, 400),
    ],
    ids=["lark minute", "lark hour", "lark day", "dingtalk minute", "dingtalk hour", "dingtalk day"],
)
def test_a_platform_that_fails_each_attempt_is_not_asked_more_often_than_the_law_gives(
    law: Rules, for_s: float, at_most: int, *, is_accepted: bool
) -> None:
    counts = [len(connects(law, seed=seed, for_s=for_s, is_accepted=is_accepted)) for seed in SEEDS]
    assert max(counts) <= at_most
    assert min(counts) >= at_most * 0.6, "and it is never given up"


def test_b4_delays_double_to_the_cap_and_each_is_in_the_upper_half() -> None:
    times = connects(DINGTALK, seed=1, for_s=HOUR_S)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for number, gap in enumerate(gaps):
        longest = min(300.0, 20.0 * 2**number)
        assert longest / 2 - 1e-6 <= gap <= longest + 1e-6
    assert min(gaps) >= 10.0


def test_a4_accounts_that_fall_together_do_not_return_together() -> None:
    """Eight accounts, all sockets cut at once, the platform gone: their attempts are all apart."""
    attempts = [tuple(connects(LARK, seed=seed, for_s=30.0)[1:]) for seed in range(8)]
    for retry in zip(*attempts, strict=False):
        assert len(set(retry)) == 8
        assert max(retry) - min(retry) > 0.1 * min(retry)


@pytest.mark.parametrize("law", [LARK, DINGTALK], ids=["lark", "dingtalk"])
def test_a_permanent_refusal_costs_one_attempt(law: Rules) -> None:
    life = Life()
    for trigger in (Trigger.START, Trigger.READY, Trigger.REFUSED, Trigger.EXITED):
        life, _ = step(life, Happened(trigger=trigger, now=0.0, why=REFUSED), law)
    assert (life.state, life.retry_at) == (State.PARKED, None)
