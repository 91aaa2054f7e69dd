"""What of an account outlives the supervisor, and when it has to be written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from longwire_protocol.event import Bot
from longwire_protocol.link import LinkFailure

MEMORY_PREFIX = "account/"
"""Memories are states of the journal under this prefix and the account's name."""

MOST_GONE = 2_000
"""So many accounts that are gone are remembered: some hundred bytes each."""


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of an account outlives the supervisor."""

    failures: int = 0
    retry_at: float | None = None
    """Unix seconds."""
    why: LinkFailure | None = None
    """Of the delay that runs until `retry_at`."""
    bot: Bot | None = None
    app: str | None = None
    """Whose identity `bot` is; see `AccountConfig.app`."""
    was_online: bool = False
    """Whether its link was ever proven with the configuration it has."""

    def left_s(self, now: float, *, longest_s: float) -> float:
        """Return what is left of the delay.

        Args:
            now: Unix seconds. The wall clock may have stepped meanwhile, so the delay is bounded:
            longest_s: the longest that the backoff law gives; the platform may have asked for more.
        """
        asked_s = self.why.retry_after_s if self.why is not None else None
        left_s = 0.0 if self.retry_at is None else self.retry_at - now
        return max(0.0, min(left_s, max(longest_s, asked_s or 0.0)))


class Keeper(Protocol):
    """Where it is written: the journal."""

    def put_state(self, key: str, value: Any) -> None:
        """Keep this; durable soon."""
        ...


class Memories:
    """What is known of accounts that are not there now, of the last so many: one may be added again.

    Args:
        known: what earlier supervisors left, by key.
        keeper: where it is written.
        most: how many are kept; of an account in use its `Notebook` knows, and it does not count.
    """

    def __init__(self, known: Mapping[str, Memory], *, keeper: Keeper, most: int = MOST_GONE) -> None:
        self._gone = dict(known)
        self._keeper = keeper
        self._most = most

    def take(self, account: str) -> Memory:
        """Return what is known of an account that is there from now on."""
        return self._gone.pop(MEMORY_PREFIX + account, Memory())

    def keep(self, account: str, memory: Memory) -> None:
        """Note what is left of an account that is gone, or is about to be there anew."""
        key = MEMORY_PREFIX + account
        self._gone[key] = memory
        self._keeper.put_state(key, memory)

    def trim(self) -> None:
        """Forget, on disk too, what says nothing, and the oldest beyond `most`."""
        for key in [key for key, memory in self._gone.items() if memory.bot is None and not memory.failures]:
            self._forget(key)
        for key in list(self._gone)[: max(0, len(self._gone) - self._most)]:
            self._forget(key)

    def _forget(self, key: str) -> None:
        del self._gone[key]
        self._keeper.put_state(key, None)


class Notebook:
    """One account's memory, written whenever the next supervisor would be misled by what is there.

    Args:
        account: whose.
        memory: what earlier supervisors left.
        keeper: where it is written.
    """

    def __init__(self, account: str, memory: Memory, *, keeper: Keeper) -> None:
        self.memory = memory
        self._key = MEMORY_PREFIX + account
        self._keeper = keeper
        self._ends_at: float | None = None
        """The end of the delay that was written, on the caller's clock."""

    def note(self, memory: Memory, *, now: float, ends_at: float | None) -> None:
        """Take over what is now.

        Args:
            memory: all of it.
            now: seconds on a clock that does not step, unlike the wall's in `memory`.
            ends_at: the end of the delay on that clock, `None` without one.
        """
        if self._is_news(memory, now=now, ends_at=ends_at):
            self._keeper.put_state(self._key, memory)
            self._ends_at = ends_at
        self.memory = memory

    def _is_news(self, memory: Memory, *, now: float, ends_at: float | None) -> bool:
        """Return whether to write; a delay that is over may stay there, as it lies in the past."""
        if _without_delay(memory) != _without_delay(self.memory):
            return True
        is_cut_short = self._ends_at is not None and self._ends_at > now
        return ends_at != self._ends_at and (ends_at is not None or is_cut_short)


def _without_delay(memory: Memory) -> Memory:
    return msgspec.structs.replace(memory, retry_at=None, why=None)
