"""The simulators of both platforms on one loopback port."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import web

from longwire_connectors.simulator.admin import Admin, end_links, refuse_precisely
from longwire_connectors.simulator.admin_models import Drop
from longwire_connectors.simulator.answers import MAX_BODY_BYTES
from longwire_connectors.simulator.clock import Clock
from longwire_connectors.simulator.diary import Diary
from longwire_connectors.simulator.dingtalk import DingTalk
from longwire_connectors.simulator.faults import FaultBook
from longwire_connectors.simulator.lark import Lark
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.timings import Timings

__all__ = ["Simulator", "run"]

LOOPBACK = "127.0.0.1"
BACKLOG = 1_024
"""Connections that may wait to be accepted: a thousand accounts start together."""
SHUTDOWN_S = 1.0
"""How long requests under way may take when the simulator stops; the WebSockets are closed before."""


class Simulator:
    """Lark and DingTalk on ``http://127.0.0.1:PORT``, while its context is open.

    ``port=0`` takes a free one. ``time_scale`` divides the platforms' long waits (``Timings.scaled`` names
    them). ``strict=True`` knows only apps registered through the admin plane; else an unknown app is trusted
    with the secret it brings first. Leaving the context closes every WebSocket with code 1000. ``OSError``
    when the port is taken, ``ValueError`` for a time scale that is not positive. If a task inside fails, the
    context is cancelled and raises an ExceptionGroup.
    """

    def __init__(self, *, port: int = 0, time_scale: float = 1.0, strict: bool = False) -> None:
        self._wanted_port = port
        self._timings = Timings().scaled(time_scale)
        self._is_strict = strict
        self._port = 0
        self._exit = AsyncExitStack()

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the context is entered."""
        return self._port

    @property
    def url(self) -> str:
        """The base of every URL: Lark's ``domain``, DingTalk's ``api_base``, and the admin plane's."""
        return f"http://{LOOPBACK}:{self._port}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(_listen(self._wanted_port))
            self._port = int(listener.getsockname()[1])
            await self._serve(stack, listener)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._exit.__aexit__(kind, error, traceback)

    async def _serve(self, stack: AsyncExitStack, listener: socket.socket) -> None:
        clock, faults, diary, host = Clock(), FaultBook(), Diary(), f"{LOOPBACK}:{self._port}"
        lark = Lark(
            host=host,
            clock=clock,
            timings=self._timings,
            faults=faults,
            diary=diary,
            is_strict=self._is_strict,
        )
        dingtalk = DingTalk(
            host=host,
            clock=clock,
            timings=self._timings,
            faults=faults,
            diary=diary,
            is_strict=self._is_strict,
        )
        admin = Admin(lark=lark, dingtalk=dingtalk, faults=faults, diary=diary, clock=clock)
        platforms = [lark.platform, dingtalk.platform]
        await _start_pumps(stack, platforms)
        app = web.Application(middlewares=[refuse_precisely], client_max_size=MAX_BODY_BYTES)
        app.add_routes([*admin.routes(), *lark.routes(), *dingtalk.routes()])
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(_stop, platforms)
        await web.SockSite(runner, listener, backlog=BACKLOG).start()


async def run(
    port: int, *, announce: Callable[[str], None], time_scale: float = 1.0, strict: bool = False
) -> None:
    """Serve until cancelled; ``announce`` gets the URL once it listens. Parameters as of Simulator."""
    async with Simulator(port=port, time_scale=time_scale, strict=strict) as simulator:
        announce(simulator.url)
        await asyncio.get_running_loop().create_future()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
    except BaseException:
        listener.close()
        raise
    return listener


async def _start_pumps(stack: AsyncExitStack, platforms: list[Platform]) -> None:
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    for platform in platforms:
        pump = tasks.create_task(platform.pump(), name=f"{platform.name} pump")
        stack.callback(pump.cancel)


async def _stop(platforms: list[Platform]) -> None:
    """End what hangs on purpose and close every WebSocket properly."""
    for platform in platforms:
        platform.stopping.set()
    links = [link for platform in platforms for link in platform.links()]
    await end_links(links, how=Drop(platform="lark"))
