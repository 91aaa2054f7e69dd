"""One account at the edge: carries out what `lifecycle.step` decides, and tells it what happened."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog

from longwire import lifecycle
from longwire.backoff import Backoff
from longwire.child import Child, Yard
from longwire.config import AccountConfig
from longwire.lifecycle import Action, Happened, Life, Process, Rules, State, Trigger
from longwire.pacing import ConnectGates, CrowdGate, Turn
from longwire.status import AccountStatus
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot
from longwire_protocol.frames import CommandResult
from longwire_protocol.link import Fault, LinkFailure

_log = structlog.get_logger("longwire.account")


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of an account outlives the supervisor."""

    failures: int = 0
    retry_at: float | None = None
    """Unix seconds."""
    why: LinkFailure | None = None
    """Of the delay that runs until `retry_at`."""
    bot: Bot | None = None


MEMORY_PREFIX = "account/"
"""Memories are states of the journal under this prefix and the account's name."""


class States(Protocol):
    """Where small state is kept: the journal."""

    async def next_incarnation(self, account: str) -> int:
        """Return a number greater than every one returned before, also by an earlier supervisor."""
        ...

    def put_state(self, key: str, value: Any) -> None:
        """Keep this; durable soon."""
        ...


class Premises(msgspec.Struct, frozen=True):
    """What every account needs of the supervisor."""

    yard: Yard
    states: States
    tasks: asyncio.TaskGroup
    starts: CrowdGate
    """Processes booting at once."""
    connects: ConnectGates
    """The pace of new connections."""
    changed: Callable[[Account], None]
    """Told after each change of state."""


class Tally(msgspec.Struct):
    """What happened to an account in this supervisor's time."""

    starts: int = 0
    events: int = 0
    duplicates: int = 0
    pss_bytes: int | None = None
    frame_at: float | None = None
    event_at: float | None = None
    """Of earlier processes; Unix seconds."""


class Account:
    """Runs one account; see `lifecycle` for what it does and why."""

    def __init__(self, config: AccountConfig, premises: Premises, memory: Memory) -> None:
        self.config = config
        self.tally = Tally()
        self._premises = premises
        self._loop = asyncio.get_running_loop()
        settings = config.settings
        backoff = Backoff(initial_s=settings.backoff_initial_s, max_s=settings.backoff_max_s)
        self._rules = Rules(backoff=backoff, stable_after_s=settings.stable_after_s)
        self._life = Life(since=self._loop.time(), failures=memory.failures)
        self._memory = memory
        self._child: Child | None = None
        self._incarnation = 0
        self._turn: Turn | None = None
        self._spawning: asyncio.Task[None] | None = None
        self._is_booting = False
        self._is_retired = False
        self._stable: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None

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
        return Memory(bot=self._memory.bot)

    @property
    def is_up(self) -> bool:
        """Whether its link is proven."""
        return self._life.state in {State.ONLINE, State.DEGRADED}

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._child.pid if self._child else None

    # What the operator wants.

    def start(self) -> None:
        """Let it run; one that an earlier supervisor left in a delay waits that out first.

        Raises:
            CommandError: it is being taken down for good.
        """
        self._refuse_if_retired()
        left_s = (self._memory.retry_at or 0.0) - time.time()
        if self._life.state is State.STOPPED and self.tally.starts == 0 and left_s > 0:
            left_s = min(left_s, self._rules.backoff.max_s)  # the wall clock may have stepped
            retry_at = self._loop.time() + left_s
            self._happen(Trigger.RESUME, why=self._memory.why, retry_at=retry_at)
        else:
            self._happen(Trigger.START)

    def stop(self) -> None:
        """Bring it down."""
        self._happen(Trigger.STOP)

    def retire(self) -> None:
        """Bring it down for good: it is removed, replaced, or the supervisor stops."""
        self._is_retired = True
        self.stop()

    def _refuse_if_retired(self) -> None:
        if self._is_retired:
            raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, f"{self.name} is being taken down", retryable=True)

    def restart(self, why: str) -> None:
        """Give it a fresh process, from whatever state.

        Raises:
            CommandError: it is being taken down for good.
        """
        self._refuse_if_retired()
        _log.info("account_restarts", account=self.name, reason=why)
        self._happen(Trigger.RESTART)

    async def command(self, method: str, params: dict[str, Any], *, deadline_s: float) -> CommandResult:
        """Have the platform do something.

        Raises:
            CommandError: the account is not online.
        """
        if self._child is None or not self.is_up:
            raise CommandError(
                RetCode.ACCOUNT_NOT_ONLINE, f"{self.name} is {self._life.state}, not online", retryable=True
            )
        return await self._child.command(method, params, deadline_s=deadline_s)

    # What the child reports.

    def child_ready(self, child: Child) -> None:
        """See `ChildOwner`."""
        if self._life.process is Process.BOOTING:
            self._booted()
            _log.info("child_ready", account=self.name, incarnation=child.incarnation, sdk=child.vitals.sdk)
            self._happen(Trigger.READY)

    def child_linked(self, child: Child, connection: str) -> None:
        """See `ChildOwner`."""
        del child, connection
        if self._life.state is State.CONNECTING and self._life.process is Process.READY:
            self._happen(Trigger.PROVEN)

    def child_unlinked(self, child: Child, failure: LinkFailure) -> None:
        """See `ChildOwner`."""
        del child
        if self._life.process is not Process.READY or self._life.state is State.BACKOFF:
            return
        trigger = {Fault.PERMANENT: Trigger.REFUSED, Fault.HANDOVER: Trigger.HANDOVER}.get(failure.fault)
        self._happen(trigger or Trigger.FAILED, why=failure)

    def child_identified(self, child: Child, bot: Bot) -> None:
        """See `ChildOwner`."""
        del child
        self._remember(bot=bot)

    def child_late(self, child: Child) -> None:
        """See `ChildOwner`."""
        del child
        if self._life.state is State.ONLINE:
            self._happen(Trigger.LATE)

    def child_on_time(self, child: Child) -> None:
        """See `ChildOwner`."""
        del child
        if self._life.state is State.DEGRADED:
            self._happen(Trigger.ON_TIME)

    def child_hung(self, child: Child, why: LinkFailure) -> None:
        """See `ChildOwner`."""
        if self._life.process not in {Process.BOOTING, Process.READY}:
            return
        _log.warning(
            "child_hung",
            account=self.name,
            incarnation=child.incarnation,
            reason=why.reason,
            text=why.message,
        )
        self._happen(Trigger.HUNG, why=why)

    def child_exited(self, child: Child, why: LinkFailure) -> None:
        """See `ChildOwner`."""
        level = _log.info if self._life.process is Process.LEAVING else _log.warning
        level("child_exited", account=self.name, incarnation=child.incarnation, text=why.message)
        self._booted()
        self._child = None
        self.tally.frame_at = child.vitals.frame_at or self.tally.frame_at
        self.tally.event_at = child.vitals.event_at or self.tally.event_at
        self._happen(Trigger.EXITED, why=why)

    # Carrying out.

    def _happen(
        self, trigger: Trigger, *, why: LinkFailure | None = None, retry_at: float | None = None
    ) -> None:
        before = self._life
        happened = Happened(
            trigger=trigger,
            now=self._loop.time(),
            luck=random.random(),  # noqa: S311  # jitter, not a secret
            why=why,
            retry_at=retry_at,
        )
        self._life, actions = lifecycle.step(before, happened, self._rules)
        self._arm_retry()
        self._arm_stable()
        if self._turn is not None and (actions or self._life.state is not before.state):
            self._turn.cancel()
            self._turn = None
        for action in actions:
            self._carry_out(action)
        self._remember()
        if self._life.state is not before.state or trigger is Trigger.HANDOVER:
            self._premises.changed(self)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Action.SPAWN:
                self._turn = self._premises.starts.ask(self._spawn_soon, tenant=self.config.tenant)
            case Action.CONNECT:
                self._turn = self._premises.connects.ask(
                    self._connect, connector=self.config.connector, tenant=self.config.tenant
                )
            case Action.STOP_CHILD:
                self._stop_child()
            case Action.KILL_CHILD:
                if self._child is not None:
                    self._child.kill()

    def _connect(self) -> None:
        self._turn = None
        if self._child is not None:
            self._child.connect()

    def _spawn_soon(self) -> None:
        self._turn = None
        self._is_booting = True
        self._spawning = self._premises.tasks.create_task(self._spawn(), name=f"spawn {self.name}")

    async def _spawn(self) -> None:
        """Start the process once its number is on disk; a stop cancels the wait for that."""
        try:
            self._incarnation = await self._premises.states.next_incarnation(self.name)
            child = Child(
                self.config, self._incarnation, yard=self._premises.yard, owner=self, bot=self._memory.bot
            )
            await child.start()
            self._child = child
        except Exception as exc:  # noqa: BLE001  # one account's trouble is its own
            _log.warning(
                "spawn_failed", account=self.name, error=str(exc), exc_info=not isinstance(exc, OSError)
            )
            self._booted()
            why = LinkFailure(fault=Fault.TRANSIENT, reason="spawn_failed", message=str(exc))
            self._happen(Trigger.EXITED, why=why)
            return
        finally:
            if self._spawning is asyncio.current_task():
                self._spawning = None
        self.tally.starts += 1
        self.tally.pss_bytes = None
        _log.info("child_started", account=self.name, incarnation=self._incarnation, pid=self._child.pid)

    def _booted(self) -> None:
        """Its process has started, or failed to: another one may."""
        if self._is_booting:
            self._is_booting = False
            self._premises.starts.leave()

    def _stop_child(self) -> None:
        if self._child is not None:
            self._child.stop()
            return
        if self._spawning is not None:  # it waits for the journal; a gap in incarnations is harmless
            self._spawning.cancel()
            self._spawning = None
            self._booted()
        # There was no process yet: its end is reported at the loop's next turn, as any other's.
        why = LinkFailure(fault=Fault.TRANSIENT, reason="not_started", message="stopped before its start")
        self._loop.call_soon(lambda: self._happen(Trigger.EXITED, why=why))

    def _arm_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._life.retry_at is not None:
            self._retry = self._loop.call_at(self._life.retry_at, self._happen, Trigger.RETRY)

    def _arm_stable(self) -> None:
        """Have the failures forgotten on disk, too, once the link is stable."""
        if self._stable is not None:
            self._stable.cancel()
            self._stable = None
        if self._life.proven_at is not None and self._life.failures:
            self._stable = self._loop.call_at(
                self._life.proven_at + self._rules.stable_after_s, self._remember
            )

    def _remember(self, *, bot: Bot | None = None) -> None:
        retry_at = self._life.retry_at
        memory = Memory(
            failures=lifecycle.attempt(self._life, self._loop.time(), self._rules),
            retry_at=None if retry_at is None else self._wall(retry_at),
            why=None if retry_at is None else self._life.why,
            bot=bot or self._memory.bot,
        )
        if memory.failures != self._memory.failures or memory.bot != self._memory.bot:
            self._premises.states.put_state(MEMORY_PREFIX + self.name, memory)
        self._memory = memory

    # Looking at it.

    def status(self) -> AccountStatus:
        """Return what is known of it now."""
        life, child, why = self._life, self._child, self._life.why
        vitals = child.vitals if child else None
        beat = vitals.beat if vitals else None
        return AccountStatus(
            account=self.name,
            tenant=self.config.tenant,
            connector=self.config.connector,
            state=life.state,
            reason=self._reason(),
            error_code=why.error_code if why else None,
            message=why.message if why else None,
            user_action=why.user_action if why else None,
            since=self._wall(life.since),
            attempt=lifecycle.attempt(life, self._loop.time(), self._rules),
            next_retry_at=None if life.retry_at is None else self._wall(life.retry_at),
            incarnation=self._incarnation,
            pid=self.pid,
            isolation=child.isolation if child else None,
            python=self.config.settings.python,
            template_pid=child.template_pid if child else None,
            connected_since=None if life.proven_at is None else self._wall(life.proven_at),
            connection=vitals.connection if vitals else None,
            last_frame_at=(vitals and vitals.frame_at) or self.tally.frame_at,
            last_event_at=(vitals and vitals.event_at) or self.tally.event_at,
            last_proof_at=vitals.proof_at if vitals else None,
            restarts=max(0, self.tally.starts - 1),
            events=self.tally.events,
            duplicates=self.tally.duplicates,
            unstored=beat.unstored if beat else 0,
            pss_bytes=self.tally.pss_bytes if child else None,
            sdk=vitals.sdk if vitals else None,
            bot=self._memory.bot,
            counters=beat.counters if beat else {},
        )

    def _reason(self) -> str | None:
        if self._life.state is State.DEGRADED:
            return "heartbeats_missing"
        return self._life.why.reason if self._life.why else None

    def _wall(self, at: float) -> float:
        return time.time() + at - self._loop.time()
