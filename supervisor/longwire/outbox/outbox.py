"""The outbox at the edge: writes commands down, has each carried out in its turn, tells what became of it.

What is in memory is what has not ended; all of it is on disk, or about to be. A client's request waits for
its command and gives up alone: the command goes on.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

from longwire.config import AccountConfig
from longwire.journal import Arrivals, Commit, EventStore, JournalClosed
from longwire.logger import get_logger
from longwire.outbox.command import (
    AppName,
    Asked,
    Command,
    Outcome,
    Owner,
    State,
    accepted,
    app_of,
    from_row,
    owner_of,
    to_row,
    without_excess,
)
from longwire.outbox.course import Trigger, Verdict, judge, may_go_meanwhile, may_repeat, step
from longwire.outbox.lane import RECENT_S, Entry, Lane, Performer
from longwire.outbox.report import report
from longwire.outbox.untried import NOBODY, SUPERVISOR_LOST, TOO_LATE, saturated
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

SLOW_COMMIT_S = 0.1
"""A journal whose oldest write waits longer is not well."""

_MANY_LANES = 256
"""From so many on, those that are idle are looked for."""

_CLOSE_S = 0.5
"""How long a stop waits for the last outcomes to reach the journal; they come with the processes' ends."""


def _clock() -> float:
    """Return seconds of a clock that never steps, and goes on, as the platform's, in a suspended machine."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Outbox:
    """Owns the commands that have not ended. Made on the loop that runs it.

    Args:
        journal: where they are written.
        performers: returns the accounts of now, by name.
        tasks: owns the task of each try.
        wall: Unix seconds when it is made; from then on a clock counts that nobody sets.
    """

    def __init__(
        self,
        journal: EventStore,
        performers: Callable[[], Mapping[str, Performer]],
        tasks: asyncio.TaskGroup,
        *,
        wall: float,
    ) -> None:
        self._journal = journal
        self._performers = performers
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._epoch = wall - _clock()
        self._number = 0
        self._entries: dict[int, Entry] = {}
        self._by_receipt: dict[str, Entry] = {}
        self._by_scope: dict[bytes, Entry] = {}
        self._lanes: dict[AppName, Lane] = {}
        self._tries: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._ended: Counter[State] = Counter()
        self._many_lanes = _MANY_LANES
        self._stopped: asyncio.Future[None] = self._loop.create_future()

    async def open(self) -> None:
        """Go on with what an earlier supervisor accepted. Call it before anything else.

        Raises:
            JournalError: it cannot be read.
        """
        self._number, rows = await self._journal.open_commands()
        await self._count_recent()
        for row in rows:
            self._resume(from_row(row), size_bytes=len(row.body))
        for lane in tuple(self._lanes.values()):
            self._pump(lane)  # nobody is up yet: it sees when the first deadline is over
        if rows:
            _log.info("commands_resumed", count=len(rows), open=len(self._entries))

    def now(self) -> float:
        """Return Unix seconds that do not step, and count the time that the machine sleeps."""
        return _clock() + self._epoch

    # What clients want.

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
        entry = None if scope is None else self._by_scope.get(scope)
        if entry is None:
            try:
                entry = self._take_in(performer, asked, fingerprint)
            except CommandError:
                if (known := await self._on_disk(scope)) is not None:
                    return known
                raise
        await asyncio.shield(entry.accepted)
        if entry.is_refused and (known := await self._on_disk(scope)) is not None:
            return known
        if entry.is_refused:  # whose time was over just now
            raise saturated(0.0)
        return entry

    async def _on_disk(self, scope: bytes | None) -> Entry | None:
        """Return the command with this scope, which has ended: what has not is in memory."""
        row = None if scope is None else await self._journal.find_command(scope=scope)
        if row is None:
            return None
        entry = Entry(from_row(row), size_bytes=0)
        entry.ended.set_result(entry.command)
        return entry

    async def outcome(self, entry: Entry, *, wait_s: float | None) -> Command:
        """Return the command when its end is on disk, or as it is after `wait_s`, or when all is taken down.

        Args:
            entry: from `accept`.
            wait_s: how long to wait; `None` as long as it can take.
        """
        longest_s = max(0.0, entry.command.deadline_at - self.now()) + _GRACE_S
        timeout_s = longest_s if wait_s is None else min(wait_s, longest_s)
        awaited: tuple[asyncio.Future[Any], ...] = (entry.ended, self._stopped)
        await asyncio.wait(awaited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return entry.ended.result() if entry.ended.done() else entry.last

    async def find(self, receipt: str) -> Command | None:
        """Return what is durably known of a command; `None` if nothing is.

        Raises:
            JournalError: the journal cannot be read now.
        """
        entry = self._by_receipt.get(receipt)
        if entry is not None:
            return entry.last if entry.accepted.done() and not entry.is_refused else None
        row = await self._journal.find_command(receipt=receipt)
        return None if row is None else from_row(row)

    def _take_in(self, performer: Performer, asked: Asked, fingerprint: bytes) -> Entry:
        """Give a command its place and have it written.

        Raises:
            CommandError: the account is not to run, or there is no room.
        """
        if self._stopped.done():
            raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, "the supervisor stops", retryable=True)
        if not performer.takes_commands:
            raise CommandError(
                RetCode.ACCOUNT_NOT_ONLINE,
                f"{performer.name} is {performer.state}, and stays so until an operator acts",
                retryable=True,
            )
        now, config = self.now(), performer.config
        lane = self._lane(app_of(config), config.rates)
        if self._journal.is_full or lane.size_bytes >= _MOST_BYTES - self._bytes:
            raise saturated(_FULL_RETRY_S)
        self._number += 1
        command = accepted(
            asked, config, number=self._number, receipt=uuid4().hex, fingerprint=fingerprint, now=now
        )
        entry = Entry(command, size_bytes=len(to_row(command).body))
        try:
            lane.put(entry, now)
        except Saturated as exc:
            raise saturated(exc.retry_after_s) from exc
        self._hold(entry)
        self._pump(lane)  # what can go at once is written as under way, which spares it a second commit
        write = partial(self._write, entry, done=lambda commit: self._admitted(lane, entry, commit))
        if entry.mark is None:
            self._loop.call_soon(write)  # behind the try: the writer's thread would take its turn
        else:
            write()
        return entry

    def _admitted(self, lane: Lane, entry: Entry, commit: Commit) -> None:
        """It is on disk, unless another command has its key."""
        if commit.refused:
            entry.is_refused = True
            self._drop(entry)
            if entry.command.state is State.QUEUED:
                lane.forget(entry)
        elif entry.is_overdue:
            self._end_overdue(entry)
        entry.accepted.set_result(None)

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

    @property
    def _is_disk_well(self) -> bool:
        return self._journal.trouble is None and self._journal.oldest_wait_s <= SLOW_COMMIT_S

    def status(self) -> OutboxStatus:
        """Return the counts of now, and of this supervisor's time."""
        oldest = next(iter(self._entries.values()), None)
        return OutboxStatus(
            queued=sum(lane.waiting for lane in self._lanes.values()),
            under_way=len(self._tries),
            done=self._ended[State.DONE],
            failed=self._ended[State.FAILED],
            expired=self._ended[State.EXPIRED],
            uncertain=self._ended[State.UNCERTAIN],
            oldest_age_s=None if oldest is None else max(0.0, self.now() - oldest.command.accepted_at),
        )

    def stop(self) -> None:
        """Begin no more tries and let nobody wait; what is left is for the next supervisor."""
        if not self._stopped.done():
            self._stopped.set_result(None)
        for lane in self._lanes.values():
            lane.alarm.set(None, _nothing)

    async def close(self) -> None:
        """Hand the outcomes of the last tries to the journal; their processes are gone."""
        self.stop()
        if self._tries:
            await asyncio.wait(self._tries, timeout=_CLOSE_S)
        for task in self._tries:
            task.cancel()

    async def _count_recent(self) -> None:
        """Let the platform's limits hold over a restart: what was just sent counts."""
        for row in await self._journal.ended_commands(since=self.now() - RECENT_S):
            command = from_row(row)
            if command.attempts and command.ended_at is not None:
                self._lane(app_of(command), Rates()).count(command.chat, command.ended_at)

    def _resume(self, command: Command, *, size_bytes: int) -> None:
        entry = Entry(command, size_bytes=size_bytes)
        entry.is_written = True
        entry.accepted.set_result(None)
        self._hold(entry)
        if command.state is State.UNDER_WAY:
            self._conclude(entry, SUPERVISOR_LOST)
        if command.attempts:  # nobody knows when the platform saw it
            self._lane(app_of(command), Rates()).count(command.chat, self.now())
        if not entry.command.has_ended:
            self._lane(app_of(command), Rates()).restore(entry)

    def _hold(self, entry: Entry) -> None:
        command = entry.command
        self._entries[command.number] = self._by_receipt[command.receipt] = entry
        if entry.scope is not None:
            self._by_scope[entry.scope] = entry
        self._bytes += entry.size_bytes
        self._lane(app_of(command), Rates()).size_bytes += entry.size_bytes

    def _drop(self, entry: Entry) -> None:
        command = entry.command
        del self._entries[command.number], self._by_receipt[command.receipt]
        if entry.scope is not None:
            del self._by_scope[entry.scope]
        self._bytes -= entry.size_bytes
        self._lanes[app_of(command)].size_bytes -= entry.size_bytes

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
        if self._stopped.done():
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
        if entry.is_written:
            mark = entry.mark = self._loop.create_future()
            self._write(entry, done=lambda _: mark.set_result(None))
        elif may_go_meanwhile(entry.command, is_disk_well=self._is_disk_well):
            entry.mark = None
        work = self._try(lane, entry)
        task = self._tasks.create_task(work, name=f"command {entry.command.number}")
        self._tries.add(task)
        task.add_done_callback(self._tries.discard)

    async def _try(self, lane: Lane, entry: Entry) -> None:
        """Have the child do it, once it is on disk that it may have."""
        if entry.mark is not None:
            await asyncio.shield(entry.mark)
        now = self.now()
        if entry.is_refused:
            lane.withdraw(entry, now)
        else:
            verdict = self._conclude(entry, await self._ask(lane, entry.command))
            now = self.now()
            again_at = now + verdict.again_in_s
            if verdict.is_limited:
                lane.hold(entry, again_at, is_chat=verdict.is_of_chat)
            lane.done(entry, now, again_at=None if entry.command.has_ended else again_at)
        self._pump(lane)

    async def _ask(self, lane: Lane, command: Command) -> CommandResult:
        left_s = command.deadline_at - self.now()
        if left_s <= 0:
            return TOO_LATE
        performer = self._performer(lane, owner_of(command))
        if performer is None:
            return NOBODY
        try:
            return await performer.command(
                command.method, command.params, deadline_s=min(left_s, _TRY_S), key=command.receipt
            )
        except CommandError as exc:  # it got no further than to us
            return CommandResult(id=0, retcode=RetCode.ACCOUNT_NOT_ONLINE, message=exc.message)

    def _conclude(self, entry: Entry, result: CommandResult) -> Verdict:
        """Take in the answer to a try, and have it written."""
        now = self.now()
        luck = random.random()  # noqa: S311  # jitter, not a secret
        verdict = judge(entry.command, result, now=now, luck=luck)
        outcome = Outcome(int(result.retcode), result.message, result.data)
        entry.command = step(entry.command, verdict.trigger, now=now, outcome=outcome)
        if entry.command.has_ended:
            self._end(entry)
        else:
            self._write(entry, done=_nothing)
        return verdict

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
            entry.ended.set_result(command)

        self._write(entry, done=done)

    def _write(self, entry: Entry, *, done: Callable[[Commit], None]) -> None:
        """Have the command written as it is now, its end with the event of that; `done`: it is on disk."""
        entry.is_written = True
        command = entry.command

        def written(commit: Commit) -> None:
            entry.last = command
            done(commit)

        kept = without_excess(command)
        events = [report(kept, event_id=uuid4().hex)] if kept.has_ended else []
        arrivals = Arrivals(command.account, command.tenant, events, (to_row(kept),))
        try:
            self._journal.record(arrivals, done=written)
        except JournalClosed:
            _log.warning("command_left_as_it_is_on_disk", account=command.account, receipt=command.receipt)


def _nothing(*_: object) -> None:
    """Nobody waits for it."""
