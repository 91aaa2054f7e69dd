"""Blocking calls on a thread of their own."""

import asyncio
import threading

import pytest

from longwire_protocol.threads import in_thread


async def test_what_the_call_returns_is_returned() -> None:
    name = await in_thread(lambda: threading.current_thread().name, name="one call", timeout_s=10)
    assert name == "one call"


async def test_what_the_call_raises_is_raised() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_thread(fail, name="x", timeout_s=10)


@pytest.mark.parametrize("error", [SystemExit, StopIteration, KeyboardInterrupt])
async def test_what_a_future_cannot_carry_is_renamed(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(RuntimeError, match=error.__name__):
        await in_thread(fail, name="x", timeout_s=10)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_call_that_hangs_is_left_behind_and_what_it_brings_is_dropped(*, fails: bool) -> None:
    go, ended = threading.Event(), threading.Event()

    def hang() -> None:
        try:
            go.wait(30)
            if fails:
                raise ValueError("late")
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await in_thread(hang, name="hangs", timeout_s=0.05)
    task = asyncio.create_task(in_thread(hang, name="hangs", timeout_s=30))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await in_thread(lambda: ended.wait(10), name="waits", timeout_s=20)


def test_a_call_that_outlives_its_loop_is_harmless() -> None:
    go = threading.Event()
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        go.wait(30)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await in_thread(hang, name="outlives", timeout_s=0.05)

    asyncio.run(give_up())
    go.set()
    threads[0].join(10)
    assert not threads[0].is_alive()
