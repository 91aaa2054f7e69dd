"""The life of an account, as one table, and what each of its steps does.

Theory of operation. An account is in one of eight states, whose names clients rely on. Things happen to it,
called triggers: the operator wants it to run or to stop, its child process comes and goes, its link is proven
or lost. `TABLE` says which trigger is possible in which state and where it leads; anything else is a bug of
the caller, raises `IllegalTrigger` and changes nothing.

`step` is the whole behaviour: a pure function of (life, trigger, now, luck) to (new life, actions). The edge
(`longwire.account`) carries the actions out and feeds back what happened.

Three facts stand beside the state, because each can be true in several states: whether the operator wants the
account to run, what its process is doing (`Process`), and how many failures there were in a row. They decide
where a step goes on at once: a retry with a living child passes `starting` without a new process, a stopped
account that is wanted (a restart) starts again when its process is gone.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from longwire.backoff import Backoff
from longwire_protocol.link import LinkFailure


class State(StrEnum):
    """The states of an account."""

    STARTING = "starting"  # a process is on its way and has not said hello
    CONNECTING = "connecting"  # the child makes an attempt, or waits for its turn to
    ONLINE = "online"  # the link is proven
    DEGRADED = "degraded"  # the link was proven, but the child's heartbeats are missing
    BACKOFF = "backoff"  # waiting before the next attempt
    PARKED = "parked"  # refused for good: the operator must act
    STOPPING = "stopping"  # told to stop, the process is not gone yet
    STOPPED = "stopped"  # no process, and none wanted


class Trigger(StrEnum):
    """What can happen to an account."""

    START = "start"  # the operator wants it to run
    RESUME = "resume"  # likewise, but an earlier supervisor left a delay to be waited out
    STOP = "stop"  # the operator wants it stopped
    RESTART = "restart"  # the operator, or a limit, wants a fresh process
    READY = "ready"  # its child said hello
    PROVEN = "proven"  # the platform answered on the link
    HANDOVER = "handover"  # the platform asked for a new connection
    FAILED = "failed"  # the attempt failed or the link was lost; the child lives
    REFUSED = "refused"  # the platform said no for good
    LATE = "late"  # heartbeats are missing, not yet long enough to judge
    ON_TIME = "on_time"  # heartbeats are back
    HUNG = "hung"  # heartbeats were missing too long: the child must go
    EXITED = "exited"  # its process is gone, whoever wanted it
    RETRY = "retry"  # the delay is over


_UP = {
    Trigger.START: None,
    Trigger.STOP: State.STOPPING,
    Trigger.RESTART: State.STOPPING,
    Trigger.HUNG: None,
    Trigger.EXITED: State.BACKOFF,
}
_LINKED = _UP | {
    Trigger.HANDOVER: State.CONNECTING,
    Trigger.FAILED: State.BACKOFF,
    Trigger.REFUSED: State.PARKED,
}

TABLE: dict[State, dict[Trigger, State | None]] = {
    State.STOPPED: {
        Trigger.START: State.STARTING,
        Trigger.RESUME: State.BACKOFF,
        Trigger.RESTART: State.STARTING,
        Trigger.STOP: None,
    },
    State.STARTING: _UP | {Trigger.READY: State.CONNECTING},
    State.CONNECTING: _LINKED | {Trigger.PROVEN: State.ONLINE},
    State.ONLINE: _LINKED | {Trigger.LATE: State.DEGRADED},
    State.DEGRADED: _LINKED | {Trigger.ON_TIME: State.ONLINE},
    State.BACKOFF: _UP | {Trigger.RETRY: State.STARTING, Trigger.EXITED: None},
    State.PARKED: {
        Trigger.START: State.STOPPING,
        Trigger.RESTART: State.STOPPING,
        Trigger.STOP: State.STOPPING,
        Trigger.EXITED: None,
    },
    State.STOPPING: {
        Trigger.START: None,
        Trigger.RESTART: None,
        Trigger.STOP: None,
        Trigger.EXITED: State.STOPPED,
    },
}
"""Where each trigger leads; `None` stays. The diagram in `docs/lifecycle.md` is generated from this."""


class IllegalTrigger(Exception):
    """The trigger is impossible in this state: a bug of the caller. Nothing was changed."""


class Process(StrEnum):
    """What the child's process is doing."""

    NONE = "none"  # there is none
    BOOTING = "booting"  # started, no hello yet
    READY = "ready"  # said hello; the next attempt can be made in place
    LEAVING = "leaving"  # told to stop, or killed; its exit is awaited


class Action(StrEnum):
    """What the edge must do."""

    SPAWN = "spawn"  # start a child, in a new incarnation
    CONNECT = "connect"  # let the child make an attempt, when the rate limit permits
    STOP_CHILD = "stop_child"  # the stop ladder: command, SIGTERM, SIGKILL
    KILL_CHILD = "kill_child"  # SIGKILL at once


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """All that `step` decides from. Times are seconds on the caller's monotonic clock."""

    state: State = State.STOPPED
    since: float = 0.0
    is_wanted: bool = False
    process: Process = Process.NONE
    failures: int = 0
    """Failures in a row; zero again only after `stable_after_s` of a proven link, never at a start."""
    proven_at: float | None = None
    """When the present link was proven; `None` without one."""
    handover_at: float | None = None
    """When the platform last asked for a new connection."""
    retry_at: float | None = None
    """When the present delay is over; `None` when none runs."""
    why: LinkFailure | None = None
    """The last failure; kept until the next proven link."""


class Rules(msgspec.Struct, frozen=True):
    """What of an account's settings the decisions depend on."""

    backoff: Backoff
    stable_after_s: float


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger with what belongs to it."""

    trigger: Trigger
    now: float
    """Seconds on the monotonic clock."""
    luck: float = 0.0
    """Uniform in [0, 1), for the jitter of a delay."""
    why: LinkFailure | None = None
    """For `RESUME`, `HANDOVER`, `FAILED`, `REFUSED`, `HUNG`, `EXITED`."""
    retry_at: float | None = None
    """For `RESUME`: when the delay left over ends."""


Outcome = tuple[Life, list[Action]]


def step(life: Life, happened: Happened, rules: Rules) -> Outcome:
    """Decide what changes and what must be done.

    Raises:
        IllegalTrigger: impossible in this state.
    """
    now, trigger = happened.now, happened.trigger
    if trigger is Trigger.HANDOVER and _is_too_soon(life, now, rules):
        trigger = Trigger.FAILED
    life = replace(life, failures=attempt(life, now, rules))
    moved = _move(life, trigger, now)
    happened = replace(happened, trigger=trigger)
    if trigger in _OPERATOR:
        return _operate(life, moved, happened)
    if trigger in _LINK:
        return _link(moved, happened, rules)
    return _child(life, moved, happened, rules)


_OPERATOR = {Trigger.START, Trigger.RESUME, Trigger.STOP, Trigger.RESTART}
_LINK = {Trigger.PROVEN, Trigger.HANDOVER, Trigger.FAILED, Trigger.REFUSED}


def _operate(before: Life, moved: Life, happened: Happened) -> Outcome:
    """What the operator wants."""
    match happened.trigger:
        case Trigger.STOP:
            return _stop(replace(moved, is_wanted=False), happened.now)
        case Trigger.RESUME:
            return replace(moved, is_wanted=True, retry_at=happened.retry_at, why=happened.why), []
        case _:
            return _start(replace(moved, is_wanted=True), happened.now, came_from=before.state)


def _link(moved: Life, happened: Happened, rules: Rules) -> Outcome:
    """What became of the link."""
    now, why = happened.now, happened.why
    match happened.trigger:
        case Trigger.PROVEN:
            return replace(moved, proven_at=now, why=None), []
        case Trigger.HANDOVER:
            return replace(moved, proven_at=None, handover_at=now, why=why), [Action.CONNECT]
        case Trigger.REFUSED:
            parked = replace(moved, process=Process.LEAVING, proven_at=None, why=why)
            return parked, [Action.STOP_CHILD]
        case _:
            return _fail(moved, happened, rules), []


def _child(before: Life, moved: Life, happened: Happened, rules: Rules) -> Outcome:
    """What became of the process, and of the time."""
    match happened.trigger:
        case Trigger.READY:
            return replace(moved, process=Process.READY), [Action.CONNECT]
        case Trigger.HUNG:
            return replace(moved, process=Process.LEAVING, why=happened.why), [Action.KILL_CHILD]
        case Trigger.EXITED:
            return _exit(before, moved, happened, rules)
        case Trigger.RETRY:
            return _retry(before, moved, happened.now)
        case _:  # late or on time: the table says it all
            return moved, []


def attempt(life: Life, now: float, rules: Rules) -> int:
    """Return how many failures in a row count at this moment; 0 for a link that is stable."""
    return 0 if _is_stable(life, now, rules) else life.failures


def _move(life: Life, trigger: Trigger, now: float) -> Life:
    try:
        state = TABLE[life.state][trigger]
    except KeyError:
        raise IllegalTrigger(f"{trigger} is impossible while {life.state}") from None
    return life if state is None else replace(life, state=state, since=now)


def _start(life: Life, now: float, *, came_from: State) -> Outcome:
    """Start, or start afresh: from anywhere but `stopped` by way of `stopping`."""
    if life.state is State.STARTING and came_from is State.STOPPED:
        return replace(life, process=Process.BOOTING), [Action.SPAWN]
    if life.state is State.STOPPING and came_from is not State.STOPPING:
        return _stop(life, now)
    return life, []


def _stop(life: Life, now: float) -> Outcome:
    """Bring the process down; without one, the account is stopped at once."""
    if life.state is not State.STOPPING:
        return life, []
    idle = replace(life, proven_at=None, retry_at=None)
    if life.process is Process.NONE:
        return _stopped(_move(idle, Trigger.EXITED, now), now)
    if life.process is Process.LEAVING:
        return idle, []
    return replace(idle, process=Process.LEAVING), [Action.STOP_CHILD]


def _stopped(life: Life, now: float) -> Outcome:
    """The process is gone; start again if the account is wanted."""
    if not life.is_wanted:
        return life, []
    return _start(_move(life, Trigger.START, now), now, came_from=State.STOPPED)


def _exit(before: Life, moved: Life, happened: Happened, rules: Rules) -> Outcome:
    life = replace(moved, process=Process.NONE)
    if before.state is State.STOPPING:
        return _stopped(life, happened.now)
    if before.state is State.PARKED:
        return life, []
    if before.state is State.BACKOFF and life.retry_at is not None:  # its failure is counted already
        return life, []
    if before.state is State.BACKOFF:  # the delay was over before the process was gone
        return _retry(life, _move(life, Trigger.RETRY, happened.now), happened.now)
    why = before.why if before.process is Process.LEAVING else happened.why
    return _fail(life, msgspec.structs.replace(happened, why=why), rules), []


def _fail(life: Life, happened: Happened, rules: Rules) -> Life:
    failures = life.failures + 1
    delay_s = rules.backoff.delay(failures, luck=happened.luck)
    if happened.why is not None and happened.why.retry_after_s is not None:
        delay_s = max(delay_s, happened.why.retry_after_s)
    return replace(life, failures=failures, proven_at=None, why=happened.why, retry_at=happened.now + delay_s)


def _retry(before: Life, moved: Life, now: float) -> Outcome:
    """The delay is over: connect in place, or with a new process once an old one is really gone."""
    if before.process is Process.LEAVING:
        return replace(before, retry_at=None), []
    life = replace(moved, retry_at=None)
    if life.process is Process.READY:
        return _move(life, Trigger.READY, now), [Action.CONNECT]
    return replace(life, process=Process.BOOTING), [Action.SPAWN]


def _is_stable(life: Life, now: float, rules: Rules) -> bool:
    return life.proven_at is not None and now - life.proven_at >= rules.stable_after_s


def _is_too_soon(life: Life, now: float, rules: Rules) -> bool:
    """Whether a platform asks for new connections so often that it counts as failure."""
    return life.handover_at is not None and now - life.handover_at < rules.stable_after_s
