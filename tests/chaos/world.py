"""A journal, its subscriptions, their clients and their model, over many lives on one disk."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
import pytest

from chaos.ledger import Fact, Ledger, handed_over
from chaos.life import (
    DEDUP_WINDOW_S,
    LIMITS,
    SAVED_WITHIN_S,
    SETTINGS,
    Client,
    Life,
    make_certain,
    make_small,
    put_in_strands,
)
from chaos.notes import Notes
from chaos.promise import Promise, Wish
from harness.disk import Choose, Disk, Image
from harness.strands import Clock, Strands
from longwire.journal import Commit, JournalUnavailable, Page, Stored
from longwire.journal.retention import Limits
from longwire.keeper import Keeper
from longwire.subscriptions import Gap
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Ack, Credit, Events, Nack, Reply, Request, ToClient

T = TypeVar("T")

DRAIN_S, DRAINS = 25.0, 4  # delays are at most 60 s; none is acknowledged after more than 30 s

Arrival = tuple[str, str | None, int | None]
"""Type, chat, and how many keys ago its `dedup_key` was new: 0 for a new one, `None` for an event without."""

ROOM_BYTES = 10**9
"""A limit of retention that is never reached, so that only what is acknowledged may go."""

MEMORY = Path("/dev/shm")  # noqa: S108  # where there is one: a disk whose fsync is free


class Asked(NamedTuple):
    """An `events.subscribe` on its way."""

    client: Client
    name: str | None
    wish: Wish
    start: str | int
    credit: int
    head: int
    """The journal's, when it was asked."""

    def allows(self, next_seq: int, *, head: int, removed_to: int) -> bool:
        """Whether a new subscription may begin there, if the journal's head is this now."""
        match self.start:
            case "all":
                return 1 <= next_seq <= removed_to + 1
            case "new":
                return self.head < next_seq <= head + 1
            case int(start):
                return min(start, self.head + 1) <= next_seq <= min(max(start, removed_to + 1), head + 1)
        return False


class Opened(NamedTuple):
    """A client with a subscription."""

    slot: int
    client: Client
    name: str


class World:
    """What the rules of the machine act on; every answer is held against the model."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="longwire-", dir=MEMORY if MEMORY.is_dir() else None))
        self._patch = pytest.MonkeyPatch()
        self._connect = sqlite3.connect
        self.clock = Clock()
        self.strands = Strands(self.clock)
        self.disk = Disk(self.strands)
        self.ledger = Ledger(dedup_window_s=DEDUP_WINDOW_S)
        self.notes = Notes()
        self.promises: dict[str, Promise] = {}
        self.clients: dict[int, Client] = {}
        self._asked: dict[int, Asked] = {}
        """By request: those of this life that were not answered."""
        self._unsure: dict[str, list[Asked]] = {}
        """By name: all that may have made a subscription of which nobody knows."""
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._numbers = count(1)
        self._intruder: sqlite3.Connection | None = None
        make_small(self._patch)
        make_certain(self._patch)
        put_in_strands(self._patch, self.strands, self.clock)
        self.disk.install(self._patch)
        self._next_life(Image(b"", b""))

    def end(self) -> None:
        with ExitStack() as last:
            last.callback(shutil.rmtree, self._folder)
            last.callback(self._patch.undo)
            last.callback(self.life.crash)
            self.heal()

    # The journal.

    def append(self, account: str, tenant: str, arrivals: list[Arrival]) -> None:
        facts = [
            Fact(next(self._numbers), account, tenant, type_, chat, self._key(account, age), self.clock.now)
            for type_, chat, age in arrivals
        ]

        def done(commit: Commit) -> None:
            self.ledger.report(facts, commit, now=self.clock.now)

        self.life.journal.append(handed_over(facts), done=done)
        self.ledger.append(facts)

    def _key(self, account: str, age: int | None) -> str | None:
        """The key that the account's platform has used so many keys ago, a new one for 0."""
        if age is None:
            return None
        keys = self._keys[account]
        if age == 0:
            keys.append(f"key {len(keys)}")
        return keys[max(0, len(keys) - max(1, age))] if keys else None

    def read(self, *, after_seq: int, limit: int, max_bytes: int) -> None:
        asked_at, head = self.clock.now, self.ledger.head

        def done(task: asyncio.Task[Page]) -> None:
            is_late = self.clock.now - asked_at >= SETTINGS.read_timeout_s  # the machine was suspended
            if is_late and isinstance(task.exception(), JournalUnavailable):
                return
            self.ledger.check_page(task.result(), after_seq=after_seq, limit=limit, head=head)

        self.life.call(self.life.journal.read(after_seq, limit=limit, max_bytes=max_bytes), done)

    def put_note(self, key: str) -> None:
        self.life.journal.put_state(f"note/{key}", self.notes.put(key))

    def save_note(self, key: str) -> None:
        async def save() -> None:
            value = self.notes.put(key)
            await self.life.journal.save_state(f"note/{key}", value)
            self.notes.saved(key, value)

        self.life.call(save(), lambda task: task.result())

    def next_incarnation(self, account: str) -> None:
        number = self.life.journal.next_incarnation(account)
        self.life.call(number, lambda task: self.notes.incarnated(account, task.result()))

    # Clients.

    def client(self, slot: int) -> Client:
        """The client in this place, a new one if the last has gone."""
        client = self.clients.get(slot)
        if client is None or client.is_gone:
            client = self.clients[slot] = Client(next(self._numbers), self._told)
            client.on_gone = partial(self.gone, amid_frames=True)
        return client

    def subscribe(self, slot: int, name: str | None, wish: Wish, *, start: str | int, credit: int) -> None:
        client, number = self.client(slot), next(self._numbers)
        asked = Asked(client, name, wish, start, credit, self.ledger.head)
        self._asked[number] = asked
        if name is not None and name not in self.promises:
            self._unsure.setdefault(name, []).append(asked)
        params = {"name": name, "start": start, "credit": credit, **wish._asdict()}
        request = Request(id=number, method="events.subscribe", params=params)
        subscribed = self.life.deliveries.subscribe(client.peer, request)
        self.life.call(subscribed, lambda task: self._subscribed(number, task))

    def _subscribed(self, number: int, task: asyncio.Task[Any]) -> None:
        """It is answered, or the client was gone by then, or it was refused: then there must be a reason."""
        asked = self._asked.pop(number, None)
        refusal = task.exception()
        if refusal is None:
            assert asked is None or asked.client.is_gone
            return
        assert isinstance(refusal, CommandError)
        assert refusal.retcode is RetCode.SUBSCRIPTION_CONFLICT
        assert asked is not None
        assert self._may_conflict(asked)

    def _may_conflict(self, asked: Asked) -> bool:
        name = asked.name or ""
        if name in self.promises:
            return self.promises[name].wish != asked.wish
        return any(other.wish != asked.wish for other in self._unsure.get(name, []))

    def _told(self, client: Client, frame: ToClient) -> None:
        match frame:
            case Reply(id=int(number)):
                self._replied(self._asked.pop(number), frame.data["subscription"], frame.data["next_seq"])
            case Events():
                self._delivered(client, frame)
            case _:
                raise AssertionError(frame)

    def _replied(self, asked: Asked, name: str, next_seq: int) -> None:
        promise = self.promises.get(name)
        if promise is None:
            candidates = self._unsure.pop(name, [asked])
            head, removed_to = self.ledger.head, self.life.journal.removed_to
            assert any(one.allows(next_seq, head=head, removed_to=removed_to) for one in candidates)
            promise = Promise(self.ledger, asked.wish, next_seq=next_seq, limits=LIMITS, clock=self.clock)
            self.promises[name] = promise
        assert promise.wish == asked.wish, "one name, one filter"
        promise.join(asked.client.id, credit=asked.credit, next_seq=next_seq)

    def _delivered(self, client: Client, frame: Events) -> None:
        promise = self.promises[frame.subscription]
        for raw in frame.events:
            event = msgspec.msgpack.decode(raw)
            seq, delivery, fact = event["seq"], event["delivery"], self.ledger.facts[event["uid"]]
            self.ledger.learn(seq, fact)
            promise.check(client.id, seq, fact, **delivery)

    @property
    def opened(self) -> list[Opened]:
        """Every client with every subscription that is open at it."""
        return [
            Opened(slot, client, name)
            for slot, client in self.clients.items()
            for name, promise in self.promises.items()
            if client.id in promise.credit
        ]

    def ack(self, opened: Opened, *, seqs: list[int], up_to: int | None) -> None:
        _, client, name = opened
        is_known = self.promises[name].ack(client.id, seqs=seqs, up_to=up_to)
        try:
            self.life.deliveries.ack(client.peer, Ack(subscription=name, seqs=seqs, up_to=up_to))
        except CommandError:
            assert not is_known

    def nack(self, opened: Opened, seq: int, *, delay_s: float) -> None:
        _, client, name = opened
        is_known = self.promises[name].nack(client.id, seq, delay_s=delay_s)
        try:
            nack = Nack(subscription=name, seq=seq, delay_ms=int(delay_s * 1000))
            self.life.deliveries.nack(client.peer, nack)
        except CommandError:
            assert not is_known

    def give_credit(self, opened: Opened, n: int) -> None:
        self.promises[opened.name].give(opened.client.id, n)
        self.life.deliveries.credit(opened.client.peer, Credit(opened.name, n))

    def unsubscribe(self, opened: Opened) -> None:
        self._leave(opened.client, opened.name)
        left = self.life.deliveries.unsubscribe(opened.client.peer, {"subscription": opened.name})
        with suppress(StopIteration):  # it never waits, and must not come later than the model's
            left.send(None)

    def gone(self, client: Client, *, amid_frames: bool = False) -> None:
        """A client is found gone, perhaps in the middle of what is sent to it."""
        client.is_gone = True
        for name in list(self.promises):
            self._leave(client, name, amid_frames=amid_frames)
        self.life.deliveries.client_gone(client.peer)

    def _leave(self, client: Client, name: str, *, amid_frames: bool = False) -> None:
        self.promises[name].leave(client.id, amid_frames=amid_frames)
        if name.startswith("~") and not self.promises[name].credit:
            del self.promises[name]

    # The disk.

    def lock(self) -> None:
        """Another process holds the database's lock."""
        if self._intruder is None:
            self._intruder = self._connect(self.disk.path, isolation_level=None, timeout=0.0)
            with suppress(sqlite3.OperationalError):  # the writer has it
                self._intruder.execute("BEGIN IMMEDIATE")

    def fill(self, more: int, *, is_log_new: bool) -> None:
        """No byte can be written so far behind the log's end or, for when it is used anew, its beginning."""
        self.disk.room = more + (0 if is_log_new else self.disk.log_end)

    def heal(self) -> None:
        """Everything works again."""
        if self._intruder is not None:
            self._intruder.close()
            self._intruder = None
        self.disk.heal()

    @property
    def is_healthy(self) -> bool:
        return self._intruder is None and self.disk.is_healthy

    # Time and lives.

    def quiet(self) -> None:
        """With a healthy disk, after a while, all that was begun is done, and on disk."""
        self.heal()
        self.life.loop.advance(SAVED_WITHIN_S)
        while self.life.is_saving:  # something failed in the last moment of that
            self.life.loop.advance(SAVED_WITHIN_S)
        self.check()
        assert not self.ledger.doubts, "all is committed"
        assert not self._asked, "all is answered"
        assert self.life.journal.trouble is None
        self._find_letters()
        self._saved()

    def _find_letters(self) -> None:
        listed = self._now(self.life.deliveries.dead_letters.list({"limit": 1000}))
        seqs: dict[str, list[int]] = defaultdict(list)
        for letter in listed["deadletters"]:
            seqs[letter["subscription"]].append(letter["seq"])
        for name, promise in self.promises.items():
            if name[0] != "~":
                promise.found_dead(seqs[name])

    def _saved(self) -> None:
        self.notes.all_saved()
        for promise in self.promises.values():
            promise.saved()

    def crash(self, choose: Choose) -> None:
        """The power fails; the next life begins with what is on the disk."""
        image = self.disk.crash_image(choose)
        self.heal()
        self.life.crash()
        self._next_life(image)

    def restart(self) -> None:
        """The supervisor stops in good order, and comes again."""
        self.heal()
        assert self.life.close()
        assert not self.ledger.doubts, "all that was taken is on disk"
        self._saved()
        self._next_life(Image.of(self.disk.path))

    def _next_life(self, image: Image) -> None:
        for client in self.clients.values():
            client.is_gone = True
        self._asked.clear()
        self._is_tending = False
        self.promises = {name: promise for name, promise in self.promises.items() if name[0] != "~"}
        for promise in self.promises.values():
            promise.crash()
        image.save(path := self._folder / f"{next(self._numbers)}.db")
        self.life = Life(path, strands=self.strands, disk=self.disk)
        self._recover()
        self._keep()

    def _keep(self) -> None:
        """Note what retention is about to remove; what is lost by that must be said."""
        deliveries = self.life.deliveries
        skip_through = deliveries.skip_through

        def noted(seq: int) -> None:
            self.ledger.removed_to = max(self.ledger.removed_to, seq)
            due = {name: promise.open() for name, promise in self.promises.items()}
            for name, promise in self.promises.items():
                if name[0] == "~":
                    promise.skip_through(seq)
            skip_through(seq)
            for name, open_before in due.items():
                promise = self.promises[name]
                promise.pass_over([n for n in open_before if n <= seq and n not in promise.skipped])

        def told(gap: Gap) -> None:
            assert self._may_lose, f"{gap}, and there is room"
            if gap.subscription in self.promises:  # else whoever made it was gone before it was told
                self.promises[gap.subscription].skip_through(gap.last)

        deliveries.on_gap = told
        patch = cast("Any", deliveries)
        patch.skip_through = noted
        self._may_lose = True  # again what was lost before the crash
        deliveries.skip_through(self.life.journal.removed_to)

    def tend(self, *, max_bytes: int, max_age_s: float) -> None:
        """Let retention look at the journal once."""
        limits = Limits(max_bytes=max_bytes, max_age_s=max_age_s)
        keeper = Keeper(self.life.journal, self.life.deliveries, limits=limits, wall_clock=self.clock.wall)

        def done(task: asyncio.Task[bool]) -> None:
            self._is_tending = False
            if not isinstance(task.exception(), JournalUnavailable):
                task.result()

        if not self._is_tending:
            self._is_tending = True
            self._may_lose = max_bytes < ROOM_BYTES
            self.life.call(keeper.round(), done)

    def _recover(self) -> None:
        """Read all that the crash has left."""
        found: list[Stored] = []
        position = 0
        while (page := self._now(self.life.journal.read(position, limit=7, max_bytes=10**6))).events:
            found += page.events
            position = page.read_to
        seqs = [event.seq for event in found]
        assert seqs == list(range(seqs[0], seqs[-1] + 1)) if seqs else True, "numbers have no gap"
        assert self.life.journal.damage is None
        self.ledger.recover(found, now=self.clock.now)
        prefix = "note/"
        notes = self._now(self.life.journal.get_states(prefix, int))
        self.notes.recover({key.removeprefix(prefix): value for key, value in notes.items()})

    def _now(self, coroutine: Coroutine[Any, Any, T]) -> T:
        outcome: list[T] = []
        self.life.call(coroutine, lambda task: outcome.append(task.result()))
        self.life.loop.settle()
        self.life.check()
        return outcome[0]

    def drain(self) -> None:
        """All that is open comes to clients that take everything, and their acks are kept."""
        self.quiet()
        for client in list(self.clients.values()):
            if not client.is_gone:
                self.gone(client)
        for slot, (name, promise) in enumerate(self.promises.items()):
            self.subscribe(slot, name, promise.wish, start="new", credit=10**6)
        self._take_all(but_one=True)
        for promise in self.promises.values():
            is_late = len(promise.open()) > len(promise.in_flight) or len(promise.in_flight) > 1
            assert promise.is_delayed or not is_late, "without a delay it comes at once"
        for _ in range(DRAINS):
            self._take_all()
            self.life.loop.advance(DRAIN_S)
            self._take_all()
        self.quiet()
        left = {name: promise.open() for name, promise in self.promises.items() if promise.open()}
        assert not left, "after its delays it comes"

    def _take_all(self, *, but_one: bool = False) -> None:
        """Acknowledge what comes until nothing more does, all but the first event of each subscription."""
        self.life.loop.settle()
        while any(len(promise.in_flight) > but_one for promise in self.promises.values()):
            for opened in self.opened:
                seqs = sorted(self.promises[opened.name].in_flight)[but_one:]
                self.ack(opened, seqs=seqs, up_to=None)
            self.life.loop.settle()

    def check(self) -> None:
        """What must hold at any moment."""
        self.life.check()
        for subscription in self.life.deliveries._subscriptions.values():
            assert subscription.window.held_events <= LIMITS.max_events
