"""One account at the edge: carries out what `lifecycle.step` decides, and tells it what happened."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from longwire import lifecycle
from longwire.alarm import Alarm
from longwire.backoff import Backoff
from longwire.child import Child
from longwire.config import AccountConfig
from longwire.incarnation import Incarnation, Workplace
from longwire.inquiries import Done, answer_of
from longwire.lifecycle import Action, Happened, Life, Process, Rules, State, Trigger
from longwire.limits import Excess, Limits, Meter, Recycling
from longwire.logger import get_logger
from longwire.manners import Manners
from longwire.memory import Memory, Notebook
from longwire.outages import Outages
from longwire.pair import RESPOND, Pair
from longwire.portrait import Sitter, Tally, portrait
from longwire.status import AccountStatus, SendingStatus
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot
from longwire_protocol.frames import CommandResult
from longwire_protocol.link import Fault, LinkFailure

_log = get_logger("longwire.account")


_TOO_LATE = LinkFailure(fault=Fault.OURS, reason="successor_timeout", message="not online in time")


class Premises(Workplace, frozen=True):
    """What every account needs of the supervisor."""

    changed: Callable[[Account], None]
    """Told after each change of state."""
    manners: Manners
    """How close together an account may connect."""
    outages: Outages
    """Who fails together."""
    sending: Callable[[AccountConfig], SendingStatus]
    """Tells how far an account's commands are."""


class Account:
    """Runs one account; see `lifecycle` for what it does and why."""

    def __init__(self, config: AccountConfig, premises: Premises, memory: Memory) -> None:
        self.config = config
        self.tally = Tally()
        self._premises = premises
        self._loop = asyncio.get_running_loop()
        settings = config.settings
        backoff = Backoff(initial_s=settings.backoff_initial_s, max_s=settings.backoff_max_s)
        self._rules = Rules(
            backoff=backoff,
            stable_after_s=settings.stable_after_s,
            is_overlap_allowed=config.is_overlap_allowed,
        )
        self._life = Life(since=self._loop.time(), failures=memory.failures)
        if memory.app != config.app:  # another bot under the same name
            memory = msgspec.structs.replace(memory, bot=None, app=config.app)
        self._notes = Notebook(config.account, memory, keeper=premises.states)
        self._pair = Pair(self._new_incarnation)
        self._is_retired = False
        self.is_called_for = False
        """Whether the operator wants what has this name to run; that is said to one that leaves, too."""
        self._stable, self._retry, self._successor = Alarm(), Alarm(), Alarm()
        self._recycling = Recycling()
        self._excess: Excess | None = None
        """Over which limit it is left, as it was replaced for that a short while ago."""
        self._in_vain: LinkFailure | None = None
        """Why the last successor failed, until another one does better."""
        self._last_failure: tuple[float, LinkFailure] | None = None
        """Also of one that is well again; with when it was, on the loop's clock."""
        self.meter: Meter | None = None
        """Of a process of this account; the guard's to keep."""
        self.limits = Limits(
            memory_mb=settings.memory_limit_mb,
            cpu_percent=settings.cpu_limit_percent,
            open_files=settings.max_open_files,
            nice=settings.nice,
        )

    @property
    def name(self) -> str:
        """The account's name."""
        return self.config.account

    @property
    def state(self) -> State:
        """The state it is in."""
        return self._life.state

    @property
    def memory(self) -> Memory:
        """What its successor should know: who the bot is; not the failures of another configuration."""
        return Memory(bot=self._notes.memory.bot, app=self._notes.memory.app)

    @property
    def connector(self) -> str:
        """Which connector drives it."""
        return self.config.connector

    @property
    def is_wanted(self) -> bool:
        """Whether it is to run, and waits for no operator."""
        return self._life.is_wanted and self._life.state is not State.PARKED

    @property
    def was_online(self) -> bool:
        """Whether its link was ever proven with the configuration it has."""
        return self._notes.memory.was_online

    @property
    def is_up(self) -> bool:
        """Whether its link is proven."""
        return self._life.state in {State.ONLINE, State.DEGRADED}

    @property
    def pid(self) -> int | None:
        """Its process."""
        child = self._pair.child
        return child.pid if child else None

    # What the operator wants.

    def start(self) -> None:
        """Let it run; one that an earlier supervisor left in a delay waits that out first.

        Raises:
            CommandError: it is being taken down for good.
        """
        self._refuse_if_retired()
        self.is_called_for = True
        left_s = self._notes.memory.left_s(time.time(), longest_s=self._rules.backoff.max_s)
        if self._life.state is State.STOPPED and self.tally.starts == 0 and left_s > 0:
            self._resume(left_s, self._notes.memory.why)
        else:
            self._happen(Trigger.START)

    def _resume(self, left_s: float, why: LinkFailure | None) -> None:
        """Wait out what is left of a delay; in an outage it is one of those that fail."""
        if why is not None:
            self._premises.outages.failed(self, why)
        self._happen(Trigger.RESUME, why=why, retry_at=self._loop.time() + left_s)

    def stop(self) -> None:
        """Bring it down, as the operator wants; whatever replaces it does not start then, either."""
        self.is_called_for = False
        self._happen(Trigger.STOP)

    def retire(self) -> None:
        """Bring it down for good: it is removed, replaced, or the supervisor stops."""
        self._is_retired = True
        self._happen(Trigger.STOP)

    def _refuse_if_retired(self) -> None:
        if self._is_retired:
            raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, f"{self.name} is being taken down", retryable=True)

    def spend_restart(self) -> None:
        """Count a restart that an operator asks for.

        Raises:
            CommandError: too many in short order, for the platform or for anyone.
        """
        wait_s = self._premises.manners.restart(self.config, self._loop.time())
        if wait_s > 0:
            raise CommandError(
                RetCode.SATURATED,
                f"{self.name} had too many new connections in short order; "
                f"the next restart is possible in {wait_s:.0f} s",
                retryable=True,
                retry_after_ms=math.ceil(wait_s * 1000),
            )

    def pardon(self) -> None:
        """Try again, if it was refused for good: that was an outage's doing."""
        if self._life.state is State.PARKED:
            self._happen(Trigger.PARDON)

    def restart(self, why: str) -> None:
        """Give it a fresh process, from whatever state.

        Raises:
            CommandError: it is being taken down for good.
        """
        self._refuse_if_retired()
        self.is_called_for = True
        _log.info("account_restarts", account=self.name, reason=why)
        self._happen(Trigger.RESTART)

    def judge(self, excess: Excess | None) -> None:
        """Hear by how much its process is over a limit, if it is: it is replaced, but not for ever."""
        now = self._loop.time()
        if excess is None or not self._recycling.may(now):
            self._keep(excess)
        elif lifecycle.can_recycle(self._life) and not self._is_retired:
            self._recycling.note(now)
            self._excess = None
            _log.warning("account_recycles", account=self.name, reason=excess.reason, text=excess.message)
            why = LinkFailure(fault=Fault.OURS, reason=excess.reason, message=excess.message)
            self._happen(Trigger.RECYCLE, why=why, is_urgent=excess.is_urgent)

    def _keep(self, excess: Excess | None) -> None:
        if excess is not None and self._excess is None:
            _log.warning(
                "limit_not_kept",
                account=self.name,
                reason=excess.reason,
                text=excess.message,
                user_action=excess.user_action,
            )
        self._excess = excess

    @property
    def takes_commands(self) -> bool:
        """Whether it is up, or will be without an operator: then commands wait for it."""
        return self.is_called_for and self._life.state is not State.PARKED

    def begin(
        self, method: str, params: dict[str, Any], done: Done, *, deadline_s: float, key: str | None
    ) -> None:
        """Have the platform do something; `done` gets the answer, after this has returned.

        Args:
            method: of its connector.
            params: of the method.
            done: called exactly once.
            deadline_s: from now; the answer comes by then, or a second later.
            key: tells the platform a repetition, if it can be told.

        Raises:
            CommandError: the account is not online.
        """
        child = self._pair.child
        if child is None or not self.is_up:
            raise CommandError(
                RetCode.ACCOUNT_NOT_ONLINE, f"{self.name} is {self._life.state}, not online", retryable=True
            )
        child.inquiries.begin(method, params, done, deadline_s=deadline_s, key=key)

    async def command(self, method: str, params: dict[str, Any], *, deadline_s: float) -> CommandResult:
        """Have the platform do something that nobody has to remember; see `begin`."""
        if method == RESPOND:
            answer = await self._pair.respond(params, deadline_s=deadline_s)
            if answer is None:
                raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, f"{self.name} has no process to hold a click")
            return answer
        return await answer_of(partial(self.begin, method, params, deadline_s=deadline_s, key=None))

    # What its processes report.

    def child_ready(self, child: Child) -> None:
        """See `ChildOwner`."""
        incarnation, process = self._of(child)
        if process is Process.BOOTING:
            incarnation.booted()
            _log.info("child_ready", account=self.name, incarnation=child.incarnation, sdk=child.vitals.sdk)
            self._happen(Trigger.SECOND_READY if incarnation is self._pair.second else Trigger.READY)

    def child_linked(self, child: Child, connection: str) -> None:
        """See `ChildOwner`."""
        del connection
        incarnation, process = self._of(child)
        if incarnation is self._pair.second:
            if process is Process.READY:
                self._happen(Trigger.SUCCEEDED)
        elif self._life.state is State.CONNECTING and process is Process.READY:
            self._happen(Trigger.PROVEN)

    def child_unlinked(self, child: Child, failure: LinkFailure) -> None:
        """See `ChildOwner`."""
        incarnation, process = self._of(child)
        if incarnation is self._pair.second:
            self._second_failed(failure)
        elif process is Process.READY and self._life.state is not State.BACKOFF:
            is_excused = self._premises.outages.failed(self, failure)
            self._happen(_meaning(failure, is_excused=is_excused), why=failure)

    def child_identified(self, child: Child, bot: Bot) -> None:
        """See `ChildOwner`."""
        del child
        self._remember(bot=bot)

    def child_late(self, child: Child) -> None:
        """See `ChildOwner`."""
        if child is self._pair.child and self._life.state is State.ONLINE:
            self._happen(Trigger.LATE)

    def child_on_time(self, child: Child) -> None:
        """See `ChildOwner`."""
        if child is self._pair.child and self._life.state is State.DEGRADED:
            self._happen(Trigger.ON_TIME)

    def child_hung(self, child: Child, why: LinkFailure) -> None:
        """See `ChildOwner`."""
        incarnation, process = self._of(child)
        if process not in {Process.BOOTING, Process.READY}:
            return
        _log.warning(
            "child_hung",
            account=self.name,
            incarnation=child.incarnation,
            reason=why.reason,
            text=why.message,
        )
        if incarnation is self._pair.second:
            self._second_failed(why)
        else:
            self._happen(Trigger.HUNG, why=why)

    def child_exited(self, child: Child, why: LinkFailure) -> None:
        """See `ChildOwner`."""
        incarnation, process = self._of(child)
        level = _log.info if process is Process.LEAVING else _log.warning
        level("child_exited", account=self.name, incarnation=child.incarnation, text=why.message)
        incarnation.booted()
        self._note_last(child)
        self._gone(incarnation, why)

    def incarnation_started(self, incarnation: Incarnation) -> None:
        """See `IncarnationOwner`."""
        self.tally.starts += 1
        self._pair.started(incarnation)

    def incarnation_failed(self, incarnation: Incarnation, why: LinkFailure) -> None:
        """See `IncarnationOwner`."""
        self._gone(incarnation, why)

    def _of(self, child: Child) -> tuple[Incarnation, Process]:
        """Return whose child it is, and what it is doing."""
        incarnation = self._pair.of(child)
        is_second = incarnation is self._pair.second
        return incarnation, self._life.second if is_second else self._life.process

    def _second_failed(self, why: LinkFailure) -> None:
        """A successor will not do: what there is goes on."""
        if self._life.second in {Process.BOOTING, Process.READY}:
            self._regret(why)
            self._happen(Trigger.SECOND_FAILED)

    def _regret(self, why: LinkFailure) -> None:
        self._in_vain = why
        _log.warning("successor_failed", account=self.name, reason=why.reason, text=why.message)

    def _gone(self, incarnation: Incarnation, why: LinkFailure) -> None:
        """It has no process any more; where there is another one, that one is the account's now."""
        is_second = incarnation is self._pair.second
        self._pair.gone(incarnation)
        if is_second:
            if self._life.second in {Process.BOOTING, Process.READY}:
                self._regret(why)
            self._happen(Trigger.SECOND_EXITED)
        else:
            self._in_vain = None
            self._happen(Trigger.EXITED, why=why)

    def _note_last(self, child: Child) -> None:
        self.tally.frame_at = child.vitals.frame_at or self.tally.frame_at
        self.tally.event_at = child.vitals.event_at or self.tally.event_at

    # Carrying out.

    def _happen(
        self,
        trigger: Trigger,
        *,
        why: LinkFailure | None = None,
        retry_at: float | None = None,
        is_urgent: bool = False,
    ) -> None:
        before = self._life
        now = self._loop.time()
        happened = Happened(
            trigger=trigger,
            now=now,
            luck=random.random(),  # noqa: S311  # jitter, not a secret
            why=why,
            retry_at=retry_at,
            is_urgent=is_urgent,
            hold_s=self._premises.manners.hold_s(self.config, now),
        )
        self._life, actions = lifecycle.step(before, happened, self._rules)
        if why is not None and trigger in _FAILURES:
            self._last_failure = now, why
        self._set_alarms()
        present = self._pair.present
        if present is not None and (actions or self._life.state is not before.state):
            present.cancel_turn()
        for action in actions:
            self._carry_out(action)
        self._remember()
        self._tell_outages(trigger)  # first, as another account may take its name with the change
        if self._life.state is not before.state or trigger in {Trigger.HANDOVER, Trigger.SUCCEEDED}:
            self._premises.changed(self)

    def _tell_outages(self, trigger: Trigger) -> None:
        if trigger in {Trigger.PROVEN, Trigger.SUCCEEDED}:
            self._premises.outages.proven(self)
        elif self._life.state is State.STOPPED:
            self._premises.outages.left(self)
        else:
            self._premises.outages.seen(self)

    def _carry_out(self, action: Action) -> None:
        if action in {Action.CONNECT, Action.CONNECT_SECOND}:
            self._premises.manners.connects(self.config, self._loop.time())
        before = self._pair.child
        self._pair.carry_out(action)
        if action is Action.SWAP:
            self._in_vain = None
            if before is not None:
                self._note_last(before)
            _log.info("account_recycled", account=self.name, incarnation=self._pair.number)

    def _new_incarnation(self, is_successor: bool) -> Incarnation:  # noqa: FBT001
        bot = self._notes.memory.bot
        return Incarnation(self.config, self._premises, self, bot=bot, is_successor=is_successor)

    def _set_alarms(self) -> None:
        life = self._life
        self._retry.set(life.retry_at, lambda: self._happen(Trigger.RETRY))
        self._successor.set(life.second_by, lambda: self._second_failed(_TOO_LATE))
        # The failures are forgotten on disk, too, once the link is stable.
        is_to_forget = life.proven_at is not None and life.failures
        stable_at = (life.proven_at or 0.0) + self._rules.stable_after_s
        self._stable.set(stable_at if is_to_forget else None, self._remember)

    def _remember(self, *, bot: Bot | None = None) -> None:
        retry_at, now, known = self._life.retry_at, self._loop.time(), self._notes.memory
        memory = Memory(
            failures=lifecycle.attempt(self._life, now, self._rules),
            retry_at=None if retry_at is None else self._wall(retry_at),
            why=None if retry_at is None else self._life.why,
            bot=bot or known.bot,
            app=known.app,
            was_online=known.was_online or self._life.proven_at is not None,
        )
        self._notes.note(memory, now=now, ends_at=retry_at)

    # Looking at it.

    def status(self) -> AccountStatus:
        """Return what is known of it now."""
        sitter = Sitter(
            config=self.config,
            life=self._life,
            attempt=lifecycle.attempt(self._life, self._loop.time(), self._rules),
            incarnation=self._pair.number,
            child=self._pair.child,
            tally=self.tally,
            bot=self._notes.memory.bot,
            in_outage=self._premises.outages.size(self),
            excess=self._excess,
            in_vain=self._in_vain,
            waits_for=self._pair.present.waits_for if self._pair.present else None,
            limits=self.limits,
            meter=self.meter,
            last_incident=self._premises.yard.incidents.last(self.name),
            last_failure=self._last_failure,
            sending=self._premises.sending(self.config),
        )
        return portrait(sitter, wall=self._wall)

    def _wall(self, at: float) -> float:
        return time.time() + at - self._loop.time()


_FAILURES = {Trigger.FAILED, Trigger.REFUSED, Trigger.HUNG, Trigger.EXITED}


def _meaning(failure: LinkFailure, *, is_excused: bool) -> Trigger:
    """Return what the end of a link or an attempt is to the account."""
    if failure.fault is Fault.HANDOVER:
        return Trigger.HANDOVER
    if failure.fault is Fault.PERMANENT and not is_excused:
        return Trigger.REFUSED
    return Trigger.FAILED
