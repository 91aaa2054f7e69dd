"""The course of a command, as one table, and what is concluded from the answer to a try.

Theory of operation. A command is accepted and queued. A try begins, which is on disk before the child is
told, and ends in one of four ways: it succeeded; it was refused for good; it had no effect and may be tried
again; or nobody knows, as the child is gone or did not answer. In the last case it is *in doubt*, and only
tried again where a second time does no harm: the platform tells the repetition by its key, or the command
changes nothing twice. From then on nothing but a success clears it up: whatever else ends it leaves it
uncertain.
A restart of the supervisor finds tries under way; they are lost like those of a dead child.

`step` is pure: whoever calls it brings the time, and writes down what it returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from longwire.backoff import Backoff
from longwire.outbox.command import Command, Outcome, State
from longwire_protocol.errors import RetCode
from longwire_protocol.frames import CommandResult

BACKOFF = Backoff(initial_s=0.5, max_s=30.0)
"""Between tries where the platform names no time. 0.5: an outage of a balancer is often over by then. 30: one
that lasts is asked twice a minute per chat."""

_SLACK_S = 60.0
"""A repetition must reach the platform within its window: a try's own time and both clocks' errors."""


class Trigger(StrEnum):
    """What can happen to a command."""

    TRY = "try"  # the child is about to be told
    SUCCEEDED = "succeeded"  # the platform did it
    REFUSED = "refused"  # no effect, and trying again would not help
    PUT_OFF = "put_off"  # no effect, and another try may succeed
    LOST = "lost"  # it may have had its effect or not; another try does no harm
    GIVEN_UP = "given_up"  # it may have had its effect or not; another try might do harm
    OVERDUE = "overdue"  # its time is over before the next try


TABLE: Mapping[State, Mapping[Trigger, State]] = {
    State.QUEUED: {Trigger.TRY: State.UNDER_WAY, Trigger.OVERDUE: State.EXPIRED},
    State.UNDER_WAY: {
        Trigger.SUCCEEDED: State.DONE,
        Trigger.REFUSED: State.FAILED,
        Trigger.PUT_OFF: State.QUEUED,
        Trigger.LOST: State.QUEUED,
        Trigger.GIVEN_UP: State.UNCERTAIN,
    },
}
"""Where each trigger leads; what has ended has no way on."""

_IN_DOUBT = {State.FAILED: State.UNCERTAIN, State.EXPIRED: State.UNCERTAIN}
"""What these become where an earlier try may have had its effect."""

_ENDS = frozenset({State.DONE, State.FAILED, State.EXPIRED, State.UNCERTAIN})


class IllegalTrigger(Exception):
    """The trigger is impossible in this state: a bug of the caller. Nothing was changed."""


def step(command: Command, trigger: Trigger, *, now: float, outcome: Outcome | None = None) -> Command:
    """Return the command as it is after this happened.

    Args:
        command: as it was.
        trigger: what happened.
        now: Unix seconds.
        outcome: of the try that ended; for `OVERDUE` it is made here.

    Raises:
        IllegalTrigger: impossible in this state.
    """
    target = TABLE.get(command.state, {}).get(trigger)
    if target is None:
        raise IllegalTrigger(f"{trigger} while {command.state}")
    if trigger is Trigger.TRY:
        first = command.first_tried_at
        return replace(
            command,
            state=target,
            attempts=command.attempts + 1,
            first_tried_at=now if first is None else first,
        )
    if command.is_in_doubt:
        target = _IN_DOUBT.get(target, target)
    if trigger is Trigger.OVERDUE:
        outcome = _overdue(command)
    command = replace(
        command,
        state=target,
        outcome=outcome,
        is_in_doubt=command.is_in_doubt or trigger in {Trigger.LOST, Trigger.GIVEN_UP},
    )
    return replace(command, ended_at=now, params={}) if target in _ENDS else command


def _overdue(command: Command) -> Outcome:
    last = f"; last: {command.outcome.message}" if command.outcome and command.outcome.message else ""
    if command.is_in_doubt:
        text = "a try had no answer, and there was none that could be repeated in time"
    else:
        text = "not carried out by its deadline; it had no effect and will have none"
    return Outcome(RetCode.DEADLINE_EXCEEDED, text + last)


class Verdict(msgspec.Struct, frozen=True):
    """What follows from the answer to a try."""

    trigger: Trigger
    again_in_s: float = 0.0
    """For `PUT_OFF` and `LOST`: how long to wait before the next try."""
    is_limited: bool = False
    """Whether the platform limits the rate: others have to wait as well."""
    is_of_chat: bool = False
    """Whether that is the chat's limit, not the app's."""


_UNKNOWN = frozenset({RetCode.DEADLINE_EXCEEDED, RetCode.CHILD_LOST})
"""By these a connector, or its end, says that the effect is unknown."""

_NOT_NOW = frozenset({RetCode.ACCOUNT_NOT_ONLINE, RetCode.SATURATED, RetCode.PLATFORM_LIMITED})
"""Nothing was done, whether or not the answer says that it may be tried again."""


def judge(command: Command, result: CommandResult, *, now: float, luck: float) -> Verdict:
    """Return what follows from the answer to the try under way.

    Args:
        command: under way.
        result: the answer.
        now: Unix seconds.
        luck: uniform in [0, 1), for the jitter of a delay.
    """
    if result.retcode == RetCode.OK:
        return Verdict(Trigger.SUCCEEDED)
    wait_s = BACKOFF.delay(max(1, command.attempts), luck=luck)
    if result.retry_after_ms is not None and result.retry_after_ms > 0:  # 0 names no time, and would hammer
        wait_s = result.retry_after_ms / 1000
    if result.retcode in _UNKNOWN:
        return Verdict(Trigger.LOST if may_repeat(command, now=now) else Trigger.GIVEN_UP, wait_s)
    if result.retcode == RetCode.INTERNAL:  # the connector broke somewhere, and would break there again
        return Verdict(Trigger.GIVEN_UP)
    if result.retcode in _NOT_NOW or result.retryable:
        is_limited = result.retcode == RetCode.PLATFORM_LIMITED
        return Verdict(
            Trigger.PUT_OFF, wait_s, is_limited=is_limited, is_of_chat=is_limited and _is_of_chat(result)
        )
    return Verdict(Trigger.REFUSED)


def _is_of_chat(result: CommandResult) -> bool:
    match result.data:
        case {"limit": "chat"}:
            return True
        case _:
            return False


def may_repeat(command: Command, *, now: float) -> bool:
    """Return whether another try does no harm though an earlier one may have had its effect."""
    if command.is_repeatable or command.first_tried_at is None:
        return True
    return now - command.first_tried_at < command.repeat_window_s - _SLACK_S


def may_go_meanwhile(command: Command, *, is_disk_well: bool) -> bool:
    """Return whether a first try may begin while the command is being written, which spares it the wait.

    Nobody can ask again for one without a key, and nobody is told that it was accepted before it is on disk.
    A disk that is slow or full holds it back all the same: nobody could be told what became of it.
    """
    return command.idempotency_key is None and is_disk_well
