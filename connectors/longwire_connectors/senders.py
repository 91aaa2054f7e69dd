"""Who may talk to the account: whose events go on, and whom to name in the log. Pure.

Refused senders are named so that setting up is «send the bot a message, read the id», and rarely enough that
a crowd of strangers is no flood.
"""

from __future__ import annotations

from collections.abc import Iterable

from longwire_protocol.event import Sender

EVERYBODY = "*"

NAMED_AGAIN_S = 3600.0
"""A refused sender is named once in so many seconds."""

MAX_NAMED = 256
"""Senders remembered as named, so also the most that are named in an hour; more are only counted."""


class Senders:
    """Those who may talk.

    Args:
        allowed: ids of any kind, `*` for everybody; `None` for everybody, too, and none at all for nobody.
    """

    def __init__(self, allowed: Iterable[str] | None) -> None:
        self._allowed = frozenset({EVERYBODY} if allowed is None else allowed)
        self._is_open = EVERYBODY in self._allowed
        self._named: dict[str, float] = {}
        """When each was named, the oldest first."""

    def may_talk(self, sender: Sender | None) -> bool:
        """Say whether an event of this sender goes on; one that nobody sent does."""
        if self._is_open or sender is None or sender.id in self._allowed:
            return True
        return not self._allowed.isdisjoint((sender.ids or {}).values())

    def is_to_be_named(self, sender: Sender, *, now: float) -> bool:
        """Say whether a refused sender is to be named at this moment (monotonic seconds), and note it."""
        for known, at in list(self._named.items()):
            if now - at < NAMED_AGAIN_S:
                break
            del self._named[known]
        if sender.id in self._named or len(self._named) >= MAX_NAMED:
            return False
        self._named[sender.id] = now
        return True
