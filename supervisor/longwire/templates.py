"""Templates as the supervisor sees them: processes from which children are forked.

There is one for each connector, started when it is first needed. One that has died, or whose files were
upgraded, is replaced; the old one lives on, for nothing but to wait for its children, until the last of them
has exited. Where none can be had, the children are fresh processes, and that is said loudly: it costs seconds
and up to 150 megabytes each.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import structlog

from longwire.childlog import ChildLog
from longwire.lock import lock_account, lock_successor
from longwire.process import Endowment, Process, spawn
from longwire_protocol.forking import (
    MAX_MESSAGE_BYTES,
    Fork,
    Forked,
    FromTemplate,
    NotForked,
    Reap,
    Reaped,
    Stamp,
    ToTemplate,
    Unfit,
    Warm,
    stamp_of,
)
from longwire_protocol.redaction import Redactor
from longwire_protocol.version import CHILD_PROTOCOL

_log = structlog.get_logger("longwire.templates")

_WARM_S = 60.0
"""How long a template may import: as long as a child (`child.py`)."""

_FORK_S = 10.0
"""How long a template may take for one fork; one that is stopped or starved is then done without."""

_GONE_S = 1.0
"""How long a template may take to die of a SIGKILL."""

_REFUSED_S = 60.0
"""How long children are fresh processes after a template was unfit, before another one is tried."""

_CAN_FORK = sys.platform == "linux"
"""macOS has no pidfds, and its own libraries must not be used behind a fork."""

_COMMAND = (sys.executable, "-P", "-m", "longwire_connectors.template")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder[FromTemplate](FromTemplate).decode


class TemplateUnfit(Exception):
    """Nothing can be forked from it, now or ever."""


class Template:
    """One template process.

    Args:
        connector: what it imports.
        environment: all of its environment, and so of its children's.
        on_end: told once when its process is gone.

    Raises:
        OSError: the system cannot start it now.
    """

    def __init__(
        self,
        connector: str,
        *,
        environment: Mapping[str, str],
        on_end: Callable[[Template], None],
    ) -> None:
        self.connector = connector
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._ids = itertools.count(1)
        self._warm: asyncio.Future[Warm] = self._loop.create_future()
        self._warm.add_done_callback(_seen)
        self._forks: dict[int, asyncio.Future[tuple[int, int]]] = {}
        self._reaps: dict[int, Callable[[int | None], None]] = {}
        self._children = 0
        self._is_retired = self._is_gone = False
        self._ended = asyncio.Event()
        self._stamps: dict[str, Stamp] = {}
        self.refusal: str | None = None
        """Why nothing can be forked from it."""
        self.refused_until = 0.0
        """When another one may be tried, on the loop's clock."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            self._process = spawn(
                lambda fd: [*_COMMAND, str(fd), str(theirs.fileno()), connector],
                environment=environment,
                on_exit=self._exited,
                pass_fds=(theirs.fileno(),),
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self._loop.add_reader(ours.fileno(), self._readable)
        self._logs = ChildLog(self._process.log_fd, redact=Redactor([]), context={"template": connector})
        self._deadline = self._loop.call_later(_WARM_S, self._refuse, f"not ready within {_WARM_S:g} s")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether a new child may be asked of it."""
        return not (self._is_retired or self._is_gone) and self.refusal is None

    def is_outdated(self) -> bool:
        """Return whether something that it imported was replaced on disk since; asks the disk."""
        return any(stamp_of(path) != stamp for path, stamp in self._stamps.items())

    async def warmed(self) -> None:
        """Wait until children can be forked from it.

        Raises:
            TemplateUnfit: nothing can be forked from it.
        """
        await asyncio.shield(self._warm)

    async def fork(self, lock_fd: int, *, on_exit: Callable[[int | None], None]) -> Process:
        """Return a child that waits for its bootstrap; only after `warmed`.

        Cancelled, it leaves nothing behind: a child without a bootstrap ends by itself.

        Args:
            lock_fd: which the child is to hold as long as it lives; owned by this call.
            on_exit: see `Process`.

        Raises:
            TemplateUnfit: nothing can be forked from it.
            OSError: the system cannot make a process now.
        """
        endowment = Endowment(lock_fd)
        number = next(self._ids)
        forked = self._forks[number] = self._loop.create_future()
        try:
            self._send(Fork(number), endowment.theirs, endowment.log_end, lock_fd)
            async with asyncio.timeout(_FORK_S):
                pid, pidfd = await forked
        except TimeoutError as exc:
            endowment.close()
            self._refuse(f"no child within {_FORK_S:g} s")
            await self.ended()  # and with it the lock that is on its way there
            raise TemplateUnfit(f"no child within {_FORK_S:g} s") from exc
        except BaseException:
            endowment.close()
            if forked.done() and not forked.cancelled() and forked.exception() is None:
                self._abandoned(number, forked.result()[1])
            raise
        finally:
            self._forks.pop(number, None)
            endowment.hand_over()
        return Process(pid, pidfd, endowment, reap=partial(self._reap, number), on_exit=on_exit)

    def retire(self) -> None:
        """Fork nothing more; the process ends with the last of its children."""
        self._is_retired = True
        self._end_if_idle()

    def close(self) -> None:
        """End it now; its children live on."""
        self._is_retired = True
        self._process.let_go()

    async def ended(self) -> None:
        """Wait until it is gone after `close`, but not for longer than a SIGKILL takes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GONE_S):
                await self._ended.wait()

    # What it says.

    def _readable(self) -> None:
        while not self._is_gone:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, MAX_MESSAGE_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._lost()
                return
            self._hear(_decode(data), fds)

    def _hear(self, message: FromTemplate, fds: list[int]) -> None:
        match message:
            case Warm():
                self._deadline.cancel()
                if message.protocol != CHILD_PROTOCOL:
                    self._refuse(
                        f"it speaks version {message.protocol}, we speak {CHILD_PROTOCOL}: restart us"
                    )
                elif not self._warm.done():
                    self._stamps = message.sources
                    self._warm.set_result(message)
            case Unfit():
                self._refuse(message.reason)
            case Forked():
                self._children += 1
                self._forked(message, fds)
            case NotForked():
                forked = self._forks.get(message.id)
                if forked is not None and not forked.done():
                    forked.set_exception(OSError(message.reason))
            case Reaped():
                self._children -= 1
                self._reaps.pop(message.id)(message.code)
                self._end_if_idle()

    def _send(self, message: ToTemplate, *fds: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([_encode(message)], rights)
        except OSError as exc:
            raise TemplateUnfit(f"it does not read: {exc}") from exc

    def _reap(self, number: int, done: Callable[[int | None], None]) -> None:
        if self._is_gone:
            done(None)
            return
        self._reaps[number] = done
        try:
            self._send(Reap(number))
        except TemplateUnfit:  # stopped, with hundreds of messages before this one
            del self._reaps[number]
            done(None)

    def _abandoned(self, number: int, pidfd: int) -> None:
        """Nobody wants this child any more; it ends by itself, as its private pipe is closed."""

        def exited() -> None:
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
            self._reap(number, _ignore)

        self._loop.add_reader(pidfd, exited)

    def _forked(self, message: Forked, fds: list[int]) -> None:
        asked = self._forks.get(message.id)
        is_wanted = asked is not None and not asked.done()
        for fd in fds:
            os.set_inheritable(fd, False)
        if fds and asked is not None and is_wanted:
            asked.set_result((message.pid, fds[0]))
        elif fds:
            self._abandoned(message.id, fds[0])
        else:
            if asked is not None and is_wanted:
                asked.set_exception(OSError("there are no descriptors left"))
            self._loop.call_soon(self._reap, message.id, _ignore)  # it ends by itself, without a bootstrap

    # Its end.

    def _refuse(self, reason: str) -> None:
        if self.refusal is None:
            self.refusal, self.refused_until = reason, self._loop.time() + _REFUSED_S
        if not self._warm.done():
            self._warm.set_exception(TemplateUnfit(reason))
        self.close()

    def _end_if_idle(self) -> None:
        if self._is_retired and not self._children and not self._forks:
            self.close()

    def _lost(self) -> None:
        """Its end of the socket is closed: it is gone, or about to be."""
        self._is_gone = True
        self._deadline.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if not self._warm.done():
            self._refuse("it ended while it imported; its log tells why")
        for forked in self._forks.values():
            if not forked.done():
                forked.set_exception(TemplateUnfit("it ended"))
        reaps, self._reaps = self._reaps, {}
        for done in reaps.values():
            done(None)
        self._process.let_go()

    def _exited(self, code: int | None) -> None:
        self._readable()
        if not self._is_gone:
            self._lost()
        self._logs.close()
        level = _log.info if self._is_retired else _log.error
        level("template_exited", connector=self.connector, code=code)
        self._ended.set()
        self._on_end(self)


class Nursery:
    """Makes children: forked from their connector's template where that is wanted and possible.

    Args:
        environment: all of theirs.
        locks: a folder of ours for the locks of the accounts.
    """

    def __init__(self, environment: Mapping[str, str], *, locks: Path) -> None:
        self._environment = environment
        self._locks = locks
        self._loop = asyncio.get_running_loop()
        self._templates: dict[str, Template] = {}
        self._alive: set[Template] = set()

    async def make(
        self,
        account: str,
        connector: str,
        *,
        is_forked: bool,
        is_successor: bool = False,
        on_exit: Callable[[int | None], None],
    ) -> Process:
        """Return a child that waits for its bootstrap.

        Args:
            account: whose lock it is to hold.
            connector: what it will run.
            is_forked: whether from the connector's template.
            is_successor: whether one process of the account may be there, and one alone.
            on_exit: see `Process`.

        Raises:
            OSError: the system cannot make a process now, or one of the account is still there.
        """
        if is_forked and _CAN_FORK:
            try:
                template = await self._template(connector)
                await template.warmed()
                return await template.fork(self._lock(account, is_successor=is_successor), on_exit=on_exit)
            except TemplateUnfit as exc:
                _log.error("template_unfit", connector=connector, text=str(exc), used="a fresh process")
        lock_fd = self._lock(account, is_successor=is_successor)
        return spawn(
            lambda fd: [sys.executable, "-P", "-m", "longwire_connectors", str(fd), str(lock_fd)],
            environment=self._environment,
            on_exit=on_exit,
            lock_fd=lock_fd,
        )

    def _lock(self, account: str, *, is_successor: bool) -> int:
        return (lock_successor if is_successor else lock_account)(self._locks, account)

    async def close(self) -> None:
        """End all templates, and wait until they are gone."""
        alive = tuple(self._alive)
        for template in alive:
            template.close()
        await asyncio.gather(*(template.ended() for template in alive))

    async def _template(self, connector: str) -> Template:
        """Return the connector's template, another one where the present one is of no use any more."""
        template = self._templates.get(connector)
        if template is not None and template.is_usable:
            is_outdated = await asyncio.to_thread(template.is_outdated)
            if not is_outdated and template.is_usable:
                return template
        if self._templates.get(connector) is not template:
            return self._templates[connector]  # somebody else has replaced it meanwhile
        if template is not None:
            if template.refusal is not None and self._loop.time() < template.refused_until:
                raise TemplateUnfit(template.refusal)
            _log.info("template_replaced", connector=connector, pid=template.pid)
            template.retire()
        template = self._templates[connector] = Template(
            connector, environment=self._environment, on_end=self._alive.discard
        )
        self._alive.add(template)
        return template


def _ignore(_: int | None) -> None:
    """Nobody wants to know how it ended."""


def _seen(future: asyncio.Future[Warm]) -> None:
    """Have nobody complain about a refusal that nobody waited for."""
    if not future.cancelled():
        future.exception()
