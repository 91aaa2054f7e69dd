"""One supervisor's time over a journal: the real journal and deliveries, in strands, on a disk that fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import pytest

from harness.disk import Disk
from harness.strands import Clock, Loop, Strands
from longwire import deliveries, subscriptions
from longwire.control import ClientPeer
from longwire.deliveries import Deliveries
from longwire.delivery import WindowLimits
from longwire.journal import (
    Journal,
    JournalClosed,
    JournalSettings,
    chunks,
    dedup,
    folding,
    journal,
    keyfilter,
    reader,
    schema,
    store,
    writer,
)
from longwire.journal.store import Store
from longwire_protocol.messages import Events, ToClient

DEDUP_WINDOW_S = 100.0
SAVED_WITHIN_S = 7.0
"""A sick disk is tried again within `retry_max_s`, 5 s; then what lingers takes parts of a second."""

LIMITS = WindowLimits(
    max_events=12, page_events=5, ack_timeout_s=30.0, max_attempts=2, chat_block_max_s=86_400.0
)
SETTINGS = JournalSettings(dedup_window_s=DEDUP_WINDOW_S, max_waiting_events=40)


class Client:
    """What deliveries know of a client: `longwire.control.ClientPeer`, without a socket."""

    def __init__(self, number: int, told: Callable[[Client, ToClient], None]) -> None:
        self.id = f"c{number}"
        self.subscriptions: set[str] = set()
        self.is_gone = False
        self.frames_left: int | None = None
        """After so many frames it is found gone; `None` for never."""
        self.on_gone: Callable[[Client], None] = lambda _: None
        self._told = told

    def send(self, frame: ToClient) -> None:
        if self.is_gone:
            return
        if self.frames_left is not None and isinstance(frame, Events):
            self.frames_left -= 1
            if self.frames_left < 0:
                self.is_gone = True
                self.on_gone(self)
                return
        self._told(self, frame)

    async def drained(self) -> None:
        """It reads at once."""

    @property
    def peer(self) -> ClientPeer:
        return cast("ClientPeer", self)


class Life:
    """From the opening of the journal to its end, by a crash or in good order."""

    def __init__(self, path: Path, *, strands: Strands, disk: Disk) -> None:
        self.loop = Loop(strands)
        self._strands = strands
        self._disk = disk
        self._is_closing = self._is_ended = False
        self._calls: list[asyncio.Task[Any]] = []
        self._opened: asyncio.Future[tuple[Journal, Deliveries]] = self.loop.create_future()
        disk.use(path)
        self._task = self.loop.create_task(self._live(path), name="life")
        self.loop.settle()
        try:
            self.check()
        except BaseException:
            self.loop.close()
            disk.forget()
            raise
        self.journal, self.deliveries = self._opened.result()
        disk.use(path)

    async def _live(self, path: Path) -> None:
        async with asyncio.TaskGroup() as tasks:
            opened = await Journal.open(path, settings=SETTINGS)
            self._opened.set_result((opened, await Deliveries.open(opened, tasks, limits=LIMITS)))
            await asyncio.Future[None]()

    def call(self, coroutine: Coroutine[Any, Any, Any], done: Callable[[asyncio.Task[Any]], None]) -> None:
        """Have something awaited; `done` is told its outcome, if this life sees it."""

        def end(task: asyncio.Task[Any]) -> None:
            self._calls.remove(task)
            is_cut_off = self._is_closing and isinstance(task.exception(), JournalClosed)
            if not self._is_ended and not is_cut_off:
                done(task)

        task = self.loop.create_task(coroutine, name="call")
        self._calls.append(task)
        task.add_done_callback(end)

    def check(self) -> None:
        """Fail if anything of it failed that nobody was told."""
        if self._task.done():
            self._task.result()
            raise AssertionError("it ended by itself")
        assert not self.loop.failures, self.loop.failures

    @property
    def is_saving(self) -> bool:
        """Whether subscriptions have changed and that is not on disk."""
        return self.deliveries._saving is not None or bool(self.journal._writer._states)

    def crash(self) -> None:
        """Leave everything as it is; the disk's image has been taken."""
        self._end()

    def close(self) -> bool:
        """End in good order; return whether all was written."""
        self._is_closing = True
        self.deliveries.close()
        outcome: list[bool] = []
        self.call(self.journal.close(), lambda task: outcome.append(task.result()))
        self.loop.advance(SETTINGS.close_timeout_s + 2.0)
        self.check()
        self._end()
        return outcome == [True]

    def _end(self) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self._strands.kill()
        if not self._is_closing and self._opened.done():
            self._opened.result()[0]._writer._store._wal.close()
        for task in [*self._calls, self._task]:
            task.cancel()
        self.loop.run_ready()
        with contextlib.suppress(asyncio.CancelledError):
            self._task.result()
        self.loop.close()
        self._disk.forget()


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Let few events fill rows, runs, filters, logs and windows, so that few steps meet their ends."""
    patch.setattr(dedup, "RUN_KEYS", 4)
    patch.setattr(dedup, "RUNS_PER_FILTER", 3)
    patch.setattr(dedup, "_SAVED_EACH", 2)
    patch.setattr(keyfilter, "SIZE_BYTES", 16)
    patch.setattr(keyfilter, "_MASK", 15)
    patch.setattr(chunks, "CHUNK_EVENTS", 3)
    patch.setattr(store, "_CHECKPOINT_FRAMES", 16)
    patch.setattr(schema, "PAGE_BYTES", 1024)
    patch.setattr(schema, "BUSY_TIMEOUT_S", 0.0)
    patch.setattr(subscriptions, "_FRAME_BYTES", 16)


def make_certain(patch: pytest.MonkeyPatch) -> None:
    """Take chance out of names and of the order in which a set of subscriptions is saved."""
    names = count()
    patch.setattr(deliveries, "token_hex", lambda size: f"{next(names):0{2 * size}}")
    patch.setattr(subscriptions.Subscription, "__hash__", lambda self: crc32(self.name.encode()))


def put_in_strands(patch: pytest.MonkeyPatch, strands: Strands, clock: Clock) -> None:
    """Replace the journal's threads, queues and clocks."""
    patch.setattr(writer, "threading", strands)
    patch.setattr(reader, "threading", strands)
    patch.setattr(folding, "threading", strands)
    patch.setattr(reader, "queue", strands)
    patch.setattr(writer, "monotonic", clock.monotonic)
    patch.setattr(journal, "monotonic", clock.monotonic)
    patch.setattr(store, "time", Ticks())
    patch.setitem(Store.__init__.__kwdefaults__, "wall_clock", clock.wall)  # bound when it was defined


class Ticks:
    """In place of the module `time`, for who measures its own work: each look costs a millisecond."""

    def __init__(self) -> None:
        self._ticks = count()

    def monotonic(self) -> float:
        return next(self._ticks) / 1000
