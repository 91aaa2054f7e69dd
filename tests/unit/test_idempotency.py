"""One effect and one answer for requests with the same key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from longwire import idempotency
from longwire.idempotency import Idempotency
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import CommandResult

SCOPE = ("acme", "acme-lark", "message.create", "key")
OK = CommandResult(id=1, retcode=RetCode.OK, data={"message_id": "m"})


class Platform:
    """Counts effects; answers when and what it is told."""

    def __init__(self, result: CommandResult = OK) -> None:
        self.effects = 0
        self.result = result
        self.begun = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def act(self) -> CommandResult:
        self.effects += 1
        self.begun.set()
        await self.answers.wait()
        return self.result


def refusing(error: Exception) -> Callable[[], Awaitable[CommandResult]]:
    async def act() -> CommandResult:
        raise error

    return act


async def test_the_same_request_twice_has_one_effect_and_one_answer() -> None:
    once, platform = Idempotency(), Platform()
    assert await once.run(SCOPE, b"p", platform.act) is OK
    assert await once.run(SCOPE, b"p", platform.act) is OK
    assert platform.effects == 1


@pytest.mark.parametrize("place", range(4))
async def test_tenant_account_method_and_key_are_each_part_of_the_scope(place: int) -> None:
    once, platform = Idempotency(), Platform()
    other: list[str] = list(SCOPE)
    other[place] += "-other"
    await once.run(SCOPE, b"p", platform.act)
    await once.run((other[0], other[1], other[2], other[3]), b"q", platform.act)
    assert platform.effects == 2


async def test_the_same_key_with_other_parameters_is_a_conflict() -> None:
    once, platform = Idempotency(), Platform()
    await once.run(SCOPE, b"p", platform.act)
    with pytest.raises(CommandError) as caught:
        await once.run(SCOPE, b"q", platform.act)
    assert caught.value.retcode == RetCode.IDEMPOTENCY_CONFLICT
    assert platform.effects == 1
    assert await once.run(SCOPE, b"p", platform.act) is OK


async def test_a_second_request_waits_for_the_first_and_may_give_up_alone() -> None:
    once, platform = Idempotency(), Platform()
    platform.answers.clear()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(once.run(SCOPE, b"p", platform.act))
        await platform.begun.wait()
        impatient = tasks.create_task(once.run(SCOPE, b"p", platform.act))
        patient = tasks.create_task(once.run(SCOPE, b"p", platform.act))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait([impatient])
        platform.answers.set()
    assert first.result() is OK
    assert patient.result() is OK
    assert impatient.cancelled()
    assert platform.effects == 1


@pytest.mark.parametrize("retcode", [RetCode.DEADLINE_EXCEEDED, RetCode.CHILD_LOST])
async def test_an_unknown_outcome_is_kept_because_the_effect_may_have_happened(retcode: RetCode) -> None:
    once, platform = Idempotency(), Platform(CommandResult(id=1, retcode=retcode))
    for _ in range(2):
        assert (await once.run(SCOPE, b"p", platform.act)).retcode == retcode
    assert platform.effects == 1


async def test_a_refusal_that_had_no_effect_may_be_tried_again() -> None:
    once = Idempotency()
    platform = Platform(CommandResult(id=1, retcode=RetCode.PLATFORM_LIMITED, retryable=True))
    assert (await once.run(SCOPE, b"p", platform.act)).retcode == RetCode.PLATFORM_LIMITED
    platform.result = OK
    assert await once.run(SCOPE, b"other parameters", platform.act) is OK
    assert platform.effects == 2


async def test_an_error_reaches_all_who_wait_and_frees_the_key() -> None:
    once, begun, release = Idempotency(), asyncio.Event(), asyncio.Event()
    error = CommandError(RetCode.ACCOUNT_NOT_ONLINE, "not online", retryable=True)

    async def act() -> CommandResult:
        begun.set()
        await release.wait()
        raise error

    first = asyncio.create_task(once.run(SCOPE, b"p", act), name="first")
    await begun.wait()
    second = asyncio.create_task(once.run(SCOPE, b"p", act), name="second")
    await asyncio.sleep(0)
    release.set()
    for outcome in await asyncio.gather(first, second, return_exceptions=True):
        assert outcome is error
    assert await once.run(SCOPE, b"p", Platform().act) is OK


async def test_an_error_nobody_else_waits_for_is_raised_once_and_forgotten() -> None:
    once = Idempotency()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await once.run(SCOPE, b"p", refusing(ZeroDivisionError()))


async def test_a_first_request_that_gave_up_leaves_an_unknown_outcome() -> None:
    once, platform = Idempotency(), Platform()
    platform.answers.clear()
    first = asyncio.create_task(once.run(SCOPE, b"p", platform.act), name="first")
    await platform.begun.wait()
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert (await once.run(SCOPE, b"p", platform.act)).retcode == RetCode.DEADLINE_EXCEEDED
    assert platform.effects == 1


async def test_a_key_is_forgotten_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    once, platform = Idempotency(), Platform()
    await once.run(SCOPE, b"p", platform.act)
    monkeypatch.setattr(idempotency, "_KEEP_S", 0.0)
    await once.run(SCOPE, b"q", platform.act)
    assert platform.effects == 2
    assert len(once._entries) == 1


async def test_above_the_bound_the_oldest_keys_go_before_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_MAX_KEYS", 2)
    once, platform = Idempotency(), Platform()
    for number in range(5):
        await once.run((*SCOPE[:3], f"key-{number}"), b"p", platform.act)
    assert platform.effects == 5
    await once.run((*SCOPE[:3], "key-4"), b"p", platform.act)
    assert platform.effects == 5
    await once.run((*SCOPE[:3], "key-0"), b"p", platform.act)
    assert platform.effects == 6


def test_a_key_is_kept_for_a_day() -> None:
    assert idempotency._KEEP_S == 24 * 3600
