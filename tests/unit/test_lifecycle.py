from __future__ import annotations

import msgspec
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
    can_recycle,
    step,
)
from longwire_protocol.link import Fault, LinkFailure

RULES = Rules(backoff=Backoff(initial_s=1.0, max_s=60.0), stable_after_s=30.0)
LOST = LinkFailure(fault=Fault.TRANSIENT, reason="closed_by_peer", message="closed")
REFUSED = LinkFailure(fault=Fault.PERMANENT, reason="bad_credentials", message="no", user_action="mend it")


def follow(
    life: Life, *triggers: Trigger | Happened, now: float = 0.0, rules: Rules = RULES
) -> tuple[Life, list[Action]]:
    """Take several steps; return the last life and every action on the way."""
    actions: list[Action] = []
    for trigger in triggers:
        happened = trigger if isinstance(trigger, Happened) else Happened(trigger=trigger, now=now, why=LOST)
        life, more = step(life, happened, rules)
        actions += more
    return life, actions


OVERLAP = msgspec.structs.replace(RULES, is_overlap_allowed=True)
TOO_BIG = LinkFailure(fault=Fault.TRANSIENT, reason="memory_limit", message="too big")
RECYCLE = Happened(trigger=Trigger.RECYCLE, now=50.0, why=TOO_BIG)


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


def succeed(*triggers: Trigger, now: float = 60.0) -> tuple[Life, list[Action]]:
    """Have a planned replacement begin where two links are allowed, and go so far."""
    return follow(ONLINE, RECYCLE, *triggers, now=now, rules=OVERLAP)


def test_a_successor_is_proven_before_its_predecessor_is_told_to_go() -> None:
    life, actions = succeed(Trigger.SECOND_READY)
    assert (life.state, life.process, life.second) == (State.ONLINE, Process.READY, Process.READY)
    assert actions == [Action.SPAWN_SECOND, Action.CONNECT_SECOND]
    life, actions = follow(life, Trigger.SUCCEEDED, now=61.0, rules=OVERLAP)
    assert (life.state, life.since, life.proven_at, life.failures) == (State.ONLINE, ONLINE.since, 61.0, 0)
    assert actions == [Action.SWAP, Action.STOP_SECOND]
    assert (life.second, life.second_by) == (Process.LEAVING, None)
    assert follow(life, Trigger.SECOND_EXITED)[0].second is Process.NONE


def test_a_successor_that_fails_goes_and_what_there_is_stays() -> None:
    life, actions = succeed(Trigger.SECOND_READY, Trigger.SECOND_FAILED)
    assert (life.state, life.process, life.second, actions[-1]) == (
        State.ONLINE,
        Process.READY,
        Process.LEAVING,
        Action.STOP_SECOND,
    )
    assert not can_recycle(life)
    life, actions = follow(life, Trigger.SECOND_EXITED)
    assert (life.state, life.failures, actions, can_recycle(life)) == (State.ONLINE, 0, [], True)


def test_a_successor_has_a_deadline() -> None:
    life, _ = succeed()
    assert life.second_by == 50.0 + 90.0


def test_late_heartbeats_give_no_successor_up_and_it_ends_the_degradation() -> None:
    life, _ = succeed(Trigger.LATE, Trigger.SECOND_READY)
    assert (life.state, life.second) == (State.DEGRADED, Process.READY)
    assert follow(life, Trigger.SUCCEEDED, rules=OVERLAP)[0].state is State.ONLINE


@pytest.mark.parametrize(
    "rules_and_haste", [(RULES, False), (RULES, True), (OVERLAP, True)], ids=["no overlap", "both", "urgent"]
)
def test_without_overlap_or_without_room_the_child_goes_first_and_it_is_no_failure(
    rules_and_haste: tuple[Rules, bool],
) -> None:
    rules, is_urgent = rules_and_haste
    happened = msgspec.structs.replace(RECYCLE, is_urgent=is_urgent)
    life, actions = follow(ONLINE, happened, rules=rules)
    assert (life.state, life.why, actions) == (State.STOPPING, TOO_BIG, [Action.STOP_CHILD])
    life, actions = follow(life, Trigger.EXITED, rules=rules)
    assert (life.state, life.failures, life.why, actions) == (State.STARTING, 0, TOO_BIG, [Action.SPAWN])


def test_a_child_that_is_replaced_during_a_delay_leaves_the_delay_as_it_is() -> None:
    waiting, _ = follow(ONLINE, Trigger.FAILED, now=50.0)
    life, actions = follow(waiting, RECYCLE, rules=OVERLAP)
    assert (life.state, life.retry_at, actions) == (State.BACKOFF, waiting.retry_at, [Action.STOP_CHILD])
    life, _ = follow(life, Trigger.EXITED)
    assert (life.state, life.process, life.failures) == (State.BACKOFF, Process.NONE, 1)


@pytest.mark.parametrize("trigger", [Trigger.FAILED, Trigger.REFUSED, Trigger.HUNG, Trigger.STOP])
def test_a_successor_is_given_up_when_its_predecessor_is_no_longer_up(trigger: Trigger) -> None:
    life, actions = succeed(trigger)
    assert (life.second, life.second_by, actions[-1]) == (Process.LEAVING, None, Action.STOP_SECOND)


def test_a_stop_with_a_successor_on_its_way_is_over_when_both_are_gone() -> None:
    for exits in [(Trigger.EXITED, Trigger.EXITED), (Trigger.SECOND_EXITED, Trigger.EXITED)]:
        life, actions = succeed(Trigger.STOP, exits[0])
        assert (life.state, life.process, life.second) == (State.STOPPING, Process.LEAVING, Process.NONE)
        assert actions[1:] == [Action.STOP_CHILD, Action.STOP_SECOND]
        assert follow(life, exits[1])[0].state is State.STOPPED


def test_nothing_is_started_after_a_crash_before_the_successor_is_gone_too() -> None:
    life, actions = succeed(Trigger.EXITED)
    assert (life.state, life.process, life.second) == (State.BACKOFF, Process.LEAVING, Process.NONE)
    assert actions == [Action.SPAWN_SECOND, Action.STOP_CHILD]
    life, actions = follow(life, Trigger.RETRY, now=70.0)
    assert (life.state, actions) == (State.BACKOFF, [])
    assert follow(life, Trigger.EXITED, now=71.0)[1] == [Action.SPAWN]


def test_a_crash_while_the_predecessor_leaves_waits_for_it() -> None:
    life, actions = succeed(Trigger.SECOND_READY, Trigger.SUCCEEDED, Trigger.EXITED)
    assert (life.state, life.process, life.second) == (State.BACKOFF, Process.LEAVING, Process.NONE)
    assert actions[-1] is Action.STOP_SECOND


@pytest.mark.parametrize(
    ("state", "trigger"), [(s, t) for s in State for t in Trigger if t not in TABLE[s]], ids=str
)
def test_an_impossible_trigger_raises(state: State, trigger: Trigger) -> None:
    with pytest.raises(IllegalTrigger, match=rf"{trigger} is impossible while {state}"):
        step(Life(state=state), Happened(trigger=trigger, now=0.0), RULES)


# What the platform bears, and what an outage excuses.


def held(trigger: Trigger, *, now: float = 5.0, hold_s: float = 12.0) -> Happened:
    return Happened(trigger=trigger, now=now, hold_s=hold_s)


def test_a_child_that_is_ready_waits_for_the_platforms_patience_and_connects_then() -> None:
    life, actions = follow(Life(), Trigger.START, held(Trigger.READY))
    assert (life.state, life.process, life.retry_at, life.failures) == (
        State.BACKOFF,
        Process.READY,
        17.0,
        0,
    )
    assert life.why is not None
    assert life.why.reason == "link_burst"
    assert actions == [Action.SPAWN]
    life, actions = follow(life, Trigger.RETRY, now=17.0)
    assert (life.state, actions) == (State.CONNECTING, [Action.CONNECT])


def test_a_retry_that_comes_too_soon_for_the_platform_is_put_off() -> None:
    life, actions = follow(ONLINE, Trigger.FAILED, held(Trigger.RETRY))
    assert (life.state, life.retry_at, life.failures, actions) == (State.BACKOFF, 17.0, 1, [])


def test_a_retry_put_off_without_a_child_starts_it_only_when_it_may_connect() -> None:
    life, actions = follow(ONLINE, Trigger.EXITED, held(Trigger.RETRY))
    assert (life.process, actions) == (Process.NONE, [])
    assert follow(life, Trigger.RETRY, now=17.0)[1] == [Action.SPAWN]


def test_a_handover_too_many_for_the_platform_waits_and_is_no_failure() -> None:
    life, actions = follow(ONLINE, held(Trigger.HANDOVER, now=40.0))
    assert (life.state, life.retry_at, life.failures, life.proven_at) == (State.BACKOFF, 52.0, 0, None)
    assert (life.handover_at, actions) == (40.0, [])


def test_a_stop_ends_the_wait_for_the_platforms_patience() -> None:
    life, _ = follow(Life(), Trigger.START, held(Trigger.READY), Trigger.STOP)
    assert (life.state, life.retry_at) == (State.STOPPING, None)


def test_a_successor_that_may_not_connect_yet_is_given_up() -> None:
    life, actions = follow(ONLINE, RECYCLE, held(Trigger.SECOND_READY), rules=OVERLAP)
    assert (life.state, life.second) == (State.ONLINE, Process.LEAVING)
    assert actions == [Action.SPAWN_SECOND, Action.STOP_SECOND]


def test_a_pardon_lets_a_parked_account_try_again_after_a_delay() -> None:
    refused = Happened(trigger=Trigger.REFUSED, now=1.0, why=REFUSED)
    life, _ = follow(ONLINE, refused, Trigger.EXITED)
    life, actions = follow(life, Happened(trigger=Trigger.PARDON, now=2.0))
    assert (life.state, life.why, life.failures, actions) == (State.BACKOFF, REFUSED, 1, [])
    assert life.retry_at == 2.5
    assert follow(life, Trigger.RETRY, now=3.0)[1] == [Action.SPAWN]


def test_a_pardon_while_the_child_leaves_waits_for_it() -> None:
    parked, _ = follow(ONLINE, Happened(trigger=Trigger.REFUSED, now=1.0, why=REFUSED))
    life, actions = follow(parked, Happened(trigger=Trigger.PARDON, now=2.0), Trigger.RETRY, now=3.0)
    assert (life.state, life.retry_at, actions) == (State.BACKOFF, None, [])
    assert follow(life, Trigger.EXITED, now=4.0)[1] == [Action.SPAWN]


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 30), st.floats(30, 600))
def test_a_delay_is_in_the_upper_half_of_the_doubled_and_capped_base(
    failures: int, luck: float, initial_s: float, max_s: float
) -> None:
    longest = min(max_s, initial_s * 2.0 ** min(failures - 1, 64))
    assert longest / 2 <= Backoff(initial_s, max_s).delay(failures, luck=luck) <= longest


class AnyLife(RuleBasedStateMachine):
    """Random triggers that the table allows: no process that is not known, and no work for a missing one."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.now = 0.0
        self.processes = 0
        """Whether there is a child, and whether there is a second process."""
        self.seconds = 0

    @rule(trigger=st.sampled_from(Trigger), wait=st.floats(0, 50), luck=st.floats(0, 0.99))
    def happen(self, trigger: Trigger, wait: float, luck: float) -> None:
        if trigger not in TABLE[self.life.state] or not self._is_possible(trigger):
            return
        self.now += wait
        why = REFUSED if trigger is Trigger.REFUSED else LOST
        happened = Happened(
            trigger=trigger,
            now=self.now,
            luck=luck,
            why=why,
            retry_at=self.now + 1,
            is_urgent=luck > 0.8,
            hold_s=5.0 if luck < 0.2 else 0.0,
        )
        if trigger is Trigger.EXITED:
            self.processes, self.seconds = self.seconds, 0
        elif trigger is Trigger.SECOND_EXITED:
            self.seconds -= 1
        self.life, actions = step(self.life, happened, OVERLAP)
        for action in actions:
            self._carry_out(action)

    def _is_possible(self, trigger: Trigger) -> bool:
        """Return whether the processes there are can bring this about."""
        life, alive = self.life, {Process.BOOTING, Process.READY}
        possible = {
            Trigger.READY: life.process is Process.BOOTING,
            Trigger.HUNG: life.process in alive,
            Trigger.EXITED: life.process is not Process.NONE,
            Trigger.RETRY: life.retry_at is not None,
            Trigger.RECYCLE: can_recycle(life),
            Trigger.SECOND_READY: life.second is Process.BOOTING,
            Trigger.SUCCEEDED: life.second is Process.READY,
            Trigger.SECOND_FAILED: life.second in alive,
            Trigger.SECOND_EXITED: life.second is not Process.NONE,
        }
        links = {Trigger.PROVEN, Trigger.FAILED, Trigger.REFUSED, Trigger.HANDOVER, Trigger.HELD}
        return possible.get(trigger, trigger not in links or life.process is Process.READY)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Action.SPAWN:
                assert self.seconds == 0, "a third process"
                self.processes += 1
            case Action.SPAWN_SECOND:
                self.seconds += 1
            case Action.CONNECT_SECOND | Action.STOP_SECOND | Action.SWAP:
                assert self.processes == self.seconds == 1, f"{action} without two processes"
            case _:
                assert self.processes == 1, f"{action} without a process"

    @precondition(lambda self: self.life.state is State.BACKOFF)
    @invariant()
    def a_delay_ends(self) -> None:
        assert self.life.retry_at is not None or self.life.process is Process.LEAVING

    @invariant()
    def there_are_two_processes_at_most_and_they_are_known(self) -> None:
        assert self.processes == (self.life.process is not Process.NONE)
        assert self.seconds == (self.life.second is not Process.NONE)
        assert self.processes >= self.seconds

    @invariant()
    def a_successor_is_on_its_way_only_beside_a_child_that_is_up(self) -> None:
        is_coming = self.life.second in {Process.BOOTING, Process.READY}
        assert is_coming == (self.life.second_by is not None)
        if is_coming:
            assert self.life.state in {State.ONLINE, State.DEGRADED}
            assert self.life.process is Process.READY

    @invariant()
    def a_state_without_process_has_none(self) -> None:
        if self.life.state is State.STOPPED:
            assert self.processes == 0
        if self.life.state in {State.ONLINE, State.CONNECTING, State.STOPPING, State.STARTING}:
            assert self.processes == 1


TestAnyLife = AnyLife.TestCase
