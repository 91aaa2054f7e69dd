from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from longwire.backoff import Backoff
from longwire.lifecycle import (
    TABLE,
    Action,
    Happened,
    IllegalTrigger,
    Life,
    Process,
    Rules,
    State,
    Trigger,
    attempt,
    step,
)
from longwire_protocol.link import Fault, LinkFailure

RULES = Rules(backoff=Backoff(initial_s=1.0, max_s=60.0), stable_after_s=30.0)
LOST = LinkFailure(fault=Fault.TRANSIENT, reason="closed_by_peer", message="closed")
REFUSED = LinkFailure(fault=Fault.PERMANENT, reason="bad_credentials", message="no", user_action="mend it")


def follow(life: Life, *triggers: Trigger | Happened, now: float = 0.0) -> tuple[Life, list[Action]]:
    """Take several steps; return the last life and every action on the way."""
    actions: list[Action] = []
    for trigger in triggers:
        happened = trigger if isinstance(trigger, Happened) else Happened(trigger=trigger, now=now, why=LOST)
        life, more = step(life, happened, RULES)
        actions += more
    return life, actions


ONLINE, _ = follow(Life(), Trigger.START, Trigger.READY, Trigger.PROVEN)


def test_a_started_account_spawns_connects_and_comes_online() -> None:
    life, actions = follow(Life(), Trigger.START, Trigger.READY, Trigger.PROVEN, now=5.0)
    assert (life.state, life.process, life.proven_at) == (State.ONLINE, Process.READY, 5.0)
    assert actions == [Action.SPAWN, Action.CONNECT]


def test_a_lost_link_is_retried_in_the_same_process() -> None:
    life, actions = follow(ONLINE, Trigger.FAILED)
    assert (life.state, life.process, life.failures, life.why) == (State.BACKOFF, Process.READY, 1, LOST)
    assert actions == []
    assert life.retry_at == 0.5
    life, actions = follow(life, Trigger.RETRY, now=1.0)
    assert (life.state, actions, life.retry_at) == (State.CONNECTING, [Action.CONNECT], None)


def test_a_dead_child_is_replaced_after_the_delay() -> None:
    life, actions = follow(ONLINE, Trigger.EXITED)
    assert (life.state, life.process, actions) == (State.BACKOFF, Process.NONE, [])
    life, actions = follow(life, Trigger.RETRY, now=1.0)
    assert (life.state, life.process, actions) == (State.STARTING, Process.BOOTING, [Action.SPAWN])


def test_a_hung_child_is_killed_and_its_hang_is_the_reason() -> None:
    hung = LinkFailure(fault=Fault.TRANSIENT, reason="heartbeat_timeout", message="silent")
    life, actions = follow(ONLINE, Trigger.LATE, Happened(trigger=Trigger.HUNG, now=1.0, why=hung))
    assert (life.state, life.process, actions) == (State.DEGRADED, Process.LEAVING, [Action.KILL_CHILD])
    life, _ = follow(life, Trigger.EXITED, now=1.1)
    assert (life.state, life.why, life.failures) == (State.BACKOFF, hung, 1)


def test_a_child_that_dies_during_the_delay_costs_no_second_failure() -> None:
    life, _ = follow(ONLINE, Trigger.FAILED, Trigger.EXITED)
    assert (life.state, life.process, life.failures) == (State.BACKOFF, Process.NONE, 1)


def test_a_retry_waits_for_the_old_process_to_be_gone() -> None:
    life, actions = follow(ONLINE, Trigger.FAILED, Trigger.HUNG, Trigger.RETRY)
    assert (life.state, life.retry_at, actions) == (State.BACKOFF, None, [Action.KILL_CHILD])
    life, actions = follow(life, Trigger.EXITED, now=2.0)
    assert (life.state, actions) == (State.STARTING, [Action.SPAWN])


def test_late_heartbeats_degrade_and_new_ones_restore() -> None:
    life, _ = follow(ONLINE, Trigger.LATE)
    assert life.state is State.DEGRADED
    assert follow(life, Trigger.ON_TIME)[0].state is State.ONLINE


def test_a_refusal_parks_and_stops_the_child_and_a_restart_unparks() -> None:
    connecting, _ = follow(Life(), Trigger.START, Trigger.READY)
    life, actions = follow(connecting, Happened(trigger=Trigger.REFUSED, now=1.0, why=REFUSED))
    assert (life.state, life.why, actions) == (State.PARKED, REFUSED, [Action.STOP_CHILD])
    life, actions = follow(life, Trigger.EXITED)
    assert (life.state, life.process, actions) == (State.PARKED, Process.NONE, [])
    life, actions = follow(life, Trigger.RESTART, now=2.0)
    assert (life.state, life.process, actions) == (State.STARTING, Process.BOOTING, [Action.SPAWN])


def test_a_start_of_a_parked_account_whose_child_still_leaves_waits_for_it() -> None:
    parked, _ = follow(ONLINE, Happened(trigger=Trigger.REFUSED, now=1.0, why=REFUSED))
    life, actions = follow(parked, Trigger.START, now=2.0)
    assert (life.state, actions) == (State.STOPPING, [])
    life, actions = follow(life, Trigger.EXITED, now=3.0)
    assert (life.state, actions) == (State.STARTING, [Action.SPAWN])


def test_stop_brings_the_child_down_and_ends_stopped() -> None:
    life, actions = follow(ONLINE, Trigger.STOP, Trigger.STOP)
    assert (life.state, life.proven_at, actions) == (State.STOPPING, None, [Action.STOP_CHILD])
    life, actions = follow(life, Trigger.EXITED, Trigger.STOP)
    assert (life.state, life.is_wanted, actions) == (State.STOPPED, False, [])


def test_stop_during_a_delay_without_a_child_is_done_at_once() -> None:
    life, actions = follow(ONLINE, Trigger.EXITED, Trigger.STOP)
    assert (life.state, life.retry_at, actions) == (State.STOPPED, None, [])


def test_a_restart_stops_first_and_starts_when_the_process_is_gone() -> None:
    life, actions = follow(ONLINE, Trigger.RESTART)
    assert (life.state, actions) == (State.STOPPING, [Action.STOP_CHILD])
    life, actions = follow(life, Trigger.EXITED)
    assert (life.state, life.failures, actions) == (State.STARTING, 0, [Action.SPAWN])


def test_a_start_while_stopping_takes_effect_when_the_process_is_gone() -> None:
    life, _ = follow(ONLINE, Trigger.STOP, Trigger.START)
    assert life.state is State.STOPPING
    assert follow(life, Trigger.EXITED)[0].state is State.STARTING


def test_a_start_of_what_runs_changes_nothing() -> None:
    assert follow(ONLINE, Trigger.START) == (ONLINE, [])


def test_an_earlier_delay_is_waited_out() -> None:
    resumed = Happened(trigger=Trigger.RESUME, now=1.0, retry_at=9.0)
    life, actions = follow(Life(failures=4), resumed)
    assert (life.state, life.retry_at, life.failures, actions) == (State.BACKOFF, 9.0, 4, [])
    assert follow(life, Trigger.RETRY, now=9.0)[1] == [Action.SPAWN]


def test_the_counter_grows_until_a_link_was_proven_long_enough() -> None:
    life = ONLINE
    for n in range(1, 5):
        life, _ = follow(life, Trigger.FAILED, now=float(n))
        assert life.failures == n
        life, _ = follow(life, Trigger.RETRY, Trigger.PROVEN, now=float(n))
    assert attempt(life, 33.9, RULES) == 4
    assert attempt(life, 34.0, RULES) == 0
    assert follow(life, Trigger.FAILED, now=34.0)[0].failures == 1


def test_a_stable_link_clears_the_counter_also_for_a_later_restart() -> None:
    life, _ = follow(ONLINE, Trigger.FAILED, Trigger.RETRY, Trigger.PROVEN)
    life, _ = follow(life, Trigger.RESTART, now=100.0)
    assert life.failures == 0


def test_a_platform_that_asks_for_patience_gets_it() -> None:
    limited = LinkFailure(fault=Fault.LIMITED, reason="limit", message="slow", retry_after_s=45.0)
    life, _ = follow(ONLINE, Happened(trigger=Trigger.FAILED, now=1.0, why=limited))
    assert life.retry_at == 46.0


def test_a_rare_handover_is_no_failure_and_a_frequent_one_is() -> None:
    life, actions = follow(ONLINE, Trigger.HANDOVER, now=10.0)
    assert (life.state, life.failures, actions) == (State.CONNECTING, 0, [Action.CONNECT])
    life, _ = follow(life, Trigger.PROVEN, Trigger.HANDOVER, now=20.0)
    assert (life.state, life.failures) == (State.BACKOFF, 1)


@pytest.mark.parametrize(
    ("state", "trigger"), [(s, t) for s in State for t in Trigger if t not in TABLE[s]], ids=str
)
def test_an_impossible_trigger_raises(state: State, trigger: Trigger) -> None:
    with pytest.raises(IllegalTrigger, match=rf"{trigger} is impossible while {state}"):
        step(Life(state=state), Happened(trigger=trigger, now=0.0), RULES)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 30), st.floats(30, 600))
def test_a_delay_is_in_the_upper_half_of_the_doubled_and_capped_base(
    failures: int, luck: float, initial_s: float, max_s: float
) -> None:
    longest = min(max_s, initial_s * 2.0 ** min(failures - 1, 64))
    assert longest / 2 <= Backoff(initial_s, max_s).delay(failures, luck=luck) <= longest


class AnyLife(RuleBasedStateMachine):
    """Random triggers that the table allows: one process at most, and never work for a missing one."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.now = 0.0
        self.processes = 0

    @rule(trigger=st.sampled_from(Trigger), wait=st.floats(0, 50), luck=st.floats(0, 0.99))
    def happen(self, trigger: Trigger, wait: float, luck: float) -> None:
        if trigger not in TABLE[self.life.state] or not self._is_possible(trigger):
            return
        self.now += wait
        why = REFUSED if trigger is Trigger.REFUSED else LOST
        happened = Happened(trigger=trigger, now=self.now, luck=luck, why=why, retry_at=self.now + 1)
        if trigger is Trigger.EXITED:
            self.processes -= 1
        self.life, actions = step(self.life, happened, RULES)
        for action in actions:
            self._carry_out(action)

    def _is_possible(self, trigger: Trigger) -> bool:
        process = self.life.process
        match trigger:
            case Trigger.READY:
                return process is Process.BOOTING
            case Trigger.PROVEN | Trigger.FAILED | Trigger.REFUSED | Trigger.HANDOVER:
                return process is Process.READY
            case Trigger.HUNG:
                return process in {Process.BOOTING, Process.READY}
            case Trigger.EXITED:
                return process is not Process.NONE
            case Trigger.RETRY:
                return self.life.retry_at is not None
            case _:
                return True

    def _carry_out(self, action: Action) -> None:
        if action is Action.SPAWN:
            self.processes += 1
        else:
            assert self.processes == 1, f"{action} without a process"

    @precondition(lambda self: self.life.state is State.BACKOFF)
    @invariant()
    def a_delay_ends(self) -> None:
        assert self.life.retry_at is not None or self.life.process is Process.LEAVING

    @invariant()
    def there_is_one_process_at_most_and_it_is_known(self) -> None:
        assert self.processes == (self.life.process is not Process.NONE)

    @invariant()
    def a_state_without_process_has_none(self) -> None:
        if self.life.state is State.STOPPED:
            assert self.processes == 0
        if self.life.state in {State.ONLINE, State.CONNECTING, State.STOPPING, State.STARTING}:
            assert self.processes == 1


TestAnyLife = AnyLife.TestCase
