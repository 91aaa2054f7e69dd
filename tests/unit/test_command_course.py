"""What may happen to a command, and what is concluded from the answer to a try."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from longwire.outbox.command import (
    MOST_KEPT_BYTES,
    Command,
    Outcome,
    State,
    facts,
    fingerprint_of,
    from_row,
    scope_of,
    to_row,
    without_excess,
)
from longwire.outbox.course import (
    TABLE,
    IllegalTrigger,
    Trigger,
    judge,
    may_go_meanwhile,
    may_repeat,
    step,
)
from longwire_protocol.errors import RetCode
from longwire_protocol.frames import CommandResult

HOUR = 3600.0
QUEUED = Command(
    number=1,
    receipt="r1",
    tenant="acme",
    account="acme-lark",
    platform="lark",
    client="c1",
    method="message.create",
    params={"chat": "oc_1", "text": "hello"},
    idempotency_key="k1",
    fingerprint=b"f",
    chat="oc_1",
    repeat_window_s=HOUR,
    accepted_at=100.0,
    deadline_at=130.0,
)
UNDER_WAY = step(QUEUED, Trigger.TRY, now=101.0)
ONCE = replace(UNDER_WAY, repeat_window_s=0.0)


def result(retcode: RetCode, **fields: Any) -> CommandResult:
    return CommandResult(id=1, retcode=retcode, **fields)


def judged(command: Command, retcode: RetCode, *, now: float = 102.0, **fields: Any) -> Trigger:
    return judge(command, result(retcode, **fields), now=now, luck=0.5).trigger


def test_a_try_is_counted_and_the_first_ones_time_is_kept() -> None:
    assert (UNDER_WAY.state, UNDER_WAY.attempts, UNDER_WAY.first_tried_at) == (State.UNDER_WAY, 1, 101.0)
    again = step(step(UNDER_WAY, Trigger.PUT_OFF, now=102.0), Trigger.TRY, now=103.0)
    assert (again.attempts, again.first_tried_at) == (2, 101.0)


@pytest.mark.parametrize(
    ("trigger", "state"),
    [
        (Trigger.SUCCEEDED, State.DONE),
        (Trigger.REFUSED, State.FAILED),
        (Trigger.GIVEN_UP, State.UNCERTAIN),
    ],
)
def test_an_end_keeps_the_outcome_and_forgets_the_params(trigger: Trigger, state: State) -> None:
    outcome = Outcome(0, "", {"message_id": "om_1"})
    ended = step(UNDER_WAY, trigger, now=102.0, outcome=outcome)
    assert (ended.state, ended.outcome, ended.ended_at, ended.params) == (state, outcome, 102.0, {})
    assert ended.has_ended


def test_what_was_put_off_or_lost_waits_for_another_try_and_keeps_its_params() -> None:
    for trigger, is_in_doubt in ((Trigger.PUT_OFF, False), (Trigger.LOST, True)):
        waiting = step(UNDER_WAY, trigger, now=102.0)
        assert (waiting.state, waiting.is_in_doubt) == (State.QUEUED, is_in_doubt)
        assert waiting.params == QUEUED.params
        assert not waiting.has_ended


def test_what_was_not_tried_in_time_has_expired_without_effect() -> None:
    expired = step(QUEUED, Trigger.OVERDUE, now=130.0)
    assert expired.state is State.EXPIRED
    assert expired.outcome is not None
    assert expired.outcome.retcode == RetCode.DEADLINE_EXCEEDED
    assert "no effect" in expired.outcome.message


def test_an_expired_command_says_why_its_last_try_did_not_succeed() -> None:
    busy = Outcome(RetCode.PLATFORM_LIMITED, "too many requests")
    put_off = step(UNDER_WAY, Trigger.PUT_OFF, now=102.0, outcome=busy)
    expired = step(put_off, Trigger.OVERDUE, now=130.0)
    assert expired.outcome is not None
    assert expired.outcome.message.endswith("last: too many requests")


@pytest.mark.parametrize("end", [Trigger.REFUSED, Trigger.OVERDUE, Trigger.GIVEN_UP])
def test_in_doubt_every_end_but_success_is_uncertain(end: Trigger) -> None:
    doubtful = step(UNDER_WAY, Trigger.LOST, now=102.0)
    if end is not Trigger.OVERDUE:
        doubtful = step(doubtful, Trigger.TRY, now=103.0)
    ended = step(doubtful, end, now=104.0, outcome=Outcome(RetCode.PLATFORM_REFUSED))
    assert ended.state is State.UNCERTAIN


def test_a_success_clears_up_a_doubt_and_a_delay_does_not() -> None:
    doubtful = step(step(UNDER_WAY, Trigger.LOST, now=102.0), Trigger.TRY, now=103.0)
    assert step(doubtful, Trigger.SUCCEEDED, now=104.0).state is State.DONE
    assert step(doubtful, Trigger.PUT_OFF, now=104.0).is_in_doubt


def test_an_impossible_trigger_is_refused() -> None:
    ways = {state: set(TABLE.get(state, {})) for state in State}
    for state, trigger in itertools.product(State, Trigger):
        if trigger not in ways[state]:
            with pytest.raises(IllegalTrigger):
                step(replace(QUEUED, state=state), trigger, now=1.0)
    assert not any(ways[state] for state in (State.DONE, State.FAILED, State.EXPIRED, State.UNCERTAIN))


def test_success_and_refusal_are_final() -> None:
    assert judged(UNDER_WAY, RetCode.OK) is Trigger.SUCCEEDED
    assert judged(UNDER_WAY, RetCode.PLATFORM_REFUSED) is Trigger.REFUSED
    assert judged(UNDER_WAY, RetCode.PLATFORM_UNREACHABLE) is Trigger.REFUSED


@pytest.mark.parametrize("retcode", [RetCode.ACCOUNT_NOT_ONLINE, RetCode.SATURATED, RetCode.PLATFORM_LIMITED])
def test_what_was_not_even_tried_is_put_off_whatever_it_says(retcode: RetCode) -> None:
    assert judged(UNDER_WAY, retcode, retryable=False) is Trigger.PUT_OFF


def test_what_had_no_effect_and_may_be_tried_again_is_put_off() -> None:
    assert judged(UNDER_WAY, RetCode.PLATFORM_UNREACHABLE, retryable=True) is Trigger.PUT_OFF


@pytest.mark.parametrize("retcode", [RetCode.CHILD_LOST, RetCode.DEADLINE_EXCEEDED])
def test_an_unknown_effect_is_tried_again_only_where_that_does_no_harm(retcode: RetCode) -> None:
    assert judged(UNDER_WAY, retcode) is Trigger.LOST
    assert judged(ONCE, retcode) is Trigger.GIVEN_UP
    assert judged(replace(ONCE, is_repeatable=True), retcode) is Trigger.LOST


def test_a_connector_that_broke_leaves_it_uncertain_and_is_not_asked_again() -> None:
    assert judged(UNDER_WAY, RetCode.INTERNAL, retryable=True) is Trigger.GIVEN_UP


def test_a_repetition_must_reach_the_platform_within_its_window() -> None:
    assert may_repeat(UNDER_WAY, now=101.0 + HOUR - 61)
    assert not may_repeat(UNDER_WAY, now=101.0 + HOUR - 59)
    assert not may_repeat(ONCE, now=101.0)
    assert may_repeat(QUEUED, now=1e9)


def test_the_platforms_own_time_counts_before_the_backoff() -> None:
    told = judge(UNDER_WAY, result(RetCode.PLATFORM_LIMITED, retry_after_ms=2500), now=102.0, luck=0.5)
    assert (told.again_in_s, told.is_limited) == (2.5, True)
    own = judge(UNDER_WAY, result(RetCode.SATURATED), now=102.0, luck=1.0)
    assert (own.again_in_s, own.is_limited) == (0.5, False)
    many = judge(replace(UNDER_WAY, attempts=50), result(RetCode.SATURATED), now=102.0, luck=1.0)
    assert many.again_in_s == 30.0


@pytest.mark.parametrize("retry_after_ms", [0, -1])
def test_a_platform_that_names_no_time_is_not_hammered(retry_after_ms: int) -> None:
    limited = result(RetCode.PLATFORM_LIMITED, retry_after_ms=retry_after_ms)
    assert judge(UNDER_WAY, limited, now=102.0, luck=1.0).again_in_s == 0.5


def test_a_limit_is_the_apps_unless_it_is_said_to_be_the_chats() -> None:
    for data, is_of_chat in ((None, False), ({"limit": "app"}, False), ({"limit": "chat"}, True)):
        verdict = judge(UNDER_WAY, result(RetCode.PLATFORM_LIMITED, data=data), now=102.0, luck=0.0)
        assert verdict.is_of_chat is is_of_chat
    assert not judge(UNDER_WAY, result(RetCode.SATURATED, data={"limit": "chat"}), now=1.0, luck=0).is_of_chat


def test_what_is_written_is_what_is_read() -> None:
    for command in (QUEUED, step(UNDER_WAY, Trigger.SUCCEEDED, now=102.0, outcome=Outcome(0, "", [1]))):
        row = to_row(command)
        assert from_row(row) == command
        assert (row.number, row.receipt, row.ended_at) == (1, "r1", command.ended_at)
        assert row.scope == scope_of("acme", "acme-lark", "message.create", "k1")


def test_without_a_key_nothing_is_shared() -> None:
    assert to_row(replace(QUEUED, idempotency_key=None)).scope is None


@pytest.mark.parametrize("place", range(4))
def test_tenant_account_method_and_key_are_each_part_of_the_scope(place: int) -> None:
    parts = ["acme", "acme-lark", "message.create", "k1"]
    other = [part + "x" if number == place else part for number, part in enumerate(parts)]
    assert scope_of(*parts) != scope_of(*other)
    assert scope_of("a", "bc", "d", "e") != scope_of("ab", "c", "d", "e")


def test_a_fingerprint_minds_the_values_and_not_their_order() -> None:
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})
    with pytest.raises(TypeError):
        fingerprint_of({"a": {1: "x", "y": 2}})


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    large = Outcome(0, "", "x" * MOST_KEPT_BYTES)
    ended = step(UNDER_WAY, Trigger.SUCCEEDED, now=102.0, outcome=large)
    kept = without_excess(ended).outcome
    assert kept == Outcome(0, "the answer was too large to be kept")
    refused = step(UNDER_WAY, Trigger.REFUSED, now=1.0, outcome=Outcome(7, "no", large.data))
    assert without_excess(refused).outcome == Outcome(7, "no")
    small = step(UNDER_WAY, Trigger.SUCCEEDED, now=102.0, outcome=Outcome(0, "", {"message_id": "om_1"}))
    assert without_excess(small) is small
    assert without_excess(QUEUED) is QUEUED


def test_the_facts_tell_all_that_a_client_may_know() -> None:
    waiting, ended = facts(QUEUED), facts(step(UNDER_WAY, Trigger.GIVEN_UP, now=9.0, outcome=Outcome(7, "?")))
    assert (waiting["state"], waiting["retcode"], waiting["ended_at"]) == ("queued", 0, None)
    assert (ended["state"], ended["retcode"], ended["message"], ended["attempts"]) == ("uncertain", 7, "?", 1)
    assert waiting["idempotency_key"] == "k1"
    assert "params" not in waiting


@pytest.mark.parametrize(
    ("key", "is_disk_well", "may"), [(None, True, True), (None, False, False), ("k", True, False)]
)
def test_what_nobody_can_ask_for_again_goes_while_it_is_written_to_a_disk_that_is_well(
    key: str | None,
    is_disk_well: bool,  # noqa: FBT001
    may: bool,  # noqa: FBT001
) -> None:
    command = replace(QUEUED, idempotency_key=key)
    assert may_go_meanwhile(command, is_disk_well=is_disk_well) is may
