"""Hooks of the host: told in order, one at a time, and no thread where there is nothing to tell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from longwire.embedding.backlog import StateChange
from longwire.embedding.hooks import Hook

DEADLINE_S = 30.0
CHANGES = [StateChange("a", f"{n}", f"{n + 1}", None) for n in range(100)]


def started(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Return the list of the threads that are started from now on."""
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def note(thread: threading.Thread) -> None:
        threads.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note)
    return threads


def ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(DEADLINE_S)
    return not any(thread.is_alive() for thread in threads)


def collecting(into: list[StateChange]) -> Callable[[str, str, str, str | None], None]:
    def callback(account: str, old: str, new: str, reason: str | None) -> None:
        into.append(StateChange(account, old, new, reason))

    return callback


def test_a_hooks_thread_ends_when_all_is_told_and_another_tells_what_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = started(monkeypatch)
    told: list[StateChange] = []
    hook = Hook(collecting(told), None)
    assert threads == [], "nothing to tell yet"
    for change in CHANGES[:50]:
        hook.tell(change)
    assert ended(threads)
    for change in CHANGES[50:]:
        hook.tell(change)
    assert ended(threads)
    assert told == CHANGES
    assert {thread.name for thread in threads} == {"longwire hook"}


def test_a_hook_that_blocks_has_one_thread_and_gets_the_rest_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = started(monkeypatch)
    told: list[StateChange] = []
    gate = threading.Event()

    def callback(*change: str | None) -> None:
        assert gate.wait(DEADLINE_S)
        told.append(StateChange(*change))  # type: ignore[arg-type]
        raise ValueError("a host's mistake")

    hook = Hook(callback, None)
    for change in CHANGES:
        hook.tell(change)
    gate.set()
    assert ended(threads)
    assert told == CHANGES
    assert len(threads) == 1


def test_a_change_for_which_there_was_no_thread_is_told_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[StateChange] = []
    hook = Hook(collecting(told), None)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        hook.tell(CHANGES[0])
    threads = started(monkeypatch)
    hook.tell(CHANGES[1])
    assert ended(threads)
    assert told == CHANGES[:2]


async def test_a_hook_on_a_loop_is_called_there_and_no_more_once_it_is_removed() -> None:
    told: list[StateChange] = []
    is_told = asyncio.Event()

    def callback(*change: str | None) -> None:
        collecting(told)(*change)  # type: ignore[arg-type]
        is_told.set()

    hook = Hook(callback, asyncio.get_running_loop())
    hook.tell(CHANGES[0])
    assert told == [], "the caller goes on first"
    async with asyncio.timeout(DEADLINE_S):
        await is_told.wait()
    hook.tell(CHANGES[1])
    hook.close()
    is_over = asyncio.Event()
    asyncio.get_running_loop().call_soon(is_over.set)
    await is_over.wait()
    assert told == CHANGES[:1]


def test_a_hook_whose_loop_is_closed_is_not_called_and_harms_nobody() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    told: list[StateChange] = []
    hook = Hook(collecting(told), loop)
    hook.tell(CHANGES[0])
    hook.tell(CHANGES[1])
    assert told == []
