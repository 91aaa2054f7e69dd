"""The life of an account, as one table, and what each of its steps does.

Theory of operation. An account is in one of eight states, whose names clients rely on. Things happen to it,
called triggers: the operator wants it to run or to stop, its child process comes and goes, its link is proven
or lost. `TABLE` says which trigger is possible in which state and where it leads; anything else is a bug of
the caller, raises `IllegalTrigger` and changes nothing.

`step` is the whole behaviour: a pure function of (life, trigger, now, luck) to (new life, actions). The edge
(`longwire.account`) carries the actions out and feeds back what happened.

Four facts stand beside the state, because each can be true in several states: whether the operator wants
the account to run, what its process is doing (`Process`), how many failures there were in a row, and what a
second process is doing. They decide where a step goes on at once: a retry with a living child passes
`starting` without a new process, a stopped account that is wanted (a restart) starts again when its process
is gone.

The second process exists for a planned replacement alone, where the connector allows two links at a time. It
is a successor on its way, while the account is up and has its child; when its link is proven the two change
places, and then the second is the predecessor on its way out. In whatever else happens to an account with a
successor, the successor is given up. So an account's state is always that of one process, *the* child; of the
second it is only known that it comes, or that it goes. Nothing new is started before both are gone.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from longwire.backoff import Backoff
from longwire_protocol.link import Fault, LinkFailure


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
    HELD = "held"  # it would connect, but the platform bears no new connection of it yet
    PARDON = "pardon"  # it was refused for good, but then many others were, too: it may be an outage
    RECYCLE = "recycle"  # its child is over a limit: it is to be replaced, as planned
    SECOND_READY = "second_ready"  # its successor said hello
    SUCCEEDED = "succeeded"  # the platform answered on the successor's link
    SECOND_FAILED = "second_failed"  # the successor got no link, or took too long
    SECOND_EXITED = "second_exited"  # its second process is gone: a successor, or a predecessor


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
    Trigger.HELD: State.BACKOFF,
    Trigger.SECOND_EXITED: None,
}
_PROVEN = _LINKED | {Trigger.SECOND_READY: None, Trigger.SUCCEEDED: State.ONLINE, Trigger.SECOND_FAILED: None}

TABLE: dict[State, dict[Trigger, State | None]] = {
    State.STOPPED: {
        Trigger.START: State.STARTING,
        Trigger.RESUME: State.BACKOFF,
        Trigger.RESTART: State.STARTING,
        Trigger.STOP: None,
    },
    State.STARTING: _UP | {Trigger.READY: State.CONNECTING, Trigger.HELD: State.BACKOFF},
    State.CONNECTING: _LINKED | {Trigger.PROVEN: State.ONLINE},
    State.ONLINE: _PROVEN | {Trigger.SUCCEEDED: None, Trigger.LATE: State.DEGRADED, Trigger.RECYCLE: None},
    State.DEGRADED: _PROVEN | {Trigger.ON_TIME: State.ONLINE},
    State.BACKOFF: _UP
    | {
        Trigger.RETRY: State.STARTING,
        Trigger.HELD: None,
        Trigger.EXITED: None,
        Trigger.RECYCLE: None,
        Trigger.SECOND_EXITED: None,
    },
    State.PARKED: {
        Trigger.START: State.STOPPING,
        Trigger.RESTART: State.STOPPING,
        Trigger.STOP: State.STOPPING,
        Trigger.PARDON: State.BACKOFF,
        Trigger.EXITED: None,
        Trigger.SECOND_EXITED: None,
    },
    State.STOPPING: {
        Trigger.START: None,
        Trigger.RESTART: None,
        Trigger.STOP: None,
        Trigger.EXITED: State.STOPPED,
        Trigger.SECOND_EXITED: None,
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
    SPAWN_SECOND = "spawn_second"  # start a successor beside the child, in a new incarnation
    CONNECT_SECOND = "connect_second"  # let the successor make its attempt, likewise
    SWAP = "swap"  # from now on the successor is the child, and what was the child is the second process
    STOP_SECOND = "stop_second"  # the stop ladder for the second process


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
    """The last failure, or why it was recycled; kept until the next proven link."""
    second: Process = Process.NONE
    """Of the second process; there is none without a first."""
    second_by: float | None = None
    """When a successor must have proven its link; `None` without one on its way."""


class Rules(msgspec.Struct, frozen=True):
    """What of an account's settings and its connector the decisions depend on."""

    backoff: Backoff
    stable_after_s: float
    is_overlap_allowed: bool = False
    """Whether the platform bears two links of the account at a time."""


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger with what belongs to it."""

    trigger: Trigger
    now: float
    """Seconds on the monotonic clock."""
    luck: float = 0.0
    """Uniform in [0, 1), for the jitter of a delay."""
    why: LinkFailure | None = None
    """For `RESUME`, `HANDOVER`, `FAILED`, `REFUSED`, `HUNG`, `EXITED`, `RECYCLE`."""
    retry_at: float | None = None
    """For `RESUME`: when the delay left over ends."""
    is_urgent: bool = False
    """For `RECYCLE`: whether there is no room for two processes."""
    hold_s: float = 0.0
    """For how long the platform bears no new connection of the account, whatever happened."""


Outcome = tuple[Life, list[Action]]


def step(life: Life, happened: Happened, rules: Rules) -> Outcome:
    """Decide what changes and what must be done.

    Raises:
        IllegalTrigger: impossible in this state.
    """
    trigger = _meant(life, happened, rules)
    life = replace(life, failures=attempt(life, happened.now, rules))
    moved = _move(life, trigger, happened.now)
    return _without_orphan(*_decide(life, moved, replace(happened, trigger=trigger), rules))


def can_recycle(life: Life) -> bool:
    """Return whether `RECYCLE` makes sense: there is a child to replace, and nothing is on its way."""
    is_possible = Trigger.RECYCLE in TABLE[life.state]
    return is_possible and life.process is Process.READY and life.second is Process.NONE


_SUCCESSION_S = 90.0
"""How long a successor may take: a start (60 s) and an attempt (23 s)."""


def _meant(life: Life, happened: Happened, rules: Rules) -> Trigger:
    """Return the trigger for which this one stands, as things are."""
    match happened.trigger:
        case Trigger.HANDOVER if _is_too_soon(life, happened.now, rules):
            return Trigger.FAILED
        case Trigger.READY | Trigger.RETRY | Trigger.HANDOVER if happened.hold_s > 0:
            return Trigger.HELD
        case Trigger.SECOND_READY if happened.hold_s > 0:
            return Trigger.SECOND_FAILED  # the child stays, and there is no harm
        case Trigger.RECYCLE if life.state is State.ONLINE and (
            happened.is_urgent or not rules.is_overlap_allowed
        ):
            return Trigger.RESTART  # the child drains and goes first
        case Trigger.EXITED if life.process is Process.LEAVING and life.second is not Process.NONE:
            return Trigger.SECOND_EXITED  # one of two that leave; what follows waits for both
        case _:
            return happened.trigger


def _decide(life: Life, moved: Life, happened: Happened, rules: Rules) -> Outcome:
    if happened.trigger in _OPERATOR:
        return _operate(life, moved, happened)
    if happened.trigger in _LINK:
        return _link(moved, happened, rules)
    if happened.trigger in _SECOND:
        return _second(moved, happened)
    return _child(life, moved, happened, rules)


def _without_orphan(life: Life, actions: list[Action]) -> Outcome:
    """Give a successor up whose predecessor is no longer up: the account goes its usual way."""
    is_up = life.state in {State.ONLINE, State.DEGRADED} and life.process is Process.READY
    if is_up or life.second not in {Process.BOOTING, Process.READY}:
        return life, actions
    return _give_up(life, actions)


_OPERATOR = {Trigger.START, Trigger.RESUME, Trigger.STOP, Trigger.RESTART}
_LINK = {
    Trigger.PROVEN,
    Trigger.HANDOVER,
    Trigger.FAILED,
    Trigger.REFUSED,
    Trigger.HELD,
    Trigger.PARDON,
}
_SECOND = {
    Trigger.RECYCLE,
    Trigger.SECOND_READY,
    Trigger.SUCCEEDED,
    Trigger.SECOND_FAILED,
    Trigger.SECOND_EXITED,
}


def _operate(before: Life, moved: Life, happened: Happened) -> Outcome:
    """What the operator wants."""
    match happened.trigger:
        case Trigger.STOP:
            return _stop(replace(moved, is_wanted=False), happened.now)
        case Trigger.RESUME:
            return replace(moved, is_wanted=True, retry_at=happened.retry_at, why=happened.why), []
        case _:
            is_recycled = happened.trigger is Trigger.RESTART and happened.why is not None
            wanted = replace(moved, is_wanted=True, why=happened.why if is_recycled else moved.why)
            return _start(wanted, happened.now, came_from=before.state)


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
        case Trigger.HELD:
            return _hold(moved, happened), []
        case Trigger.PARDON:
            return _fail(moved, replace(happened, why=moved.why), rules), []
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


def _second(moved: Life, happened: Happened) -> Outcome:
    """What became of a planned replacement."""
    now = happened.now
    match happened.trigger:
        case Trigger.RECYCLE if moved.state is State.BACKOFF:  # there is no link: nothing to lose
            return replace(moved, process=Process.LEAVING), [Action.STOP_CHILD]
        case Trigger.RECYCLE:
            booting = replace(moved, second=Process.BOOTING, second_by=now + _SUCCESSION_S)
            return booting, [Action.SPAWN_SECOND]
        case Trigger.SECOND_READY:
            return replace(moved, second=Process.READY), [Action.CONNECT_SECOND]
        case Trigger.SUCCEEDED:
            swapped = replace(moved, second=Process.LEAVING, second_by=None, proven_at=now)
            return swapped, [Action.SWAP, Action.STOP_SECOND]
        case Trigger.SECOND_FAILED:
            return _give_up(moved, [])
        case _:
            return replace(moved, second=Process.NONE, second_by=None), []


def _give_up(life: Life, actions: list[Action]) -> Outcome:
    """Let the second process go."""
    return replace(life, second=Process.LEAVING, second_by=None), [*actions, Action.STOP_SECOND]


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
    life, actions = _alone(moved)
    if before.state is State.STOPPING:
        return _stopped(life, happened.now)
    if before.state is State.PARKED:
        return life, []
    if before.state is State.BACKOFF and life.retry_at is not None:  # its failure is counted already
        return life, []
    if before.state is State.BACKOFF:  # the delay was over before the process was gone
        return _retry(life, _move(life, Trigger.RETRY, happened.now), happened.now)
    why = before.why if before.process is Process.LEAVING else happened.why
    return _fail(life, msgspec.structs.replace(happened, why=why), rules), actions


def _alone(life: Life) -> Outcome:
    """Return the life without the child; its second process, which goes too, is now all there is of it."""
    left = Process.NONE if life.second is Process.NONE else Process.LEAVING
    is_to_stop = life.second in {Process.BOOTING, Process.READY}
    alone = replace(life, process=left, second=Process.NONE, second_by=None)
    return alone, [Action.STOP_CHILD] if is_to_stop else []


def _fail(life: Life, happened: Happened, rules: Rules) -> Life:
    failures = life.failures + 1
    delay_s = rules.backoff.delay(failures, luck=happened.luck)
    if happened.why is not None and happened.why.retry_after_s is not None:
        delay_s = max(delay_s, happened.why.retry_after_s)
    return replace(life, failures=failures, proven_at=None, why=happened.why, retry_at=happened.now + delay_s)


def _hold(life: Life, happened: Happened) -> Life:
    """Wait for the platform's patience; no failure. A child that just said hello waits, too."""
    process = Process.READY if life.process is Process.BOOTING else life.process
    asked_at = life.handover_at if life.proven_at is None else happened.now
    retry_at = happened.now + happened.hold_s
    return replace(
        life, process=process, proven_at=None, handover_at=asked_at, why=_TOO_MANY_LINKS, retry_at=retry_at
    )


_TOO_MANY_LINKS = LinkFailure(
    fault=Fault.OURS,
    reason="link_burst",
    message="the platform bears only so many new connections of an account in short order",
)


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
