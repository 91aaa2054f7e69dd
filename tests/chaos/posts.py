"""What must be true of the posts of a webhook's target, whatever happened meanwhile."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from harness.targets.behaviour import Arrival
from harness.webhooks import SECRET, events_of, verified

SEED = int(os.environ.get("LONGWIRE_SEED", "20261122"))

_OK = 200


class Posts(msgspec.Struct, frozen=True):
    """The posts of one target."""

    target: str
    events: int
    """Different ones."""
    posts: int
    repeated: int
    """Events that came more than once."""

    def __str__(self) -> str:
        return f"{self.target}: {self.posts} posts of {self.events} events, {self.repeated} more than once"


def judged(target: str, arrivals: Sequence[Arrival], *, secret: str = SECRET) -> Posts:
    """Assert that each post is signed, and that what comes again comes under the same `webhook-id`.

    An event that was alone has one id however often it comes alone, and no id is given to anything else.
    """
    ids: dict[str, set[str]] = defaultdict(set)
    contents: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    came: Counter[str] = Counter()
    for arrival in arrivals:
        verified(arrival, secret)
        events, identity = tuple(event.id for event in events_of(arrival)), arrival.header("webhook-id")
        came.update(events)
        contents[identity].add(events)
        if len(events) == 1:
            ids[events[0]].add(identity)
    assert [found for found in ids.values() if len(found) > 1] == [], "an event with two ids"
    assert [found for found in contents.values() if len(found) > 1] == [], "an id of two things"
    repeated = sum(count > 1 for count in came.values())
    return Posts(target, len(came), len(arrivals), repeated)


def check_order(arrivals: Sequence[Arrival]) -> None:
    """Assert that each chat's events were taken in order, counted by when each was first taken."""
    taken: dict[str, dict[int, None]] = defaultdict(dict)
    for arrival in arrivals:
        if arrival.status != _OK:
            continue
        for event in events_of(arrival):
            assert event.chat is not None
            assert event.seq is not None
            taken[event.chat.id].setdefault(event.seq)
    for chat, seqs in taken.items():
        assert list(seqs) == sorted(seqs), f"out of order in {chat}: {list(seqs)}"
