"""One incarnation of an account at the edge: its turns to start and to connect, its number, its child.

Of whatever it waits for, `stop` is the end; and its end is reported exactly once.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from longwire.apps import Apps, Claim
from longwire.child import Child, ChildOwner, Yard
from longwire.config import AccountConfig
from longwire.logger import get_logger
from longwire.pacing import ConnectGates, CrowdGate, Turn
from longwire_protocol.event import Bot
from longwire_protocol.link import Fault, LinkFailure

_log = get_logger("longwire.incarnation")


class States(Protocol):
    """Where small state is kept: the journal."""

    async def next_incarnation(self, account: str) -> int:
        """Return a number greater than every one returned before, also by an earlier supervisor."""
        ...

    def put_state(self, key: str, value: Any) -> None:
        """Keep this; durable soon."""
        ...


class Workplace(msgspec.Struct, frozen=True):
    """What every incarnation needs of the supervisor."""

    yard: Yard
    states: States
    tasks: asyncio.TaskGroup
    starts: CrowdGate
    """Processes booting at once."""
    connects: ConnectGates
    """The pace of new connections."""
    apps: Apps
    """Which apps are in use."""


class IncarnationOwner(ChildOwner, Protocol):
    """What an incarnation reports to; the child it starts reports there, too."""

    def incarnation_started(self, incarnation: Incarnation) -> None:
        """Hear that its process is there."""
        ...

    def incarnation_failed(self, incarnation: Incarnation, why: LinkFailure) -> None:
        """Hear that there is none, and none will be: the last thing it reports."""
        ...


class Incarnation:
    """A child, from the wish for one on; `begin` it first.

    Args:
        config: of the account.
        workplace: see there.
        owner: told what becomes of it.
        bot: who the bot is, if an earlier incarnation found out.
        is_successor: whether it is made beside the account's present process.
    """

    def __init__(
        self,
        config: AccountConfig,
        workplace: Workplace,
        owner: IncarnationOwner,
        *,
        bot: Bot | None,
        is_successor: bool,
    ) -> None:
        self.number = 0
        self.child: Child | None = None
        self._config = config
        self._workplace = workplace
        self._owner = owner
        self._bot = bot
        self._is_successor = is_successor
        self._loop = asyncio.get_running_loop()
        self._turn: Turn | None = None
        self._claim: Claim | None = None
        self._spawning: asyncio.Task[None] | None = None
        self._is_booting = False

    def begin(self) -> None:
        """Start its process when nobody else has its app, and there is room for one more that boots."""
        claim = self._claim = self._workplace.apps.claim(self._config, self._queue)
        if claim.turn.is_wanted:
            self._turn = claim.turn
            _log.info("start_waits", account=self._config.account, for_account=self.waits_for)

    @property
    def waits_for(self) -> str | None:
        """The account that has its app, and has to go first."""
        return self._workplace.apps.in_the_way(self._claim) if self._claim else None

    def connect(self) -> None:
        """Let it make an attempt when the pace permits."""
        config = self._config
        self._turn = self._workplace.connects.ask(
            self._connect, connector=config.connector, tenant=config.tenant
        )

    def cancel_turn(self) -> None:
        """Wait for nothing any more."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def stop(self) -> None:
        """Begin the stop ladder, or see to it that there will be no process."""
        self.cancel_turn()
        if self.child is not None:
            self.child.stop()
            return
        if self._spawning is not None:  # it waits for the journal; a gap in incarnations is harmless
            self._spawning.cancel()
            self._spawning = None
            self.booted()
        # There was no process yet: its end is reported at the loop's next turn, as any other's.
        why = LinkFailure(fault=Fault.OURS, reason="not_started", message="stopped before its start")
        self._loop.call_soon(self._owner.incarnation_failed, self, why)

    def kill(self) -> None:
        """End its process at once."""
        if self.child is not None:
            self.child.kill()

    def gone(self) -> None:
        """Its process is gone, or there was none: the app is free for another account."""
        if self._claim is not None:
            self._workplace.apps.release(self._claim)

    def booted(self) -> None:
        """Its process has started, or failed to: another one may."""
        if self._is_booting:
            self._is_booting = False
            self._workplace.starts.leave()

    def _connect(self) -> None:
        self._turn = None
        if self.child is not None:
            self.child.connect()

    def _queue(self) -> None:
        self._turn = self._workplace.starts.ask(self._spawn_soon, tenant=self._config.tenant)

    def _spawn_soon(self) -> None:
        self._turn = None
        self._is_booting = True
        name = f"spawn {self._config.account}"
        self._spawning = self._workplace.tasks.create_task(self._spawn(), name=name)

    async def _spawn(self) -> None:
        """Start the process once its number is on disk; a stop cancels the wait for that."""
        try:
            self.number = await self._workplace.states.next_incarnation(self._config.account)
            child = Child(
                self._config, self.number, yard=self._workplace.yard, owner=self._owner, bot=self._bot
            )
            await child.start(is_successor=self._is_successor)
            self.child = child
        except Exception as exc:  # noqa: BLE001  # one account's trouble is its own
            _log.warning(
                "spawn_failed",
                account=self._config.account,
                error=str(exc),
                exc_info=not isinstance(exc, OSError),
            )
            self.booted()
            why = LinkFailure(fault=Fault.OURS, reason="spawn_failed", message=str(exc))
            self._owner.incarnation_failed(self, why)
            return
        finally:
            if self._spawning is asyncio.current_task():
                self._spawning = None
        _log.info("child_started", account=self._config.account, incarnation=self.number, pid=child.pid)
        self._owner.incarnation_started(self)
