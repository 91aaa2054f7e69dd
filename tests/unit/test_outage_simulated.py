"""A fleet and a platform in simulated time: what an outage does to the attempts, and that it ends."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable

import pytest

from longwire.backoff import Backoff
from longwire.outage import Outage
from longwire.pacing import TokenBucket

RATE_PER_S, BURST = 50.0, 50
CAP_S = 60.0
BOTS = [f"bot-{number}" for number in range(100)]

Answer = Callable[[str, float], str]
"""What the platform says to an account at a moment: `yes`, `no` for now, or `never`."""


class Fleet:
    """All were online and lose their links within a second; each asks by the backoff law, all by one pace.

    Args:
        answer: the platform's.
        seed: of the jitter.
    """

    def __init__(self, answer: Answer, *, seed: int) -> None:
        self.outage = Outage(usual_per_s=RATE_PER_S)
        self.asked_at: list[float] = []
        self.up_at: dict[str, float] = {}
        self.parked: set[str] = set()
        self.on_and_off: list[float] = []
        self._answer = answer
        self._luck = random.Random(seed)  # noqa: S311  # jitter, not a secret
        self._backoff = Backoff(initial_s=0.1, max_s=CAP_S)
        self._failures = dict.fromkeys(BOTS, 0)
        self._bucket = TokenBucket(rate_per_s=RATE_PER_S, burst=BURST, now=0.0)
        self._waking: list[tuple[float, str]] = []
        self._line: deque[str] = deque()
        for bot in BOTS:
            self.outage.proven(bot)
        for bot in BOTS:
            self._fail(bot, self._luck.random(), is_refused=False)

    def run(self, *, until_s: float) -> None:
        now = 1.0
        while now < until_s and (self._waking or self._line):
            while self._waking and self._waking[0][0] <= now:
                self._line.append(heapq.heappop(self._waking)[1])
            wait_s = self._bucket.take(now) if self._line else self._waking[0][0] - now
            if wait_s == 0.0:
                self._ask(self._line.popleft(), now)
            elif self._waking:
                now = min(now + wait_s, max(now, self._waking[0][0]))
            else:
                now += wait_s

    def most_within_a_second(self) -> int:
        times = self.asked_at
        return max(sum(at <= other < at + 1 for other in times[i : i + 200]) for i, at in enumerate(times))

    def _ask(self, bot: str, now: float) -> None:
        self.asked_at.append(now)
        said = self._answer(bot, now)
        if said != "yes":
            self._fail(bot, now, is_refused=said == "never")
            return
        was_on = self.outage.is_on
        self.up_at[bot] = now
        self.outage.proven(bot)
        self._set_pace(now, was_on=was_on)

    def _fail(self, bot: str, now: float, *, is_refused: bool) -> None:
        was_on = self.outage.is_on
        is_excused = self.outage.failed(bot, "no", now=now, is_refused=is_refused)
        if is_refused and not is_excused:
            self.parked.add(bot)
        else:
            self._failures[bot] += 1
            delay_s = self._backoff.delay(self._failures[bot], luck=self._luck.random())
            heapq.heappush(self._waking, (now + delay_s, bot))
        self.outage.seen(bot, is_wanted=bot not in self.parked, is_up=False)
        self._set_pace(now, was_on=was_on)

    def _set_pace(self, now: float, *, was_on: bool) -> None:
        is_on = self.outage.is_on
        self._bucket.set_pace(now, rate_per_s=self.outage.pace_per_s, burst=1 if is_on else BURST)
        if is_on != was_on:
            self.on_and_off.append(now)


@pytest.mark.parametrize("seed", range(5))
def test_a_platform_that_refuses_seven_attempts_of_ten_gets_no_storm_and_everybody_gets_through(
    seed: int,
) -> None:
    luck = random.Random(seed)  # noqa: S311  # jitter, not a secret
    fleet = Fleet(lambda _bot, _now: "yes" if luck.random() < 0.3 else "no", seed=seed)
    fleet.run(until_s=3600)
    assert len(fleet.up_at) == len(BOTS)
    assert not fleet.outage.is_on
    assert len(fleet.on_and_off) <= 4, "it does not come and go"
    assert fleet.most_within_a_second() <= RATE_PER_S + BURST
    assert len(fleet.asked_at) <= 10 * len(BOTS), "three and a bit each, were they not to wait"


@pytest.mark.parametrize("dead", [0, 6, 30, 60, 94])
@pytest.mark.parametrize("why", ["no", "never"])
def test_after_a_blackout_all_are_back_within_the_cap_but_those_that_never_will_be(
    dead: int, why: str
) -> None:
    """For five minutes nobody gets through; some get a trouble of their own meanwhile, and keep it."""
    back_at, ill = 300.0, set(BOTS[:dead])
    fleet = Fleet(lambda bot, now: why if bot in ill else "yes" if now > back_at else "no", seed=dead)
    fleet.run(until_s=back_at)
    assert not fleet.parked
    in_it = [at for at in fleet.asked_at if at > 10]
    assert len(in_it) <= back_at, "one a second"
    fleet.run(until_s=back_at + 1200)
    assert set(fleet.up_at) == set(BOTS) - ill
    a_round_s = len(BOTS) if dead > len(BOTS) / 2 else 10  # the slow pace stays, where most are ill
    assert max(fleet.up_at.values()) <= back_at + CAP_S + a_round_s
    assert not fleet.outage.is_on
    assert fleet.parked == (ill if why == "never" else set())
    assert fleet.most_within_a_second() <= RATE_PER_S + BURST
