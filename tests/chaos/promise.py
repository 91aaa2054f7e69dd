"""What one subscription promises to its clients: the model of interfaces.md, «Client protocol».

Each event that is sent is held against the rules at the moment at which it is sent. Time-outs are worked out
when they matter, because nobody outside sees them before the next event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from chaos.ledger import Fact, Ledger
from harness.strands import Clock
from longwire.delivery import WindowLimits


class Wish(NamedTuple):
    """What a subscription is for."""

    accounts: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    tenant: str | None = None

    def covers(self, fact: Fact) -> bool:
        return (
            (self.accounts is None or fact.account in self.accounts)
            and (self.types is None or fact.type in self.types)
            and (self.tenant is None or fact.tenant == self.tenant)
        )


class Flight(NamedTuple):
    """An event that was sent and not answered."""

    client: str
    deadline: float


class Promise:
    """One subscription, over all the supervisors it sees."""

    def __init__(
        self, ledger: Ledger, wish: Wish, *, next_seq: int, limits: WindowLimits, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self.wish = wish
        self.first = next_seq
        """The first number it is for."""
        self.acked: set[int] = set()
        self.kept: set[int] = set()
        """Of `acked`, what was put on disk for certain."""
        self.doubted: set[int] = set()
        """Acknowledged before a crash, perhaps not on disk: comes again or does not."""
        self.given_up: set[int] = set()
        """Failed so often that they are dead letters, or are going to be."""
        self._kept_dead: set[int] = set()
        self.skipped: set[int] = set()
        """Removed, and reported as a gap; comes again only if that was forgotten in a crash."""
        self._failures: dict[int, int] = defaultdict(int)
        """How often each was taken back: at least as often as it has failed."""
        self._new_life()

    def _new_life(self) -> None:
        self.credit: dict[str, int] = {}
        self.sent_to: dict[str, dict[int, float]] = defaultdict(dict)
        """To each client, and what an ack up to a number must be above to cover it."""
        self.in_flight: dict[int, Flight] = {}
        self._attempts: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._disturbed: set[object] = set()
        self._last_first = 0
        """To the sole client, in chats that nothing was taken back in, first deliveries come in order."""
        self._left_at: float | None = None
        """When a client left: what others were to get at that moment comes in any order."""

    # What clients do.

    def join(self, client: str, *, credit: int, next_seq: int) -> None:
        """The reply to a client's `events.subscribe`."""
        self.leave(client)
        self._last_first, self._left_at = 0, None
        self.credit[client] = credit
        self.pass_over([seq for seq in self.open() if seq < next_seq])

    def leave(self, client: str, *, amid_frames: bool = False) -> None:
        """It is gone; in the middle of what is sent to it, events have failed there that it never saw."""
        self._expire()
        if amid_frames and client in self.credit:
            for seq in self.open():
                self._failures[seq] += seq not in self.in_flight
        if self.credit.pop(client, None) is not None:
            self._last_first, self._left_at = 0, self._clock.now
            self.sent_to.pop(client, None)
            for seq in [seq for seq, flight in self.in_flight.items() if flight.client == client]:
                self._take_back(seq)

    def give(self, client: str, n: int) -> None:
        self.credit[client] += n

    def ack(self, client: str, *, seqs: list[int], up_to: int | None) -> bool:
        """Return whether all of `seqs` are known to have been sent there."""
        self._expire()
        mine, top = self.sent_to[client], up_to or 0
        covered = [seq for seq, behind in mine.items() if seq <= top and behind < top]
        for seq in [*(seq for seq in seqs if seq in mine), *covered]:
            self.acked.add(seq)
            self.in_flight.pop(seq, None)
        return mine.keys() >= {*seqs}

    def nack(self, client: str, seq: int, *, delay_s: float) -> bool:
        """Return whether it is known to have been sent there."""
        self._expire()
        flight = self.in_flight.get(seq)
        if flight is not None and flight.client == client:
            for other in self._chat(self._ledger.at[seq]):
                if other >= seq and other in self.in_flight:
                    self.sent_to[client][other] = inf
            self._take_back(seq)
            self._not_before[seq] = self._clock.now + delay_s
        return seq in self.sent_to[client]

    # What is sent.

    def check(self, client: str, seq: int, fact: Fact, *, attempt: int, redelivered: bool) -> None:
        """An event is sent to a client."""
        self._expire()
        assert client in self.credit, "only to clients of the subscription"
        self.credit[client] -= 1
        assert self.credit[client] >= 0, "credit"
        assert seq >= self.first, "from its start on"
        assert self.wish.covers(fact), "what it asked for"
        assert seq not in self.acked, f"{seq} was acknowledged"
        assert seq not in self.given_up, f"{seq} was given up"
        assert seq not in self.in_flight, f"{seq} is in flight"
        assert self._clock.now >= self._not_before.get(seq, 0.0), "not before the delay of its nack"
        self._check_chat(client, seq, fact)
        if len(self.credit) == 1 and self._clock.now != self._left_at:
            self._check_order(seq, fact)
        assert attempt > self._attempts.get(seq, 0)
        assert redelivered == (attempt > 1)
        self._attempts[seq] = attempt
        self.doubted.discard(seq)
        self.skipped.discard(seq)
        self.in_flight[seq] = Flight(client, self._clock.now + self._limits.ack_timeout_s)
        highest = max(self.sent_to[client], default=0)
        self.sent_to[client][seq] = highest if highest > seq else 0

    def _check_chat(self, client: str, seq: int, fact: Fact) -> None:
        for other in self._chat(fact):
            flight = self.in_flight.get(other)
            if other < seq and other in self.doubted:
                self.doubted.discard(other)
                self.acked.add(other)  # it was passed over: so its ack was on disk, and stays
            elif other < seq and flight is None and other not in self.acked | self.skipped | self.given_up:
                self.pass_over([other])
            assert flight is None or flight.client == client, "a chat goes to one client at a time"
            assert flight is None or other < seq, f"{other} was sent before {seq}"

    def _may_be_dead(self, seq: int) -> bool:
        return self._failures[seq] >= self._limits.max_attempts

    def _check_order(self, seq: int, fact: Fact) -> None:
        if seq not in self._attempts and fact.order not in self._disturbed:
            assert seq > self._last_first, f"first deliveries come in order: {self._last_first}, {seq}"
            self._last_first = seq

    def _chat(self, fact: Fact) -> Iterator[int]:
        """The numbers of the chat that this subscription is for."""
        for seq, other in self._ledger.at.items():
            if other.order == fact.order and seq >= self.first and self.wish.covers(other):
                yield seq

    def _expire(self) -> None:
        for seq in sorted(self.in_flight):
            flight = self.in_flight.get(seq)
            if flight is not None and flight.deadline <= self._clock.now:
                self._take_back(seq)

    def _take_back(self, seq: int) -> None:
        fact = self._ledger.at[seq]
        self._disturbed.add(fact.order)
        for other in [other for other in self._chat(fact) if other >= seq]:
            if self.in_flight.pop(other, None) is not None:
                self._failures[other] += 1

    # What remains.

    def open(self) -> list[int]:
        """What has yet to be acknowledged, ascending."""
        done = self.acked | self.doubted | self.given_up | self.skipped
        return [
            seq
            for seq, fact in sorted(self._ledger.at.items())
            if seq >= self.first and seq not in done and self.wish.covers(fact)
        ]

    def pass_over(self, seqs: list[int]) -> None:
        """These show to be done, and nobody has acknowledged them: so they were given up."""
        self._expire()
        early = [seq for seq in seqs if not self._may_be_dead(seq)]
        assert not early, f"{early} have yet to be done"
        self.given_up.update(seqs)

    def skip_through(self, seq: int) -> None:
        """What is open up to this number is being removed, and said to be."""
        self._expire()
        self.skipped.update(other for other in self.open() if other <= seq)
        for other in [other for other in self.in_flight if other <= seq]:
            del self.in_flight[other]

    def found_dead(self, seqs: list[int]) -> None:
        """These are its dead letters on disk: all that it gave up, and nothing that could go on."""
        lost = self.given_up - {*seqs}
        assert not lost, f"{lost} were given up and are no dead letters"
        self.pass_over([seq for seq in seqs if seq not in self.acked | self.skipped])
        self.doubted -= self.given_up

    @property
    def is_delayed(self) -> bool:
        """Whether something open has failed before, so that it may come later."""
        return any(self._failures[seq] for seq in self.open())

    def saved(self) -> None:
        """All that is acknowledged is on disk now."""
        self.kept |= self.acked
        self._kept_dead = set(self.given_up)

    def crash(self) -> None:
        """Clients are gone, and what was not saved is forgotten, or not."""
        self._expire()
        self.doubted |= self.acked - self.kept
        self.doubted |= self.given_up - self._kept_dead
        self.acked, self.given_up = set(self.kept), set(self._kept_dead)
        self._new_life()
