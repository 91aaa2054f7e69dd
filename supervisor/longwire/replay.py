"""`events.replay`: a range of the journal, read once more for one client, by its credit, to an end.

Nothing of it is kept: a client that wants to go on after a restart asks again, from where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from secrets import token_hex

from longwire.control import ClientPeer
from longwire.delivery import Filters
from longwire.journal import EventStore, JournalClosed, JournalDamaged, JournalError, Page, Stored
from longwire.logger import get_logger
from longwire.subscriptions import EPHEMERAL, event_frames
from longwire.wishes import ReplayParams
from longwire_protocol.codec import with_delivery
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Events, Reply, Request

_log = get_logger("longwire.deliveries")

_PAGE_EVENTS = 4_000
"""Events read at once: some 10 ms of the reader's thread, so the way to it and back costs little."""

_PAGE_BYTES = 4 * 1024 * 1024
"""The same in bytes; with what the client's connection holds, all that a replay takes of memory."""

_READ_RETRY_S = 1.0


class Replay:
    """One replay under way. It ends with a frame that says so, or with its client.

    Args:
        name: what its frames are called.
        client: who gets the events.
        filters: which of them.
        first: the lowest number.
        last: the highest, which is committed already.
        credit: how many may be sent before more is given.
        journal: where they are.
    """

    def __init__(
        self,
        name: str,
        client: ClientPeer,
        *,
        filters: Filters,
        first: int,
        last: int,
        credit: int,
        journal: EventStore,
    ) -> None:
        self.name = name
        self.client = client
        self._filters = filters
        self._first = first
        self._last = last
        self._credit = credit
        self._journal = journal
        self._has_credit = asyncio.Event()
        self.add_credit(0)

    def add_credit(self, n: int) -> None:
        """Let so many more events be sent."""
        self._credit += n
        if self._credit > 0:
            self._has_credit.set()

    async def run(self) -> None:
        """Send the range and say that it is over; returns early only when the journal is closed."""
        after = self._first - 1
        while after < self._last:
            page = await self._page(after)
            if page is None:
                return
            wanted = [e for e in page.events if e.seq <= self._last and self._filters.matches(e)]
            await self._send(wanted)
            if page.read_to <= after:
                break
            after = page.read_to
        self.client.send(Events(self.name, [], end=True))

    async def _page(self, after: int) -> Page | None:
        while True:
            try:
                return await self._journal.read(after, limit=_PAGE_EVENTS, max_bytes=_PAGE_BYTES)
            except JournalClosed:
                return None
            except JournalDamaged as exc:  # named in the log and in `status`; there is nothing to wait for
                return Page([], exc.last)
            except JournalError as exc:
                _log.error("journal_not_readable", subscription=self.name, error=str(exc))
                await asyncio.sleep(_READ_RETRY_S)

    async def _send(self, events: Sequence[Stored]) -> None:
        while events:
            await self._has_credit.wait()
            await self.client.drained()
            now, events = events[: self._credit], events[self._credit :]
            self._credit -= len(now)
            if self._credit == 0:
                self._has_credit.clear()
            for frame in event_frames(self.name, (with_delivery(e.body, e.seq, attempt=1) for e in now)):
                self.client.send(frame)


class Replays:
    """All of them, by name. `KeyError`: there is none of that name."""

    def __init__(self, journal: EventStore, tasks: asyncio.TaskGroup) -> None:
        self._journal = journal
        self._tasks = tasks
        self._running: dict[str, tuple[Replay, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, name: str) -> bool:
        return name in self._running

    async def start(self, client: ClientPeer, params: ReplayParams, request: Request) -> None:
        """Answer the request and begin.

        Raises:
            CommandError: the journal cannot be read.
        """
        head, first = self._journal.head, params.first
        last = head if params.last is None else min(params.last, head)
        if params.since is not None:
            try:
                first = max(first, await first_since(self._journal, params.since))
            except JournalError as exc:
                raise CommandError(RetCode.JOURNAL_UNAVAILABLE, str(exc), retryable=True) from exc
        replay = Replay(
            EPHEMERAL + token_hex(8),
            client,
            filters=params.filters(request),
            first=first,
            last=last,
            credit=params.credit,
            journal=self._journal,
        )
        data = {"subscription": replay.name, "next_seq": first, "last_seq": last}
        client.send(Reply(id=request.id, status="ok", data=data))
        if client.is_gone:
            return
        task = self._tasks.create_task(replay.run(), name=f"replay {replay.name}")
        self._running[replay.name] = replay, task
        client.subscriptions.add(replay.name)
        task.add_done_callback(lambda _: self._ended(replay))

    def add_credit(self, client: ClientPeer, name: str, n: int) -> None:
        """Let so many more events be sent. Raises CommandError as `end`."""
        self._of(client, name).add_credit(n)

    def end(self, client: ClientPeer, name: str) -> None:
        """End it early.

        Raises:
            CommandError: it is another client's.
        """
        self._ended(self._of(client, name))

    def close(self) -> None:
        """End all of them, without a word: the supervisor stops."""
        for replay, _ in tuple(self._running.values()):
            self._ended(replay)

    def _of(self, client: ClientPeer, name: str) -> Replay:
        replay = self._running[name][0]
        if replay.client is not client:
            raise CommandError(RetCode.NOT_SUBSCRIBED, f"replay {name!r} is not open on this connection")
        return replay

    def _ended(self, replay: Replay) -> None:
        replay.client.subscriptions.discard(replay.name)
        ended = self._running.pop(replay.name, None)
        if ended is not None:
            ended[1].cancel()


async def first_since(journal: EventStore, unix_s: float) -> int:
    """Return the number of the first event received at `unix_s` or later; some 20 reads of one event.

    Events of different accounts may be some out of order around that time, and a clock that was set back
    makes the answer one of several.

    Raises:
        JournalError: it cannot be read.
    """
    low, high = 0, journal.head
    while low < high:
        middle = (low + high) // 2
        page = await journal.read(middle, limit=1, max_bytes=1)
        if not page.events or page.events[0].recv_time >= unix_s:
            high = middle
        else:
            low = page.events[0].seq
    return low + 1
