"""Troubles of one command that must not become those of its chat, its app or the supervisor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fakes.journal import Gate, no_thread_stays, path_fixture  # noqa: F401  # pytest finds them here
from fakes.outbox import World
from harness.waiting import until
from longwire.outbox import State
from longwire_protocol.errors import RetCode


@pytest.fixture(name="world")
def world_fixture(path: Path) -> World:
    return World(path)


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_command_that_cannot_be_told_leaves_its_chat_free(
    world: World, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_deep(*_: object, **__: object) -> None:
        raise RecursionError("nested too deep")

    async with world.running() as outbox:
        with monkeypatch.context() as broken:
            broken.setattr(world.account, "begin", too_deep)
            command = await world.send("a", key=key)
        assert command.outcome is not None
        assert (command.state, command.outcome.retcode) == (State.UNCERTAIN, RetCode.INTERNAL)
        assert (await world.send("b")).state is State.DONE
        assert outbox.status().under_way == 0


async def test_a_command_that_cannot_be_written_has_no_place(world: World) -> None:
    deep: Any = None
    for _ in range(5_000):
        deep = [deep]
    async with world.running() as outbox:
        with pytest.raises(RecursionError):
            await world.send("a", params={"text": "a", "more": deep})
        assert (outbox.status().queued, outbox.status().under_way) == (0, 0)
        assert (await world.send("b")).state is State.DONE
    assert world.account.texts == ["b"]


async def test_an_answer_that_cannot_be_taken_in_leaves_its_chat_free(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(str(context["message"])))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with world.running() as outbox:
        with monkeypatch.context() as patch:
            patch.setattr("longwire.outbox.outbox.judge", broken)
            assert not (await world.send("a", wait_s=0.1)).has_ended
        assert (await world.send("b")).state is State.DONE
        assert outbox.status().under_way == 0
    assert said


async def test_a_refusal_while_it_closes_ends_the_wait(world: World) -> None:
    gate = Gate()
    gate.open.set()
    async with world.running(gate=gate) as outbox:
        first = await world.send("a", key="k")
        gate.open.clear()
        again = asyncio.ensure_future(world.send("a", key="k"))

        async def is_under_way() -> bool:
            return outbox.status().under_way == 1

        await until(is_under_way, what="it is under way")
        closing = asyncio.ensure_future(outbox.close())
        await asyncio.sleep(0)
        gate.open.set()
        async with asyncio.timeout(30):
            await asyncio.wait([closing], return_when=asyncio.FIRST_COMPLETED)
            assert (await again).receipt == first.receipt
        assert outbox.status().under_way == 0
