"""The courier: a client of the supervisor with one lane for each target, told by its private pipe which."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from functools import partial
from typing import Literal

import psutil

from longwire.courier import lag, verdict
from longwire.courier.dressing import Wardrobe
from longwire.courier.errors import PostError
from longwire.courier.http import Answer, Poster
from longwire.courier.lane import Lane
from longwire.courier.permits import Permits
from longwire.courier.pipe import Pipe, open_pipe
from longwire.courier.target import Target
from longwire.courier.wire import (
    VERSION,
    Beat,
    Disabled,
    Drop,
    Put,
    Ready,
    Reports,
    Stop,
    Test,
    Tested,
    ToCourier,
    Welcome,
)
from longwire_protocol.client import Client
from longwire_protocol.event import Event

_log = logging.getLogger("longwire.courier")

_BEAT_S = 1.0
_CONNECT_S = 30.0
"""For the first word with the supervisor: it is there, but may be busy."""

_REPORTS_AT_ONCE = 100
"""In a frame: some 30 kB."""

_TEST_WAIT_S = 2.0
"""How long a test may wait for a permit; then it is `busy`, as whoever waits for it should know."""

_TOLD: Mapping[verdict.Kind, Literal["delivered", "refused", "busy"]] = {
    verdict.Kind.DELIVERED: "delivered",
    verdict.Kind.REFUSED: "refused",
    verdict.Kind.BUSY: "busy",
}
"""What is said of a test; of what is not here, that it failed."""

_Running = tuple[Lane, asyncio.Task[None]]


class Courier:
    """Its whole life; see `run`.

    Args:
        end: of its private pipe.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self._over: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        """Done with the grace when it is to end."""
        self._lanes: dict[str, _Running] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}
        """Of each name the last lane's that is still leaving."""
        self._changed: dict[str, None] = {}
        self._is_told = asyncio.Event()
        self._lag = lag.Lag()
        self.permits = Permits()
        self.wardrobe = Wardrobe()

    async def run(self) -> None:
        """Deliver until it is told to stop, or nobody is there any more who could."""
        self._pipe: Pipe = await open_pipe(self._end, ToCourier, heard=self._heard, lost=self._lost)
        welcome = await self._welcome
        self.key = welcome.key
        self.poster = Poster()
        try:
            async with Client(welcome.endpoint, connect_timeout_s=_CONNECT_S) as self.client:
                await self._serve()
        finally:
            await self.poster.close()
            self._pipe.close()

    async def _serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as self.tasks:
                self._pipe.send(Ready(VERSION))
                self.tasks.create_task(lag.watch(self._lag), name="lag")
                self.tasks.create_task(self._beat(), name="beat")
                self.tasks.create_task(self._report(), name="reports")
                grace_s = await self._over
                await self._drain(grace_s)
                raise _Over  # noqa: TRY301  # it ends what is left of the group
        except* _Over:
            pass

    async def _drain(self, grace_s: float) -> None:
        """Let what is under way end, if it does in time; what waits goes back when the client is left."""
        lanes = [lane.drain() for lane, _ in self._lanes.values()]
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*lanes)
        except TimeoutError:
            _log.warning("webhook_posts_cut_off", extra={"posts": self.permits.held})

    # See `lane.Ground`.

    def changed(self, lane: Lane) -> None:
        """See `lane.Ground`."""
        self._changed[lane.target.name] = None
        self._is_told.set()

    def disabled(self, lane: Lane, message: str) -> None:
        """See `lane.Ground`."""
        self._pipe.send(Disabled(lane.target.name, lane.target.url, message))

    # What the supervisor says.

    def _heard(self, frame: object) -> None:
        match frame:
            case Welcome():
                if frame.version != VERSION:
                    self._lost(f"it speaks version {frame.version}, we speak {VERSION}")
                elif not self._welcome.done():
                    self._welcome.set_result(frame)
            case Put():
                self._put(frame.target)
            case Drop():
                self._drop(frame.name)
            case Test():
                self._test(frame)
            case Stop():
                self.stop(frame.grace_s)
            case _:
                pass

    def _lost(self, why: str) -> None:
        _log.warning("supervisor_lost", extra={"text": why})
        if not self._welcome.done():
            self._welcome.set_exception(EOFError(why))
        self.stop(0.0)

    def stop(self, grace_s: float) -> None:
        """Begin to end."""
        if not self._over.done():
            self._over.set_result(grace_s)

    def _put(self, target: Target) -> None:
        if self._over.done():
            return
        lane, before = Lane(target, self), self._ending_of(target.name)
        task = self.tasks.create_task(_live(lane, before), name=f"lane {target.name}")
        self._lanes[target.name] = lane, task
        self.changed(lane)

    def _drop(self, name: str) -> None:
        self._ending_of(name)

    def _ending_of(self, name: str) -> asyncio.Task[None] | None:
        """End the lane of this name, if there is one; return what is done when all of it are gone."""
        former = self._lanes.pop(name, None)
        if former is not None:
            ending = self.tasks.create_task(_end(former, self._endings.get(name)), name=f"leave {name}")
            self._endings[name] = ending
            ending.add_done_callback(partial(self._ended, name))
        return self._endings.get(name)

    def _ended(self, name: str, ending: asyncio.Task[None]) -> None:
        if self._endings.get(name) is ending:
            del self._endings[name]

    # What it says.

    async def _beat(self) -> None:
        process = psutil.Process()
        while True:
            memory_bytes = int(process.memory_info().rss)
            self._pipe.send(Beat(self._lag.p99_s, self.permits.held, self.permits.waiting, memory_bytes))
            await asyncio.sleep(_BEAT_S)

    async def _report(self) -> None:
        """Tell of what changed, once a beat at most."""
        while True:
            await self._is_told.wait()
            self._is_told.clear()
            names, self._changed = [*self._changed], {}
            lanes = [self._lanes[name][0] for name in names if name in self._lanes]
            for start in range(0, len(lanes), _REPORTS_AT_ONCE):
                self._pipe.send(Reports([lane.report() for lane in lanes[start : start + _REPORTS_AT_ONCE]]))
            await asyncio.sleep(_BEAT_S)

    # Tests.

    def _test(self, frame: Test) -> None:
        if not self._over.done():
            self.tasks.create_task(self._answer_test(frame), name=f"test {frame.target.name}")

    async def _answer_test(self, frame: Test) -> None:
        try:
            tested = await self._tested(frame)
        except TimeoutError:
            text = f"as many posts are under way as may be, for {_TEST_WAIT_S:g} s now"
            tested = Tested(frame.id, "busy", text, None, _TEST_WAIT_S, retry_after_s=_TEST_WAIT_S)
        except Exception:  # noqa: BLE001  # the edge of a task: whatever a target thinks of, others live on
            _log.exception("webhook_test_failed", extra={"webhook": frame.target.name})
            tested = Tested(frame.id, "failed", "a bug: see the log", None, 0.0)
        self._pipe.send(tested)

    async def _tested(self, frame: Test) -> Tested:
        target, loop = frame.target, asyncio.get_running_loop()
        body, headers = Wardrobe().tailor(target)([_made_up(target, frame.id)])
        async with (
            asyncio.timeout(_TEST_WAIT_S) as patience,
            self.permits.one(target.name, is_proven=False),
        ):
            patience.reschedule(None)  # from now on the post has its own bounds
            began = loop.time()
            outcome: Answer | PostError
            try:
                outcome = await self.poster.post(target, body, headers)
            except PostError as exc:
                outcome = exc
        found = verdict.of(outcome, now=time.time())
        return Tested(
            frame.id,
            _TOLD.get(found.kind, "failed"),
            found.reason,
            outcome.status if isinstance(outcome, Answer) else None,
            loop.time() - began,
            retry_after_s=found.wait_s,
        )


class _Over(Exception):
    """It ends."""


async def _live(lane: Lane, before: asyncio.Task[None] | None) -> None:
    """Run a lane, once those of its name are gone: a chat has one post under way, a name one reader."""
    if before is not None:
        await asyncio.wait([before])
    await lane.run()


async def _end(running: _Running, before: asyncio.Task[None] | None) -> None:
    """Return when a lane is gone, and the one before, for which it may have waited."""
    lane, task = running
    task.cancel()
    await asyncio.wait([task])
    await lane.left()
    if before is not None:
        await asyncio.wait([before])


def _made_up(target: Target, number: int) -> Event:
    now = time.time()
    return Event(
        id=f"test-{number}-{now:.0f}",
        type="webhook.test",
        time=now,
        recv_time=now,
        tenant=target.tenant or "default",
        account=target.accounts[0] if target.accounts else "test",
        platform="longwire",
        text="a test of this webhook",
    )
