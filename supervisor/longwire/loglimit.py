"""How often the log may say one thing: a rate per account and event, and a count of what was left out. Pure.

An outage must not fill the operator's disk, and what is left out must not be forgotten: the next line that
passes carries the count, and where none comes any more, `ended` gives it. A thing that was not said for long
passes in any case, so nothing new is ever hidden, an error's traceback least of all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from longwire.pacing import TokenBucket


class Topic(NamedTuple):
    """What a line is about. An error is never left out for the sake of an information of the same name."""

    account: str | None
    event: str
    """Empty where there is no constant name: what an SDK logs has its values in it."""
    level: str
    state: str | None = None
    """Of an account, where the line says it: that it is online again is no repetition of its failures."""


class Allowance(NamedTuple):
    """How often a topic may be spoken of."""

    burst: int
    rate_per_s: float


OF_ACCOUNT: Final = Allowance(burst=20, rate_per_s=2 / 60)
"""For one event of one account. The backoff law gives 11 attempts in the first minute and 95 an hour (T10 of
the design's figures): each of them is said. What repeats faster than that is a loop, and two lines a minute
are enough to see it."""

OF_MANY: Final = Allowance(burst=500, rate_per_s=1.0)
"""For what is said of no account, as each line may be about something else (50 mistakes of a configuration),
for what SDKs print, where a traceback alone is 50 lines, and for refused senders: each line is about another
one, whose id set-up needs. A child names 256 an hour and none twice, so a left out one would stay unknown."""

QUIET_S: Final = 60.0
"""A topic that was not spoken of for so long has ended."""

MAX_TOPICS: Final = 16_384
"""Topics remembered, some 5 MB: a thousand accounts with a dozen events each. The longest silent go first."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_STATE_EVENT: Final = "account_state"
_OF_MANY: Final = frozenset({"", "output", "library", "sender_refused"})
"""What is of one account and yet about something else in each line."""


def topic(fields: Mapping[str, Any]) -> Topic:
    """Return what a line is about, by its fields."""
    about, state = fields.get("account") or fields.get("template"), fields.get("state")
    event = str(fields.get("event", ""))
    return Topic(
        account=about if isinstance(about, str) else None,
        event=event if _NAME.fullmatch(event) else "",
        level=str(fields.get("level", "")),
        state=state if event == _STATE_EVENT else None,
    )


class _Entry(msgspec.Struct, gc=False):
    bucket: TokenBucket
    at: float
    left_out: int = 0


class LogLimit:
    """Decides which lines pass; times are in seconds of a clock that does not step.

    May be used from any thread, and while another call is under way on the same one, as finalizers log, too:
    each step is whole in itself, and a race costs a count at most.
    """

    def __init__(self, *, max_topics: int = MAX_TOPICS) -> None:
        self._max_topics = max_topics
        self._entries: dict[Topic, _Entry] = {}
        """In the order in which they were last spoken of."""
        self._forgotten = 0

    def admit(self, topic: Topic, now: float) -> int | None:
        """Return how many lines of this topic were left out before this one; `None`: leave it out, too."""
        entry = self._entries.pop(topic, None) or _Entry(_bucket(topic, now), now)
        self._entries[topic] = entry
        self._make_room()
        entry.at = now
        if entry.bucket.take(now) > 0:
            entry.left_out += 1
            return None
        left_out, entry.left_out = entry.left_out, 0
        return left_out

    def ended(self, now: float, *, quiet_s: float = QUIET_S) -> list[tuple[Topic | None, int]]:
        """Return the topics that are spoken of no more, and how many lines of each were left out last.

        Each is returned once. `None` is for topics that had to be forgotten.
        """
        found: list[tuple[Topic | None, int]] = []
        for topic in list(self._entries):
            entry = self._entries.get(topic)
            if entry is not None and entry.left_out and now - entry.at >= quiet_s:
                found.append((topic, entry.left_out))
                entry.left_out = 0
        if self._forgotten:
            found.append((None, self._forgotten))
            self._forgotten = 0
        return found

    def _make_room(self) -> None:
        if len(self._entries) > self._max_topics:
            gone = self._entries.pop(next(iter(self._entries)), None)
            self._forgotten += gone.left_out if gone else 0


def _bucket(topic: Topic, now: float) -> TokenBucket:
    is_of_many = topic.account is None or topic.event in _OF_MANY
    allowance = OF_MANY if is_of_many else OF_ACCOUNT
    return TokenBucket(rate_per_s=allowance.rate_per_s, burst=allowance.burst, now=now)
