"""One-use tickets that open a WebSocket, tokens that allow REST calls, and keys that make them idempotent.

All three are the same thing: a secret that stands for something, for a while. Pure: the caller brings time
and secret.
"""

from typing import Generic, TypeVar

__all__ = ["ExpiringTable", "TokenBook"]

T = TypeVar("T")

TOKEN_LIFE_S = 7200.0
TOKEN_RENEWAL_S = 1800.0


class ExpiringTable(Generic[T]):
    """Values by key, each with an end; holds at most ``max_entries`` and forgets the oldest ones first."""

    def __init__(self, *, max_entries: int = 10_000) -> None:
        self._max_entries = max_entries
        self._entries: dict[str, tuple[float, T]] = {}

    def put(self, key: str, *, value: T, expires_at: float) -> None:
        """Remember ``value`` under ``key`` until ``expires_at`` (Unix seconds, exclusive)."""
        self._entries.pop(key, None)
        self._entries[key] = (expires_at, value)
        while len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]

    def get(self, key: str, *, now: float) -> T | None:
        """Return the value, None if there is none or it has ended."""
        expires_at, value = self._entries.get(key, (0.0, None))
        return value if now < expires_at else None

    def take(self, key: str, *, now: float) -> T | None:
        """Return the value and forget it: what a one-use ticket is."""
        value = self.get(key, now=now)
        self._entries.pop(key, None)
        return value


class TokenBook:
    """Access tokens: one per app, renewed when little of its life is left, old ones valid to their end.

    Two hours of life, and the same token as long as at least 30 minutes remain: Lark's document on the
    tenant_access_token. DingTalk's tokens also live two hours; the same renewal is assumed for them.
    """

    def __init__(self) -> None:
        self._current: ExpiringTable[tuple[str, float]] = ExpiringTable(max_entries=100_000)
        self._owners: ExpiringTable[str] = ExpiringTable(max_entries=100_000)

    def issue(self, app: str, *, fresh: str, now: float) -> tuple[str, int]:
        """Return the app's token and the whole seconds it has left.

        ``fresh`` is the one to use if a new one is due.
        """
        current = self._current.get(app, now=now)
        if current is None:
            current = (fresh, now + TOKEN_LIFE_S)
            self._current.put(app, value=current, expires_at=now + TOKEN_LIFE_S - TOKEN_RENEWAL_S)
            self._owners.put(fresh, value=app, expires_at=now + TOKEN_LIFE_S)
        token, expires_at = current
        return token, int(expires_at - now)

    def owner(self, token: str, *, now: float) -> str | None:
        """Return the app a token was given to, None if it never was or has ended."""
        return self._owners.get(token, now=now)
