"""Children that grow beyond their limit are replaced, planned."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping

import psutil
import structlog

from longwire.account import Account

_log = structlog.get_logger("longwire.memory")

_PER_S = 10
"""Children looked at per second."""

_ROUND_S = 5.0
"""The least time between two looks at the same child."""

_FULL_EVERY = 20
"""Looks of which one reads the PSS, which costs a millisecond of the loop; the others read the RSS, a
thirtieth of that. A PSS is never over the limit while the RSS is not."""

_MIB = 1024 * 1024


class MemoryGuard:
    """Samples the proportional memory (PSS) of every child, in turn."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._looks = itertools.count()

    async def run(self) -> None:
        """Look at one child after the other, until cancelled."""
        while True:
            for account in tuple(self._accounts.values()):
                await asyncio.sleep(max(1 / _PER_S, _ROUND_S / max(1, len(self._accounts))))
                if self._accounts.get(account.name) is account:  # a reload may have replaced it
                    self._look(account)
            if not self._accounts:
                await asyncio.sleep(_ROUND_S)

    def _look(self, account: Account) -> None:
        if account.pid is None:
            return
        limit_bytes = account.config.settings.memory_limit_mb * _MIB
        is_due = account.tally.pss_bytes is None or next(self._looks) % _FULL_EVERY == 0
        try:
            process = psutil.Process(account.pid)
            if not is_due and process.memory_info().rss <= limit_bytes:
                return
            pss_bytes: int = process.memory_full_info().pss
        except (psutil.Error, OSError, AttributeError):  # gone meanwhile; macOS has no PSS
            return
        account.tally.pss_bytes = pss_bytes
        if pss_bytes > limit_bytes and account.is_up:
            _log.warning(
                "memory_limit_reached",
                account=account.name,
                pss_mb=pss_bytes // _MIB,
                limit_mb=limit_bytes // _MIB,
            )
            account.restart("memory_limit")
