"""What is remembered of chats, to answer in them: session webhooks, and who a private chat is with.

A session webhook is a capability (whoever has the URL can post), so it lives in this process's memory alone
and nowhere else. Pure: the time is given.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

MAX_KEPT = 1000
"""Webhooks, and private chats, remembered; the ones learned first go first."""
LIFE_S = 5400.0
"""90 minutes, as in every capture (`docs/platforms.md` 4.5); a longer life is not believed."""
MARGIN_S = 30.0
"""How long before its end a webhook is no longer used: a request takes time."""
K = TypeVar("K")
V = TypeVar("V")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What one robot message teaches about its chat."""

    chat: str
    is_private: bool
    sender: str | None = None
    """The sender's id as its event has it."""
    staff_id: str | None = None
    """The sender's id for OpenAPI."""
    webhook: str | None = None
    life_s: float | None = None
    """Seconds from now to the webhook's end, by the platform's clock alone."""


class Webhooks:
    """Bounded memory of chats.

    Args:
        allows_http: take webhooks over plain HTTP to this machine, for a simulator.
    """

    def __init__(self, *, allows_http: bool = False) -> None:
        self._allows_http = allows_http
        self._kept: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
        self._people: OrderedDict[str, str] = OrderedDict()

    def learn(self, session: Session, *, now: float) -> None:
        """Remember what a message says; `now` in seconds of a clock that never goes back."""
        if session.is_private and session.staff_id:
            _put(self._people, session.chat, session.staff_id)
        life_s = min(session.life_s or 0.0, LIFE_S) - MARGIN_S
        usable = session.webhook and is_usable(session.webhook, allows_http=self._allows_http)
        if session.webhook and usable and life_s > 0:
            kept = session.webhook, now + life_s
            for sender in {session.sender or "", ""}:  # once for the chat as a whole
                _put(self._kept, (session.chat, sender), kept)

    def find(self, chat: str, *, user: str | None, now: float) -> str | None:
        """Return a webhook into `chat`, given to `user` if there is one, else to anybody."""
        for sender in (user or "", ""):
            url, ends_at = self._kept.get((chat, sender), ("", now))
            if ends_at > now:
                return url
        return None

    def partner(self, chat: str) -> str | None:
        """Return the staff id of whom a private chat is with, if known."""
        return self._people.get(chat)

    def forget(self, webhook: str) -> None:
        """Do not return this one any more: the platform says that it has ended."""
        for name in [name for name, (url, _) in self._kept.items() if url == webhook]:
            del self._kept[name]


def is_usable(url: str, *, allows_http: bool) -> bool:
    """Tell whether an address that the platform gave may be asked: over TLS, or a simulator's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_own = allows_http and parts.scheme == "http" and parts.hostname in _LOOPBACK
    return is_own or (parts.scheme == "https" and bool(parts.hostname))


def is_loopback_http(url: str) -> bool:
    """Tell whether an `api_base` is a simulator on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _put(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
