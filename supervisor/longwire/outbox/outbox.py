"""The outbox at the edge: writes commands down, has each carried out in its turn, tells what became of it.

What is in memory is what has not ended; all of it is on disk, or about to be. A client's request waits for
its command and gives up alone: the command goes on.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from longwire.config import AccountConfig
from longwire.journal import Commit, EventStore
from longwire.logger import get_logger
from longwire.outbox.clock import Clock
from longwire.outbox.command import (
    AppName,
    Asked,
    Command,
    Outcome,
    Owner,
    State,
    accepted,
    app_of,
    owner_of,
)
from longwire.outbox.course import Trigger, judge, may_go_meanwhile, may_repeat, step
from longwire.outbox.entry import Entry, Register, Waits, wake
from longwire.outbox.lane import RECENT_S, Lane, Performer
from longwire.outbox.ledger import Ledger, weigh
from longwire.outbox.untried import BROKEN, NOBODY, SUPERVISOR_LOST, TOO_LATE, saturated
from longwire.sending import Saturated
from longwire.status import OutboxStatus, SendingStatus
from longwire_protocol.declaration import Rates
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import CommandResult

_log = get_logger("longwire.outbox")

_TRY_S = 30.0
"""A try takes so long at most: twice what a connector gives the platform for one request."""

_MOST_BYTES = 64 * 1024 * 1024
"""Of all commands that have not ended; as much as may wait for the disk. An app may have as much as is left:
so one that is down and much written to leaves half of it to the others."""

_FULL_RETRY_S = 1.0

_GRACE_S = 3.0
"""Beyond its deadline, how long a command's outcome is waited for: the child's own answer to the deadline
takes a second, and it has to be written."""

_ROUNDING_S = 0.001
"""A time in Unix seconds is a little earlier or later on the loop's clock: 2**-22 s, in this century; and two
clocks are read one after the other."""

_MANY_LANES = 256
"""From so many on, those that are idle are looked for."""

_CLOSE_S = 0.5
"""How long a stop waits for the last outcomes to reach the journal; they come with the processes' ends."""


class Outbox:
    """Owns the commands that have not ended. Made on the loop that runs it.

    Args:
        journal: where they are written.
        performers: returns the accounts of now, by name.
        wall: Unix seconds when it is made; from then on a clock counts that nobody sets.
    """

    def __init__(
        self,
        journal: EventStore,
        performers: Callable[[], Mapping[str, Performer]],
        *,
        wall: float,
    ) -> None:
        self._ledger = Ledger(journal)
        self._performers = performers
        self._loop = asyncio.get_running_loop()
        self.now = Clock(wall).now
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self._number = 0
        self._open = Register()
        self._waits = Waits(wake)
        self._lanes: dict[AppName, Lane] = {}
        self._under_way = 0
        self._ended: Counter[State] = Counter()
        self._many_lanes = _MANY_LANES
        self._is_stopped = False
        self._rest: asyncio.Future[None] = self._loop.create_future()
        """Resolved when it is stopped and no try is under way; cancelled when the last ones are given up."""

    async def open(self) -> None:
        """Go on with what an earlier supervisor accepted. Call it before anything else.

        Raises:
            JournalError: it cannot be read.
        """
        self._number, commands = await self._ledger.open_commands()
        await self._count_recent()
        for command, size_bytes in commands:
            self._resume(command, size_bytes=size_bytes)
        for lane in tuple(self._lanes.values()):
            self._pump(lane)  # nobody is up yet: it sees when the first deadline is over
        if commands:
            _log.info("commands_resumed", count=len(commands), open=len(self._open))

    # What clients want.

    async def carry_out(self, performer: Performer, asked: Asked, *, wait_s: float | None) -> Command:
        """Return what became of a command that is asked for, or, if it has not ended, that it is on disk.

        Args:
            performer: carries it out.
            asked: the command.
            wait_s: how long to wait for its outcome; `None` as long as it can take.

        Raises as `accept`.
        """
        if wait_s is None and asked.idempotency_key is None:  # its end tells that it was accepted
            entry = self._take_in(performer, asked, b"")
        else:
            entry = await self.accept(performer, asked)
        return await self.outcome(entry, wait_s=wait_s)

    async def accept(self, performer: Performer, asked: Asked) -> Entry:
        """Return the command that was asked for when it is on disk: a new one, or the one with the same key.

        Nothing is waited for before its place among the others is taken.

        Raises:
            CommandError: it was not accepted, and nothing will happen.
            TimeoutError: it is not on disk soon after its deadline; if it comes there later, it has expired.
            JournalError: the journal cannot be read or written now.
        """
        fingerprint = asked.fingerprint()
        # Longer than its deadline: who asks again with nothing left of it wants to hear what became of it.
        async with asyncio.timeout(asked.deadline_s + _GRACE_S):
            entry = await self._entry(performer, asked, fingerprint)
        if entry.command.fingerprint != fingerprint:
            raise CommandError(
                RetCode.IDEMPOTENCY_CONFLICT, "the idempotency key was used with other parameters"
            )
        return entry

    async def _entry(self, performer: Performer, asked: Asked, fingerprint: bytes) -> Entry:
        scope = asked.scope(performer.config)
        entry = self._open.of_scope(scope)
        if entry is None:
            try:
                entry = self._take_in(performer, asked, fingerprint)
            except CommandError:
                if (known := await self._ledger.of_scope(scope)) is not None:
                    return known
                raise
        await asyncio.shield(entry.accepted)
        if entry.is_refused and (known := await self._ledger.of_scope(scope)) is not None:
            return known
        if entry.is_refused:  # whose time was over just now
            raise saturated(0.0)
        return entry

    async def outcome(self, entry: Entry, *, wait_s: float | None) -> Command:
        """Return the command when its end is on disk; or as it is there after `wait_s`, or at a stop.

        Args:
            entry: from `accept`.
            wait_s: how long to wait; `None` as long as it can take.

        Raises:
            TimeoutError: it is not on disk soon after its deadline.
        """
        longest_s = max(0.0, entry.command.deadline_at - self.now()) + _GRACE_S
        await entry.wait(self._waits, timeout_s=longest_s if wait_s is None else min(wait_s, longest_s))
        if not entry.accepted.done():
            async with asyncio.timeout(longest_s if self._is_stopped else 0.0):
                await asyncio.shield(entry.accepted)
        return entry.last

    async def find(self, receipt: str) -> Command | None:
        """Return what is durably known of a command; `None` if nothing is.

        Raises:
            JournalError: the journal cannot be read now.
        """
        entry = self._open.of_receipt(receipt)
        if entry is not None:
            return entry.last if entry.accepted.done() and not entry.is_refused else None
        return await self._ledger.of_receipt(receipt)

    def _take_in(self, performer: Performer, asked: Asked, fingerprint: bytes) -> Entry:
        """Give a command its place and have it written.

        Raises:
            CommandError: the account is not to run, or there is no room.
        """
        if self._is_stopped:
            raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, "the supervisor stops", retryable=True)
        if not performer.takes_commands:
            raise CommandError(
                RetCode.ACCOUNT_NOT_ONLINE,
                f"{performer.name} is {performer.state}, and stays so until an operator acts",
                retryable=True,
            )
        now, config = self.now(), performer.config
        lane = self._lane(app_of(config), config.rates)
        if self._ledger.is_full or lane.size_bytes >= _MOST_BYTES - self._open.size_bytes:
            raise saturated(_FULL_RETRY_S)
        self._number += 1
        command = accepted(
            asked,
            config,
            number=self._number,
            receipt=self._ledger.new_id(),
            fingerprint=fingerprint,
            now=now,
        )
        entry = Entry(command, size_bytes=weigh(command))
        # What can go at once is written as under way, which spares it a second commit.
        if lane.go(entry, performer, now):
            self._begin(lane, entry)
        else:
            try:
                lane.put(entry, now)
            except Saturated as exc:
                raise saturated(exc.retry_after_s) from exc
            self._pump(lane)
        admitted = partial(self._admitted, lane, entry, is_tried_then=entry.waits_for_disk)
        self._ledger.write(entry, done=admitted)
        self._hold(entry)
        return entry

    def _admitted(self, lane: Lane, entry: Entry, commit: Commit, *, is_tried_then: bool) -> None:
        """It is on disk, unless another command has its key."""
        entry.is_refused = bool(commit.refused)
        entry.accepted.set_result(None)
        if entry.is_refused:
            self._drop(entry)
            self._refuse(lane, entry)
        elif entry.is_overdue:
            self._end_overdue(entry)
        elif is_tried_then:
            self._ask(lane, entry)

    def _refuse(self, lane: Lane, entry: Entry) -> None:
        """It is not to be carried out, and was not, as another command has its key."""
        if entry.command.state is State.QUEUED:
            lane.forget(entry)
        else:
            lane.withdraw(entry, self.now())
            self._try_is_over()
        self._pump(lane)

    # What there is.

    def look(self, config: AccountConfig) -> None:
        """See whether the account's commands can go now."""
        if (lane := self._lanes.get(app_of(config))) is not None:
            self._pump(lane)

    def sending(self, config: AccountConfig) -> SendingStatus:
        """Return how far an account's commands are, and what the limits of its app leave."""
        if (lane := self._lanes.get(app_of(config))) is None:
            return SendingStatus(queued=0, under_way=0, retry_after_ms=0, rates=config.rates)
        queued, under_way = lane.count_of(owner_of(config))
        wait_s = max(0.0, lane.goes_at() - self.now())
        wait_ms = None if wait_s == math.inf else math.ceil(wait_s * 1000)
        return SendingStatus(queued=queued, under_way=under_way, retry_after_ms=wait_ms, rates=config.rates)

    def status(self) -> OutboxStatus:
        """Return the counts of now, and of this supervisor's time."""
        oldest = next(iter(self._open), None)
        return OutboxStatus(
            queued=sum(lane.waiting for lane in self._lanes.values()),
            under_way=self._under_way,
            done=self._ended[State.DONE],
            failed=self._ended[State.FAILED],
            expired=self._ended[State.EXPIRED],
            uncertain=self._ended[State.UNCERTAIN],
            oldest_age_s=None if oldest is None else max(0.0, self.now() - oldest.command.accepted_at),
        )

    def stop(self) -> None:
        """Begin no more tries and let nobody wait; what is left is for the next supervisor."""
        self._is_stopped = True
        for entry in self._open:
            entry.settle()
        for lane in self._lanes.values():
            lane.alarm.set(None, _nothing)

    async def close(self) -> None:
        """Hand the outcomes of the last tries to the journal; their processes are gone."""
        self.stop()
        if self._under_way:
            await asyncio.wait((self._rest,), timeout=_CLOSE_S)
        self._rest.cancel()

    async def _count_recent(self) -> None:
        """Let the platform's limits hold over a restart: what was just sent counts."""
        for command in await self._ledger.ended_since(self.now() - RECENT_S):
            if command.attempts and command.ended_at is not None:
                self._lane(app_of(command), Rates()).count(command.chat, command.ended_at)

    def _resume(self, command: Command, *, size_bytes: int) -> None:
        entry = Entry(command, size_bytes=size_bytes)
        entry.is_written = True
        entry.accepted.set_result(None)
        self._hold(entry)
        lane = self._lane(app_of(command), Rates())
        if command.state is State.UNDER_WAY:
            self._conclude(lane, entry, SUPERVISOR_LOST)
        if command.attempts:  # nobody knows when the platform saw it
            lane.count(command.chat, self.now())
        if not entry.command.has_ended:
            lane.restore(entry)

    def _hold(self, entry: Entry) -> None:
        self._open.add(entry)
        self._lane(app_of(entry.command), Rates()).size_bytes += entry.size_bytes

    def _drop(self, entry: Entry) -> None:
        self._open.remove(entry)
        self._lanes[app_of(entry.command)].size_bytes -= entry.size_bytes

    def _lane(self, name: AppName, rates: Rates) -> Lane:
        if name not in self._lanes:
            if len(self._lanes) >= self._many_lanes:
                self._forget_idle_lanes()
            self._lanes[name] = Lane(name, rates)
        return self._lanes[name]

    def _forget_idle_lanes(self) -> None:
        """Forget them, seldom enough that a burst to many apps does not look through all for each."""
        now = self.now()
        self._lanes = {name: lane for name, lane in self._lanes.items() if not lane.is_idle(now)}
        self._many_lanes = max(_MANY_LANES, 2 * len(self._lanes))

    # Carrying out.

    def _pump(self, lane: Lane) -> None:
        """Begin the tries that may begin now, end what is overdue, and see when to come again."""
        if self._is_stopped:
            return
        if lane.has_nothing:
            lane.alarm.set(None, _nothing)
            return
        now = self.now()
        for entry in lane.overdue(now):
            self._end_overdue(entry)
        lane.attend({owner: self._performer(lane, owner) for owner in lane.owners})
        while (next_one := lane.take(now)) is not None:
            self._begin(lane, next_one)
        at = lane.next_at(now)
        loop_at = None if at is None else self._loop.time() + at - now + _ROUNDING_S
        lane.alarm.set(loop_at, lambda: self._pump(lane))

    def _performer(self, lane: Lane, owner: Owner) -> Performer | None:
        """Return who has this name now, if he has it of the same tenant and for the same app."""
        performer = self._performers().get(owner[1])
        if performer is None or (owner_of(performer.config), app_of(performer.config)) != (owner, lane.name):
            return None  # what is here of his expires
        return performer

    def _begin(self, lane: Lane, entry: Entry) -> None:
        if entry.command.is_in_doubt and not may_repeat(entry.command, now=self.now()):
            lane.withdraw(entry, self.now())
            self._end_overdue(entry)
            return
        entry.command = step(entry.command, Trigger.TRY, now=self.now())
        self._under_way += 1
        if entry.is_written:
            self._ledger.write(entry, done=lambda _: None if entry.is_refused else self._ask(lane, entry))
        elif may_go_meanwhile(entry.command, is_disk_well=self._ledger.is_well):
            self._ask(lane, entry)
        else:
            entry.waits_for_disk = True

    def _ask(self, lane: Lane, entry: Entry) -> None:
        """Have the child do it, now that it is on disk that it may have, or will be."""
        command = entry.command
        left_s = command.deadline_at - self.now()
        performer = self._performer(lane, owner_of(command))
        answered = partial(self._answered, lane, entry)
        if left_s <= 0:
            untold = TOO_LATE
        elif performer is None:
            untold = NOBODY
        else:
            try:
                performer.begin(
                    command.method,
                    command.params,
                    answered,
                    deadline_s=min(left_s, _TRY_S),
                    key=command.receipt,
                )
            except CommandError as exc:  # it got no further than to us
                untold = CommandResult(id=0, retcode=RetCode.ACCOUNT_NOT_ONLINE, message=exc.message)
            except Exception:  # noqa: BLE001  # one command's trouble, as with its nesting, is not its chat's
                _log.exception("command_not_told", account=command.account, receipt=command.receipt)
                untold = BROKEN
            else:
                return
        self._loop.call_soon(answered, untold)

    def _answered(self, lane: Lane, entry: Entry, result: CommandResult) -> None:
        """A try is over."""
        if self._rest.done():
            return  # what is on disk says that nobody knows
        again_at = None
        try:
            again_at = self._conclude(lane, entry, result)
        finally:  # whatever went wrong with this one, the next ones of its chat go on
            lane.done(entry, self.now(), again_at=again_at)
            self._try_is_over()
            self._pump(lane)

    def _try_is_over(self) -> None:
        self._under_way -= 1
        if self._is_stopped and not self._under_way and not self._rest.done():
            self._rest.set_result(None)

    def _conclude(self, lane: Lane, entry: Entry, result: CommandResult) -> float | None:
        """Take in the answer to a try and have it written; return when to try again, `None` for never."""
        now = self.now()
        verdict = judge(entry.command, result, now=now, luck=self._random.random())
        outcome = Outcome(int(result.retcode), result.message, result.data)
        entry.command = step(entry.command, verdict.trigger, now=now, outcome=outcome)
        if entry.command.has_ended:
            self._end(entry)
            return None
        self._ledger.write(entry, done=_nothing)
        again_at = now + verdict.again_in_s
        if verdict.is_limited:
            lane.hold(entry, again_at, is_chat=verdict.is_of_chat)
        return again_at

    def _end_overdue(self, entry: Entry) -> None:
        if not entry.accepted.done() and not entry.is_overdue:
            entry.is_overdue = True  # `_admitted` comes back here
            return
        entry.command = step(entry.command, Trigger.OVERDUE, now=self.now())
        self._end(entry)

    def _end(self, entry: Entry) -> None:
        """Write the outcome and its event, together; whoever waits is told when they are on disk."""
        command = entry.command
        self._ended[command.state] += 1

        def done(_: Commit) -> None:
            self._drop(entry)
            entry.settle()

        self._ledger.write(entry, done=done)


def _nothing(*_: object) -> None:
    """Nobody waits for it."""
