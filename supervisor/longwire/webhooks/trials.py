"""Tests of webhooks: made-up events that are posted because somebody asked, and what becomes of them."""

from __future__ import annotations

import asyncio
import itertools
from typing import Protocol

import msgspec

from longwire.courier.target import Target
from longwire.courier.wire import Tested
from longwire_protocol.errors import CommandError, RetCode

_MOST, _MOST_OF_ONE = 16, 4
"""Under way at once: in all, and of targets of one tenant, or of the operator. Each may hold a permit until
the target's timeout, also when nobody waits for it any more."""
_FULL_RETRY_MS = 1_000


class Courier(Protocol):
    """What is needed of the warden."""

    async def ready(self) -> None:
        """Wait until there is a courier."""

    def test(self, number: int, target: Target) -> bool:
        """Have a test posted; `False` if there is no courier now."""
        ...


class _Trial(msgspec.Struct, frozen=True):
    owner: str | None
    answer: asyncio.Future[Tested]


class Trials:
    """Those that are under way."""

    def __init__(self) -> None:
        self._under_way: dict[int, _Trial] = {}
        """Until the courier says what became of them, or is gone."""
        self._numbers = itertools.count(1)

    async def ask(self, courier: Courier, target: Target) -> Tested:
        """Return what became of a post to this target.

        Raises:
            CommandError: there is no courier, or too many are under way.
        """
        await courier.ready()
        self._refuse_if_full(target.tenant)
        number = next(self._numbers)
        trial = _Trial(target.tenant, asyncio.get_running_loop().create_future())
        if not courier.test(number, _slim(target)):
            raise no_courier()
        self._under_way[number] = trial
        return await trial.answer

    def heard(self, frame: Tested) -> None:
        """Hear what became of one."""
        trial = self._under_way.pop(frame.id, None)
        if trial is not None and not trial.answer.done():
            trial.answer.set_result(frame)

    def courier_gone(self) -> None:
        """Nothing will be heard of any."""
        trials, self._under_way = self._under_way, {}
        for trial in trials.values():
            if not trial.answer.done():
                trial.answer.set_exception(no_courier())

    def _refuse_if_full(self, owner: str | None) -> None:
        of_one = sum(trial.owner == owner for trial in self._under_way.values())
        if of_one >= _MOST_OF_ONE or len(self._under_way) >= _MOST:
            text = f"{_MOST_OF_ONE} tests of a tenant's webhooks can be under way, and {_MOST} in all"
            raise CommandError(RetCode.SATURATED, text, retryable=True, retry_after_ms=_FULL_RETRY_MS)


def no_courier() -> CommandError:
    """Return what to raise where there is no courier now."""
    text = "the process that posts is being started; try again"
    return CommandError(RetCode.SATURATED, text, retryable=True, retry_after_ms=1_000)


def _slim(target: Target) -> Target:
    """Return it without the lists that a test has no use for: they may be a megabyte."""
    accounts = target.accounts and target.accounts[:1]
    return msgspec.structs.replace(target, accounts=accounts, types=None)
