"""Children that grow beyond their limit are replaced, planned and one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import psutil
import structlog

from longwire.account import Account

_log = structlog.get_logger("longwire.memory")

_PER_S = 10
"""Children looked at per second: reading a PSS costs the kernel about a millisecond."""

_ROUND_S = 5.0
"""The least time between two looks at the same child."""

_MIB = 1024 * 1024


class MemoryGuard:
    """Samples the proportional memory (PSS) of every child, in turn."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts

    async def run(self) -> None:
        """Look at one child after the other, until cancelled."""
        while True:
            for account in tuple(self._accounts.values()):
                await asyncio.sleep(max(1 / _PER_S, _ROUND_S / len(self._accounts)))
                self._look(account)
            if not self._accounts:
                await asyncio.sleep(_ROUND_S)

    def _look(self, account: Account) -> None:
        if account.pid is None:
            return
        try:
            pss_bytes: int = psutil.Process(account.pid).memory_full_info().pss
        except (psutil.Error, OSError, AttributeError):  # gone meanwhile; macOS has no PSS
            return
        account.tally.pss_bytes = pss_bytes
        limit_mb = account.config.settings.memory_limit_mb
        if pss_bytes > limit_mb * _MIB and account.is_up:
            _log.warning(
                "memory_limit_reached", account=account.name, pss_mb=pss_bytes // _MIB, limit_mb=limit_mb
            )
            account.restart("memory_limit")
