"""What must be in the journal: the model that the real one is held against.

It believes what it is told by the journal's users, never the journal itself: a batch whose commit was
reported is there for ever, one that was under way at a crash is there as a whole or not at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from longwire.journal import Arrivals, Commit, Page, Stored
from longwire_protocol.frames import HandedOver


class Fact(NamedTuple):
    """An event as it was appended."""

    uid: int
    account: str
    tenant: str
    type: str
    chat: str | None
    key: str | None
    at: float
    """When it was appended."""

    @property
    def order(self) -> tuple[str, str] | int:
        """What is delivered in order: a chat, or an event without one."""
        return self.uid if self.chat is None else (self.account, self.chat)


class Ledger:
    """Which event has which number, which keys are known, and what is under way."""

    def __init__(self, *, dedup_window_s: float) -> None:
        self._window_s = dedup_window_s
        self.facts: dict[int, Fact] = {}
        """By uid: all that was ever appended."""
        self.at: dict[int, Fact] = {}
        """By seq: what somebody has seen in the journal."""
        self.head = 0
        """The last number that was reported."""
        self.looked_to = 0
        """Up to this number readers were told that there is nothing else."""
        self.removed_to = 0
        """Up to this number events may be missing, because they were to be removed."""
        self.doubts: deque[list[Fact]] = deque()
        self._stored: set[int] = set()
        self._keys: dict[tuple[str, str], float] = {}
        """When the youngest arrival with this key was stored, at the earliest."""

    def append(self, facts: list[Fact]) -> None:
        """The journal took a batch."""
        self.facts |= {fact.uid: fact for fact in facts}
        self.doubts.append(facts)

    def report(self, facts: list[Fact], commit: Commit, *, now: float) -> None:
        """A batch is said to be on disk."""
        assert self.doubts.popleft() is facts, "batches are reported in the order in which they came"
        stored = [self._fact(event) for event in commit.stored]
        duplicates = [self.facts[event.number] for event in commit.duplicates]
        assert sorted(stored + duplicates) == facts
        assert stored == sorted(stored)
        for event, fact in zip(commit.stored, stored, strict=True):
            assert event.seq > self.head
            self.head = event.seq
            self._admit(fact, now=now)
            self.learn(event.seq, fact)
        for fact in duplicates:
            assert fact.key is not None
            assert (fact.account, fact.key) in self._keys, f"{fact} was dropped as a duplicate of nothing"

    def check_page(self, page: Page, *, after_seq: int, limit: int, head: int) -> None:
        """Nothing up to `head`, which was known when it was asked for, is skipped; nothing comes twice."""
        seqs = [event.seq for event in page.events]
        assert len(seqs) <= limit
        assert seqs == sorted({*seqs}), "in order"
        assert all(after_seq < seq <= page.read_to for seq in seqs)
        for event in page.events:
            self.learn(event.seq, self._fact(event), is_read=True)
        behind = max(after_seq, self.removed_to)
        wanted = [seq for seq in sorted(self.at) if behind < seq <= page.read_to]
        assert [seq for seq in seqs if seq > behind] == wanted
        assert page.events or not [seq for seq in self.at if behind < seq <= head], "an empty page is the end"
        if after_seq <= self.looked_to:
            self.looked_to = max(self.looked_to, page.read_to)

    def learn(self, seq: int, fact: Fact, *, is_read: bool = False) -> None:
        """Somebody saw this event under this number: so it must stay."""
        known = self.at.get(seq)
        if known is None:
            assert is_read or seq > self.looked_to, f"{seq} was skipped by a reader"
            assert fact.uid not in self._stored, f"{fact} is stored twice"
            self.at[seq] = fact
            self._stored.add(fact.uid)
        else:
            assert known is fact, f"{seq} was given to {known} and to {fact}"

    def recover(self, found: Iterable[Stored], *, now: float) -> None:
        """After a crash: what was seen is there, and of what was under way each batch is whole or absent."""
        by_seq = {event.seq: self._fact(event) for event in found}
        for seq, fact in self.at.items():
            is_lost = seq not in by_seq and seq > self.removed_to
            assert not is_lost, f"{seq}, {fact}, is lost"
            assert by_seq.get(seq, fact) is fact
        there = {fact.uid: seq for seq, fact in by_seq.items()}
        ended = False
        for batch in self.doubts:
            ended = self._recover_batch(batch, there, ended=ended, now=now)
        self.doubts.clear()
        for seq, fact in by_seq.items():
            self.learn(seq, fact, is_read=True)
        self.head = max(self.head, *by_seq, 0)

    def _recover_batch(self, batch: list[Fact], there: dict[int, int], *, ended: bool, now: float) -> bool:
        """Return whether this batch is missing, and with it all that came later."""
        stored = [fact for fact in batch if fact.uid in there]
        missing = [fact for fact in batch if fact.uid not in there]
        assert not (stored and ended), "a later batch is there, an earlier one is not"
        assert sorted(stored, key=lambda fact: there[fact.uid]) == stored
        if not stored:
            return ended or any(self._is_new(fact) for fact in missing)
        for fact in batch:
            if fact.uid in there:
                self._admit(fact, now=now)
            else:
                assert not self._is_new(fact), f"of a batch, {fact} is missing"
        return False

    def _admit(self, fact: Fact, *, now: float) -> None:
        if fact.key is None:
            return
        name = fact.account, fact.key
        known_at = self._keys.get(name)
        assert known_at is None or now > known_at + self._window_s, f"{fact} was stored before"
        self._keys[name] = fact.at

    def _is_new(self, fact: Fact) -> bool:
        return fact.key is None or (fact.account, fact.key) not in self._keys

    def _fact(self, event: Stored) -> Fact:
        fact = self.facts[uid_of(event.body)]
        assert (event.account, event.tenant, event.type, event.chat, event.recv_time, event.body) == (
            *(fact.account, fact.tenant, fact.type, fact.chat, fact.at),
            body(fact),
        )
        return fact


def handed_over(facts: list[Fact]) -> Arrivals:
    """Return what to give to the journal."""
    events = [HandedOver(fact.uid, fact.type, fact.chat, fact.key, fact.at, body(fact)) for fact in facts]
    return Arrivals(facts[0].account, facts[0].tenant, events)


def body(fact: Fact) -> bytes:
    return msgspec.msgpack.encode({"uid": fact.uid})


def uid_of(encoded: bytes) -> int:
    return int(msgspec.msgpack.decode(encoded)["uid"])
