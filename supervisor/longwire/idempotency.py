"""One effect and one answer for changes of accounts that carry the same idempotency key.

Kept in memory, as those changes are: a restart of the supervisor forgets both. Commands with an effect on a
platform have their keys on disk, see `longwire.outbox`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import CommandResult

Scope = tuple[str, str, str, str]

_KEEP_S = 24 * 3600.0
_MAX_KEYS = 100_000
"""Above it the oldest go before their time: at 70 commands a minute that is a day."""


class _Entry(msgspec.Struct):
    fingerprint: bytes
    made_at: float
    outcome: asyncio.Future[CommandResult]


class Idempotency:
    """Remembers what became of commands with a key."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Scope, _Entry] = OrderedDict()

    async def run(
        self, scope: Scope, fingerprint: bytes, act: Callable[[], Awaitable[CommandResult]]
    ) -> CommandResult:
        """Return what `act` returns, or what it returned for the same scope before.

        Only an outcome that cannot be repeated differently is kept: success, or «unknown». A refusal that
        had no effect may be tried again with the same key.

        Args:
            scope: tenant, account, method, key.
            fingerprint: of the parameters.
            act: does it.

        Raises:
            CommandError: the key was used with other parameters, or `act` raised.
        """
        loop = asyncio.get_running_loop()
        self._forget(loop.time())
        known = self._entries.get(scope)
        if known is not None:
            if known.fingerprint != fingerprint:
                raise CommandError(
                    RetCode.IDEMPOTENCY_CONFLICT, "the idempotency key was used with other parameters"
                )
            return await asyncio.shield(known.outcome)
        outcome: asyncio.Future[CommandResult] = loop.create_future()
        self._entries[scope] = _Entry(fingerprint, loop.time(), outcome)
        try:
            result = await act()
        except asyncio.CancelledError:  # its caller's deadline is over, and the effect may still come
            outcome.set_result(_UNKNOWN)
            raise
        except Exception as exc:
            self._entries.pop(scope, None)
            outcome.set_exception(exc)
            outcome.exception()  # seen: nobody else may be waiting for it
            raise
        if result.retcode not in _FINAL:
            self._entries.pop(scope, None)
        outcome.set_result(result)
        return result

    def _forget(self, now: float) -> None:
        while self._entries:
            entry = next(iter(self._entries.values()))
            if now - entry.made_at < _KEEP_S and len(self._entries) <= _MAX_KEYS:
                return
            self._entries.popitem(last=False)


_UNKNOWN = CommandResult(
    id=0, retcode=RetCode.DEADLINE_EXCEEDED, message="the first request got no outcome in time"
)
_FINAL = frozenset({RetCode.OK, RetCode.DEADLINE_EXCEEDED, RetCode.CHILD_LOST})
