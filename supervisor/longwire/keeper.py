"""Keeps the journal within its limits while it is in use: old events go, free pages go back to the disk.

What goes is decided by `longwire.journal.retention`; here are its clock and its rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from longwire.deliveries import Deliveries
from longwire.journal import Journal, JournalError
from longwire.journal.retention import Limits, decide, pages_to_give_back
from longwire.logger import get_logger

_log = get_logger("longwire.keeper")

_SLOW_COMMIT_S = 2.0
"""A commit that waits longer delays platform acknowledgements beyond Lark's 3 s."""

_LOOK_S = 1.0
"""How often the sizes are looked at: how long the journal can grow over its limit, so some 60 MB at most."""


class Keeper:
    """Removes what the limits no longer allow, in rounds.

    Args:
        journal: what is kept.
        deliveries: who has acknowledged what, and who is told of what is lost.
        limits: how much may stay.
        wall_clock: the clock of commits.
    """

    def __init__(
        self,
        journal: Journal,
        deliveries: Deliveries,
        *,
        limits: Limits,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._deliveries = deliveries
        self._limits = limits
        self._wall_clock = wall_clock
        self.trouble: str | None = None
        """Why nothing can be removed at present."""

    def complaint(self) -> str | None:
        """Return what is wrong with the journal, or with the keeping of it."""
        journal = self._journal
        if journal.trouble is not None:
            return journal.trouble
        if journal.oldest_wait_s > _SLOW_COMMIT_S:
            return f"a commit takes longer than {_SLOW_COMMIT_S:g} s"
        if journal.damage is not None:
            return f"{journal.damage}; the rest is delivered"
        if self.trouble is not None:
            return f"old events cannot be removed: {self.trouble}"
        return None

    async def run(self) -> None:
        """Do rounds until cancelled."""
        # What was removed in a restored or recovered journal, its subscriptions may not know.
        self._deliveries.skip_through(self._journal.removed_to)
        while True:
            is_more = False
            try:
                is_more = await self.round()
                self.trouble = None
            except JournalError as exc:
                self._complain(str(exc))
            await asyncio.sleep(0 if is_more else _LOOK_S)

    async def round(self) -> bool:
        """Remove what is to go now; return whether another round is due at once.

        Raises:
            JournalError: the journal cannot be read or written now.
        """
        holdings = await self._journal.holdings()
        low_water = self._deliveries.low_water
        cut = decide(holdings, self._limits, low_water=low_water, now=self._wall_clock())
        if cut.through_seq and not self._journal.is_full:
            # First the gaps and positions, then the events: a crash between repeats a gap and hides none.
            self._deliveries.skip_through(cut.through_seq)
            await self._journal.remove_through(cut.through_seq)
        await self._journal.give_back(pages_to_give_back(holdings))
        return cut.is_more and not self._journal.is_full

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            _log.warning("retention_fails", error=trouble)
