"""The watch over how long a peer has been silent."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from longwire_connectors.proof import RunningAge, SocketProof


class Socket:
    """Answers pings at once while it `answers`."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.pings = 0
        self.pinged = asyncio.Condition()
        self.unanswered: list[asyncio.Future[float]] = []

    async def ping(self) -> Awaitable[Any]:
        self.pings += 1
        async with self.pinged:
            self.pinged.notify_all()
        pong = asyncio.get_running_loop().create_future()
        if self.answers:
            pong.set_result(0.0)
        else:
            self.unanswered.append(pong)
        return pong

    async def wait_for_pings(self, n: int) -> None:
        async with asyncio.timeout(10), self.pinged:
            await self.pinged.wait_for(lambda: self.pings >= n)


def test_one_look_adds_a_small_step_however_long_the_process_stood_still() -> None:
    age = RunningAge(now=0.0, max_step_s=2.0)
    assert age.look(1.5) == 1.5
    assert age.look(60.0) == 3.5
    assert age.look(59.0) == 3.5
    age.skip(100.0)
    assert age.look(101.0) == 4.5
    age.renew(200.0)
    assert age.look(200.5) == 0.5


async def test_a_peer_that_never_answers_is_given_up_within_the_first_limit() -> None:
    proof = SocketProof(timeout_s=1000.0, on_pong=lambda: None, first_within_s=0.05)
    async with asyncio.timeout(10):
        await proof.silence()
    assert not proof.has_proof


async def test_pongs_keep_the_proof_fresh_until_they_stop() -> None:
    socket, pongs = Socket(), []
    proof = SocketProof(timeout_s=0.3, on_pong=lambda: pongs.append(proof.has_proof))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        pinging = tasks.create_task(proof.ping(socket))
        watching = tasks.create_task(proof.silence())
        await socket.wait_for_pings(8)
        assert not watching.done()
        socket.answers = False
        await watching
        pinging.cancel()
    assert pongs[:2] == [False, True]
    assert proof.limit_s == 0.3


async def test_a_ping_that_was_lost_with_its_connection_proves_nothing() -> None:
    socket = Socket(answers=False)
    proof = SocketProof(timeout_s=0.05, on_pong=lambda: None)
    async with asyncio.TaskGroup() as tasks:
        pinging = tasks.create_task(proof.ping(socket))
        await socket.wait_for_pings(2)
        socket.unanswered[0].set_exception(ConnectionError("gone"))
        socket.unanswered[1].cancel()
        await socket.wait_for_pings(4)
        pinging.cancel()
    assert not proof.has_proof


async def test_nothing_ages_while_reading_is_paused() -> None:
    proof = SocketProof(timeout_s=0.05, on_pong=lambda: None)
    proof.note()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(proof.silence())
        with proof.paused(), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(watching)
        await watching


async def test_a_process_that_stood_still_does_not_judge_by_it() -> None:
    proof = SocketProof(timeout_s=0.4, on_pong=lambda: None)
    proof.note()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(proof.silence())
        await asyncio.sleep(0)
        time.sleep(1.0)  # noqa: ASYNC251  it is the process that stands still
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not watching.done()
        await watching
