"""Turns: at most so many a second, at most so many at once, in the order they were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire.pacing import ConnectGates, CrowdGate, RateGate, TokenBucket, Turn

DEADLINE_S = 30.0


# Token buckets.


def test_a_burst_goes_at_once_and_then_the_rate_bites() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_who_waits_as_told_gets_the_token() -> None:
    bucket = TokenBucket(rate_per_s=4.0, burst=1, now=0.0)
    assert bucket.take(0.0) == 0.0
    assert bucket.take(0.0) == 0.25
    assert bucket.take(0.125) == 0.125
    assert bucket.take(0.25) == 0.0


def test_an_idle_bucket_holds_no_more_than_its_burst() -> None:
    bucket = TokenBucket(rate_per_s=1.0, burst=2, now=0.0)
    assert [bucket.take(1e6) > 0 for _ in range(3)] == [False, False, True]


@given(st.floats(0.01, 1000), st.integers(1, 20), st.lists(st.floats(0, 10), min_size=1, max_size=100))
def test_never_more_go_than_the_burst_and_what_came_back(rate: float, burst: int, waits: list[float]) -> None:
    bucket, now, gone = TokenBucket(rate_per_s=rate, burst=burst, now=0.0), 0.0, 0
    for wait in waits:
        now += wait
        left = bucket.take(now)
        assert left >= 0
        gone += left == 0
    assert gone <= burst + now * rate + 1e-6


def test_to_look_costs_no_token() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=1, now=0.0)
    assert [bucket.wait_s(0.0), bucket.take(0.0), bucket.wait_s(0.0)] == [0.0, 0.0, 0.5]
    assert not bucket.is_full(0.25)
    assert bucket.is_full(0.5)


def test_another_pace_gives_nothing_for_the_change() -> None:
    bucket = TokenBucket(rate_per_s=50.0, burst=50, now=0.0)
    bucket.set_pace(0.0, rate_per_s=1.0, burst=1)
    assert [bucket.take(0.0), bucket.take(0.0)] == [0.0, 1.0]
    bucket.set_pace(0.0, rate_per_s=50.0, burst=50)
    assert bucket.take(0.0) == pytest.approx(0.02)


# Turns.


def test_a_turn_is_taken_once() -> None:
    went: list[str] = []
    turn = Turn(lambda: went.append("x"))
    assert turn.is_wanted
    assert turn.take()
    assert not turn.is_wanted
    assert not turn.take()
    assert went == ["x"]


def test_a_turn_given_up_is_not_taken() -> None:
    turn = Turn(lambda: pytest.fail("it went"))
    turn.cancel()
    assert not turn.is_wanted
    assert not turn.take()


# A gate with a rate.


class Clock:
    """The part of a loop that a gate needs; `pass_time` runs what is due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, asyncio.TimerHandle]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, what: Callable[[], None]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        timer = asyncio.TimerHandle(self.now + delay_s, what, (), loop)
        self.timers.append((self.now + delay_s, timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for at, timer in self.timers if at <= self.now]
        self.timers = [(at, timer) for at, timer in self.timers if at > self.now]
        for timer in due:
            if not timer.cancelled():
                timer._run()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rate_gate(clock: Clock, monkeypatch: pytest.MonkeyPatch, *, rate_per_s: float, burst: int) -> RateGate:
    gate = RateGate(TokenBucket(rate_per_s=rate_per_s, burst=burst, now=clock.now))
    monkeypatch.setattr(gate, "_loop", clock)
    return gate


def ask(gate: RateGate, go: Callable[[], None], *, tenant: str = "") -> Turn:
    turn = Turn(go)
    gate.enter(turn, tenant)
    return turn


async def test_the_burst_goes_before_ask_returns_and_the_rest_in_order_at_the_rate(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[int] = []
    gate = rate_gate(clock, monkeypatch, rate_per_s=4.0, burst=2)
    for number in range(5):
        ask(gate, partial(went.append, number))
    assert went == [0, 1]
    clock.pass_time(0.125)
    assert went == [0, 1]
    clock.pass_time(0.125)
    assert went == [0, 1, 2]
    clock.pass_time(0.25)
    clock.pass_time(0.25)
    assert went == [0, 1, 2, 3, 4]
    assert clock.timers == []


async def test_who_gives_up_costs_no_token(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[int] = []
    gate = rate_gate(clock, monkeypatch, rate_per_s=4.0, burst=1)
    turns = [ask(gate, partial(went.append, number)) for number in range(4)]
    turns[1].cancel()
    turns[2].cancel()
    clock.pass_time(0.25)
    assert went == [0, 3]


async def test_one_who_goes_may_ask_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[int] = []
    gate = rate_gate(clock, monkeypatch, rate_per_s=4.0, burst=1)

    def again() -> None:
        went.append(1)
        ask(gate, partial(went.append, 2))

    ask(gate, again)
    assert went == [1]
    clock.pass_time(0.25)
    assert went == [1, 2]


async def test_behind_a_closed_gate_nobody_goes(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[int] = []
    gate = rate_gate(clock, monkeypatch, rate_per_s=4.0, burst=1)
    ask(gate, partial(went.append, 0))
    ask(gate, partial(went.append, 1))
    gate.close()
    ask(gate, partial(went.append, 2))
    clock.pass_time(3600)
    assert went == [0]


async def test_on_a_real_loop_everybody_goes_and_no_sooner_than_the_rate_permits() -> None:
    loop = asyncio.get_running_loop()
    begun, done = loop.time(), asyncio.Event()
    gate = RateGate(TokenBucket(rate_per_s=50.0, burst=1, now=begun))
    for _ in range(4):
        ask(gate, lambda: None)
    ask(gate, done.set)
    async with asyncio.timeout(DEADLINE_S):
        await done.wait()
    assert loop.time() - begun >= 4 / 50 - 0.001
    gate.close()  # nobody waits


async def test_tenants_take_turns_and_each_tenants_own_go_in_order(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[str] = []
    gate = rate_gate(clock, monkeypatch, rate_per_s=4.0, burst=1)
    for name in ("large 0", "large 1", "large 2", "large 3", "small 0", "small 1"):
        ask(gate, partial(went.append, name), tenant=name.split()[0])
    for _ in range(5):
        clock.pass_time(0.25)
    assert went == ["large 0", "large 1", "small 0", "large 2", "small 1", "large 3"]


async def test_who_waits_goes_at_another_pace_as_soon_as_there_is_one(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[int] = []
    gate = rate_gate(clock, monkeypatch, rate_per_s=0.01, burst=1)
    for number in range(3):
        ask(gate, partial(went.append, number))
    gate.set_pace(rate_per_s=4.0, burst=1)
    assert went == [0]
    clock.pass_time(0.25)
    clock.pass_time(0.25)
    assert went == [0, 1, 2]


async def test_a_slow_pace_holds_back_whom_the_usual_one_would_let_go() -> None:
    gates, went = connect_gates(of_connector=5, of_tenant=9), list[str]()
    gates.set_pace("lark", rate_per_s=0.01, burst=1)
    for number in range(3):
        gates.ask(partial(went.append, f"{number}"), connector="lark", tenant="a")
    assert went == ["0"]
    gates.close()


# Gates behind each other.


async def test_a_tenants_own_rate_bites_before_the_connectors_and_harms_no_other_tenant() -> None:
    gates, went = connect_gates(of_connector=5, of_tenant=2), list[str]()
    turns = [
        gates.ask(partial(went.append, f"{tenant}-{n}"), connector="lark", tenant=tenant)
        for tenant in ("a", "b", "c")
        for n in range(3)
    ]
    assert went == ["a-0", "a-1", "b-0", "b-1", "c-0"]  # the connector's five
    assert [turn.is_wanted for turn in turns] == [False, False, True] * 2 + [False, True, True]
    gates.ask(partial(went.append, "other"), connector="dingtalk", tenant="a")
    assert went[-1] == "other"
    gates.close()


async def test_who_gives_up_between_the_gates_costs_neither_anything(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[str] = []
    gates = connect_gates(of_connector=1, of_tenant=9)
    first = gates.ask(partial(went.append, "first"), connector="lark", tenant="a")
    monkeypatch.setattr(gates._connectors["lark"], "_loop", clock)
    waiting = [
        gates.ask(partial(went.append, name), connector="lark", tenant="a") for name in ("given up", "next")
    ]
    waiting[0].cancel()
    assert not first.is_wanted
    gates._connectors["lark"]._bucket = TokenBucket(rate_per_s=1.0, burst=1, now=clock.now)
    gates._connectors["lark"]._pump()
    assert went == ["first", "next"]
    gates.close()


def connect_gates(*, of_connector: int, of_tenant: int) -> ConnectGates:
    now = asyncio.get_running_loop().time()
    return ConnectGates(
        of_connector=lambda: TokenBucket(rate_per_s=0.01, burst=of_connector, now=now),
        of_tenant=lambda: TokenBucket(rate_per_s=0.01, burst=of_tenant, now=now),
    )


# A gate with room for so many.


def test_only_so_many_are_inside_at_once() -> None:
    went: list[int] = []
    gate = CrowdGate(2)
    for number in range(4):
        gate.ask(partial(went.append, number), tenant="")
    assert went == [0, 1]
    gate.leave()
    assert went == [0, 1, 2]
    gate.leave()
    gate.leave()
    assert went == [0, 1, 2, 3]


def test_who_gave_up_takes_no_room() -> None:
    went: list[int] = []
    gate = CrowdGate(1)
    turns = [gate.ask(partial(went.append, number), tenant="") for number in range(3)]
    turns[1].cancel()
    gate.leave()
    assert went == [0, 2]


def test_one_inside_may_leave_at_once_and_let_the_next_in() -> None:
    went: list[int] = []
    gate = CrowdGate(1)

    def in_and_out() -> None:
        went.append(1)
        gate.leave()

    gate.ask(in_and_out, tenant="")
    gate.ask(partial(went.append, 2), tenant="")
    gate.ask(partial(went.append, 3), tenant="")
    assert went == [1, 2]


def test_tenants_come_in_by_turns() -> None:
    went: list[str] = []
    gate = CrowdGate(1)
    for name in ("large 0", "large 1", "large 2", "small 0"):
        gate.ask(partial(went.append, name), tenant=name.split()[0])
    for _ in range(3):
        gate.leave()
    assert went == ["large 0", "large 1", "small 0", "large 2"]
