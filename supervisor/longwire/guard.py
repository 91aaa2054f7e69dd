"""Looks at what every child takes of the machine, one after the other, and never at many at once.

A look reads resident memory and CPU time, for 30 us of the loop. The proportional memory (PSS) costs 500, as
the kernel walks through every page: it is read only where what is resident is over the limit, and of the
others in turn, of one process at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from math import ceil

import psutil

from longwire.account import Account
from longwire.limits import Meter
from longwire.logger import get_logger

_log = get_logger("longwire.guard")

_ROUND_S = 5.0
"""The least time between two looks at the same child."""

_LOOKS_PER_S = 100
"""The most looks, 0.3 % of a core: a thousand children are looked at every 10 s."""

_TICK_S = 0.2
"""The least time between two bunches of looks, 20 at most; one PSS is read in each at most."""

_TURN_S = 1.0
"""The least time between two PSS that are read in turn, for nothing but `status`."""


class Guard:
    """Compares what each child takes with its limits, and has those replaced that are over them.

    Args:
        accounts: all of them, as they are at each moment.
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._loop = asyncio.get_running_loop()
        self._round: Iterator[Account] = iter(())
        self._turns: Iterator[Account] = iter(())
        self._turn_at = 0.0
        self._processes: dict[str, psutil.Process] = {}
        self._to_weigh: dict[str, Account] = {}
        """By name, in the order in which they came; each once."""

    async def run(self) -> None:
        """Look at one child after the other, until cancelled."""
        while True:
            count = len(self._accounts)
            round_s = max(_ROUND_S, count / _LOOKS_PER_S)
            tick_s = max(_TICK_S, round_s / max(1, count))
            await asyncio.sleep(tick_s)
            for _ in range(ceil(count * tick_s / round_s)):
                self._look_at_next()
            self._weigh_one()

    def _look_at_next(self) -> None:
        account = next(self._round, None)
        if account is None:  # one copy of the list for a whole round: a reload may change it any time
            self._round = iter(tuple(self._accounts.values()))
            self._processes = {n: p for n, p in self._processes.items() if n in self._accounts}
            account = next(self._round, None)
        if account is not None and self._is_present(account):
            self._look(account)

    def _is_present(self, account: Account) -> bool:
        return self._accounts.get(account.name) is account and account.pid is not None

    def _look(self, account: Account) -> None:
        meter = self._meter(account)
        try:
            process = self._process(account, meter.pid)
            rss_bytes: int = process.memory_info().rss
            times = process.cpu_times()
        except (psutil.Error, OSError):  # it is gone meanwhile, or there are no descriptors
            return
        meter.look(self._loop.time(), rss_bytes=rss_bytes, cpu_s=times.user + times.system)
        is_suspect = meter.is_suspect(account.limits)
        if is_suspect or not meter.is_weighed:
            self._to_weigh[account.name] = account
        if not is_suspect:
            account.judge(meter.excess(account.limits))

    def _weigh_one(self) -> None:
        """Read the PSS of who waits for it longest; of the next in turn where nobody does."""
        account = next(iter(self._to_weigh.values()), None)
        if account is not None:
            del self._to_weigh[account.name]
        elif self._loop.time() >= self._turn_at:
            account = self._next_in_turn()
        if account is not None and self._is_present(account):
            self._weigh(account)

    def _next_in_turn(self) -> Account | None:
        self._turn_at = self._loop.time() + _TURN_S
        account = next(self._turns, None)
        if account is None:
            self._turns = iter(tuple(self._accounts.values()))
        return account

    def _weigh(self, account: Account) -> None:
        meter = self._meter(account)
        try:
            meter.weigh(_pss_bytes(self._process(account, meter.pid)))
        except (psutil.Error, OSError):
            return
        account.judge(meter.excess(account.limits))

    def _meter(self, account: Account) -> Meter:
        """Return the meter of the account's present process."""
        assert account.pid is not None  # noqa: S101  # for the type checker
        meter = account.meter
        if meter is None or meter.pid != account.pid:
            meter = account.meter = Meter(account.pid, window_s=account.config.settings.cpu_window_s)
        return meter

    def _process(self, account: Account, pid: int) -> psutil.Process:
        process = self._processes.get(account.name)
        if process is None or process.pid != pid:
            process = self._processes[account.name] = psutil.Process(pid)
        return process


def _pss_bytes(process: psutil.Process) -> int | None:
    """Return the proportional memory; `None` where the system has no such thing, or keeps it to itself.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    try:
        pss: int | None = getattr(process.memory_full_info(), "pss", None)
    except psutil.AccessDenied:
        return None
    return pss
