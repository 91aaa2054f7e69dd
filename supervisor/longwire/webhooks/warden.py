"""Keeps the courier alive while there is a target: starts it, watches it, starts it again, ends it.

Its life is a loop: a process, its first word, its targets, its beats, its end; then a delay by the backoff
law. What the courier should have is a mapping; what it has not been told yet is a set of names in it. So a
new process is told everything, and many changes in a row of one target are one frame.
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from secrets import token_urlsafe
from typing import Literal, Protocol

from longwire.backoff import Backoff
from longwire.childlog import ChildLog
from longwire.courier.pipe import Pipe, open_pipe
from longwire.courier.target import Target
from longwire.courier.wire import VERSION, Beat, Drop, FromCourier, Put, Ready, Stop, Test, Welcome
from longwire.logger import get_logger
from longwire.process import Process, spawn
from longwire.webhooks.status import CourierStatus
from longwire_protocol.redaction import Redactor

_log = get_logger("longwire.webhooks")

_LOOK_S = 1.0
_MOST_SILENT_LOOKS = 10
"""Looks, each a second of ours, in which nothing was heard: ten beats. A count and not a time, because a
supervisor that was stopped comes back to beats that it has not read yet."""

_START_LOOKS = 60
"""The same until the first word: importing aiohttp takes half a second, ten on a crowded machine."""

_BACKOFF = Backoff(initial_s=0.2, max_s=30.0)
_STABLE_S = 60.0
"""After so long a life its end is no repetition of the one before."""

DRAIN_S = 2.0
"""How long posts that are under way may take at a stop: most answer within one, and the children's stop,
which goes on meanwhile, takes as long."""
_TERM_S, _KILL_S = 2.8, 3.3
"""When SIGTERM and SIGKILL follow: all is over within the 5 s that Procfile runners grant."""

_COMMAND = ("-P", "-m", "longwire.courier")


class Listener(Protocol):
    """Who hears what the courier says."""

    def heard(self, frame: FromCourier) -> None:
        """It said this."""

    def courier_gone(self) -> None:
        """Its process has ended; nothing of what it was asked is answered any more."""


class Warden:
    """Owns the courier's process.

    Args:
        environment: of the process.
        endpoint: where the courier finds the supervisor.
        listener: hears what it says.
        set_key: told what opens the webhooks' subscriptions, `None` for nothing.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        endpoint: str,
        listener: Listener,
        set_key: Callable[[str | None], None],
    ) -> None:
        self._environment = environment
        self._endpoint = endpoint
        self._listener = listener
        self._set_key = set_key
        self._loop = asyncio.get_running_loop()
        self._targets: dict[str, Target] = {}
        self._untold: dict[str, None] = {}
        self._has_news = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self._is_stopping = False
        self._process: Process | None = None
        self._pipe: Pipe | None = None
        self._ended = asyncio.Event()
        self._ended.set()
        self._is_ready = asyncio.Event()
        self._silent_looks = 0
        self._beat: Beat | None = None
        self._restarts = -1

    def have(self, targets: Mapping[str, Target]) -> None:
        """Have the courier deliver to exactly these; it is told what differs."""
        for name in targets.keys() | self._targets.keys():
            if targets.get(name) != self._targets.get(name):
                self._untold[name] = None
        self._targets = dict(targets)
        self._has_news.set()
        if targets:
            self._is_wanted.set()

    def test(self, number: int, target: Target) -> bool:
        """Have a test posted; `False` if there is no courier now. One is started, if there was none."""
        self._is_wanted.set()
        return self._is_ready.is_set() and self._send(Test(number, target))

    async def ready(self) -> None:
        """Wait until there is a courier."""
        self._is_wanted.set()
        await self._is_ready.wait()

    def status(self) -> CourierStatus | None:
        """Return how it is; `None` as long as it was never needed."""
        if self._restarts < 0:
            return None
        process, beat = self._process, self._beat
        state: Literal["starting", "ready", "stopped"] = "starting"
        if process is None:
            state = "stopped"
        elif self._is_ready.is_set():
            state = "ready"
        return CourierStatus(
            pid=None if process is None else process.pid,
            state=state,
            restarts=self._restarts,
            in_flight=0 if beat is None else beat.under_way,
            waiting=0 if beat is None else beat.waiting,
            loop_lag_p99_ms=None if beat is None else round(beat.lag_p99_s * 1000, 3),
            rss_bytes=None if beat is None else beat.memory_bytes,
        )

    async def run(self) -> None:
        """Keep it alive, as soon as and as long as it is wanted, until `stop`."""
        failures = 0
        while True:
            await self._is_wanted.wait()
            if self._is_stopping:  # it was between two processes
                return
            began = self._loop.time()
            try:
                await self._live()
            except OSError as exc:
                _log.error("courier_not_started", text=str(exc))
            if self._is_stopping:
                return
            failures = 1 if self._loop.time() - began >= _STABLE_S else failures + 1
            await asyncio.sleep(_BACKOFF.delay(failures, luck=random.random()))  # noqa: S311  # no secret

    async def stop(self) -> None:
        """End it: what is under way may take a moment; what is not done comes again after the next start."""
        self._is_stopping = True
        process = self._process
        if process is None:
            return
        process.signal(signal.SIGCONT)  # a stopped process hears nothing else
        if not self._send(Stop(DRAIN_S)):
            process.signal(signal.SIGTERM)
        ladder = [
            self._loop.call_later(_TERM_S, process.signal, signal.SIGTERM),
            self._loop.call_later(_KILL_S, process.signal, signal.SIGKILL),
        ]
        try:
            await self._ended.wait()
        finally:
            for rung in ladder:
                rung.cancel()

    # One life of it.

    async def _live(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            process = self._process = self._spawn(theirs)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        logs = ChildLog(process.log_fd, redact=Redactor([]), context={"process": "courier"})
        key = token_urlsafe()
        try:
            self._pipe = await open_pipe(ours, FromCourier, heard=self._heard, lost=self._lost)
            self._set_key(key)
            self._untold = dict.fromkeys(self._targets)
            self._send(Welcome(VERSION, self._endpoint, key))
            await self._until_ended()
        finally:
            process.let_go()  # it ends by that, if it has not
            self._set_key(None)
            if self._pipe is not None:
                self._pipe.close()
            self._is_ready.clear()
            self._process = self._pipe = self._beat = None
            self._listener.courier_gone()
            logs.close()

    def _spawn(self, theirs: socket.socket) -> Process:
        self._ended.clear()
        self._silent_looks = 0
        self._restarts += 1
        try:
            return spawn(
                lambda fd: [sys.executable, *_COMMAND, str(fd), str(theirs.fileno())],
                environment=self._environment,
                on_exit=self._exited,
                pass_fds=(theirs.fileno(),),
            )
        except OSError:
            self._ended.set()
            raise

    async def _until_ended(self) -> None:
        """Tell it of targets and listen to its beats until it has ended."""
        async with asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(self._tell(), name="tell the courier"),
                tasks.create_task(self._watch(), name="watch the courier"),
            ]
            await self._ended.wait()
            for task in side:
                task.cancel()

    async def _tell(self) -> None:
        await self._is_ready.wait()
        while True:
            while self._untold and self._pipe is not None:
                name = next(iter(self._untold))
                del self._untold[name]
                target = self._targets.get(name)
                self._send(Drop(name) if target is None else Put(target))
                await self._pipe.drained()
            self._has_news.clear()
            await self._has_news.wait()

    async def _watch(self) -> None:
        """End it when it says nothing for too long: it hangs, or is stopped."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._silent_looks += 1
            most = _MOST_SILENT_LOOKS if self._is_ready.is_set() else _START_LOOKS
            if self._silent_looks > most:
                self._kill(f"nothing was heard of it for {most * _LOOK_S:g} s")

    def _heard(self, frame: object) -> None:
        self._silent_looks = 0
        match frame:
            case Ready():
                if frame.version != VERSION:
                    self._kill(f"it speaks version {frame.version}, we speak {VERSION}: restart us")
                self._is_ready.set()
            case Beat():
                self._beat = frame
            case _:
                self._listener.heard(frame)  # type: ignore[arg-type]  # what else there is of `FromCourier`

    def _lost(self, why: str) -> None:
        """Its pipe is of no use: it ends, or has."""
        if not self._is_stopping:
            self._kill(why)

    def _kill(self, why: str) -> None:
        if self._process is not None and not self._ended.is_set():
            _log.error("courier_killed", pid=self._process.pid, reason=why)
            self._process.signal(signal.SIGKILL)

    def _exited(self, code: int | None) -> None:
        level = _log.info if self._is_stopping else _log.error
        level("courier_exited", code=code, restarts=self._restarts)
        self._ended.set()

    def _send(self, frame: Welcome | Put | Drop | Test | Stop) -> bool:
        return self._pipe is not None and self._pipe.send(frame)
