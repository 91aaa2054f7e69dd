"""A template as the supervisor sees it: a process from which children are forked."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from longwire import procfs
from longwire.childlog import ChildLog
from longwire.evidence import progress_s
from longwire.interpreter import environment_for, install_hint, program_of, protocol_mismatch
from longwire.logger import get_logger
from longwire.process import Endowment, Process, spawn
from longwire.status import TemplateStatus
from longwire_protocol.forking import (
    MAX_MESSAGE_BYTES,
    Fork,
    Forked,
    FromTemplate,
    NotForked,
    Reap,
    Reaped,
    Stamp,
    Unfit,
    Warm,
    memory_of,
    stamp_of,
)
from longwire_protocol.redaction import Redactor
from longwire_protocol.version import CHILD_PROTOCOL

_log = get_logger("longwire.templates")

_WARM_S, _LEAST_WARM_S = 60.0, 5.0
"""How long a template may import, in time of its own progress as a child (`start_timeout_s`); and how long it
is let be at least when that was too little."""

_FORK_S = 10.0
"""How long a template may take for one fork; one that is stopped or starved is then done without."""

_REAP_S = 1.0
"""How long a template may take to wait for a child that has ended."""

_GONE_S = 1.0
"""How long a template may take to die of a SIGKILL."""

_REFUSED_S = 60.0
"""How long children are fresh processes after a template was unfit, before another one is tried."""

_MOST_GROWTH_BYTES = 32 * 1024 * 1024
"""Memory that a template may make its own while it forks, as a connector's fork handlers may. It does nothing
else, so it does not grow; what it has beyond this, each new child would have, too."""

_TEMPLATE = ("-P", "-m", "longwire_connectors.template")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder[FromTemplate](FromTemplate).decode


class Kind(NamedTuple):
    """What children of one template have in common."""

    connector: str
    python: str | None
    """The interpreter that runs it; `None` for our own."""


class TemplateUnfit(Exception):
    """Nothing can be forked from it, now or ever."""


class Template:
    """One template process.

    Args:
        kind: what it imports, and with which interpreter.
        environment: what its environment, and so its children's, is taken from.
        on_end: told once when its process is gone.

    Raises:
        OSError: the system cannot start it now.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        environment: Mapping[str, str],
        on_end: Callable[[Template], None],
    ) -> None:
        self.kind = kind
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._ids = itertools.count(1)
        self._warm: asyncio.Future[Warm] = self._loop.create_future()
        self._warm.add_done_callback(_seen)
        self._forks: dict[int, asyncio.Future[tuple[int, int]]] = {}
        self._reaps: dict[int, Callable[[int | None], None]] = {}
        self._children = 0
        self._is_retired = self._is_gone = self._has_forked = False
        self._unsent: deque[bytes] = deque()
        """At most one message for each child."""
        self._ended = asyncio.Event()
        self._stamps: dict[str, Stamp] = {}
        self._warm_bytes = 0
        self._why_retired: str | None = None
        self.refusal: str | None = None
        """Why nothing can be forked from it."""
        self.refused_until = 0.0
        """When another one may be tried, on the loop's clock."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            self._process = spawn(
                lambda fd: [
                    program_of(kind.python),
                    *_TEMPLATE,
                    str(fd),
                    str(theirs.fileno()),
                    kind.connector,
                ],
                environment=environment_for(kind.python, environment),
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
        self._logs = ChildLog(self._process.log_fd, redact=Redactor([]), context={"template": kind.connector})
        self._began = self._loop.time()
        self._deadline = self._loop.call_later(_WARM_S, self._look_at_start)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether a new child may be asked of it."""
        return not (self._is_retired or self._is_gone) and self.refusal is None

    def wear(self) -> str | None:
        """Return why another one should take its place, if one should; asks the disk."""
        for path, stamp in self._stamps.items():
            if stamp_of(path) != stamp:
                return f"{path} was replaced"
        own_bytes = memory_of(self.pid).own_bytes
        if not self._warm.done() or own_bytes - self._warm_bytes <= _MOST_GROWTH_BYTES:
            return None
        return f"it has grown from {_in_mib(self._warm_bytes)} to {_in_mib(own_bytes)} MiB of its own"

    async def warmed(self) -> None:
        """Wait until children can be forked from it.

        Raises:
            TemplateUnfit: nothing can be forked from it.
        """
        await asyncio.shield(self._warm)

    async def fork(
        self, lock_fd: int, *, bootstrap_fd: int, on_exit: Callable[[int | None], None]
    ) -> Process:
        """Return a child that waits for its bootstrap; only after `warmed`.

        Cancelled, it leaves nothing behind: a child ends when nobody holds the other end of its private pipe.

        Args:
            lock_fd: which the child is to hold as long as it lives; owned by this call.
            bootstrap_fd: from which it reads that; the caller's to close.
            on_exit: see `Process`.

        Raises:
            TemplateUnfit: nothing can be forked from it.
            OSError: the system cannot make a process now.
        """
        endowment = Endowment(lock_fd)
        number = next(self._ids)
        forked = self._forks[number] = self._loop.create_future()
        try:
            self._ask(number, endowment.theirs, endowment.log_end, lock_fd, bootstrap_fd)
            pid, pidfd = await self._answer(forked)
        except BaseException:
            endowment.close()
            if not forked.done():
                forked.cancel()
            elif not forked.cancelled() and forked.exception() is None:
                self._abandoned(number, forked.result()[1])
            raise
        finally:
            self._forks.pop(number, None)
            endowment.hand_over()
        return Process(
            pid,
            pidfd,
            endowment,
            reap=partial(self._reap, number),
            on_exit=on_exit,
            template_pid=self.pid,
        )

    async def _answer(self, forked: asyncio.Future[tuple[int, int]]) -> tuple[int, int]:
        """Return the child's number and pidfd. Raises TemplateUnfit, OSError."""
        await asyncio.wait([forked], timeout=_FORK_S)
        if not forked.done():
            self._readable()  # what took so long may have been we
        if forked.done():
            return forked.result()
        self._refuse(f"no child within {_FORK_S:g} s")
        await self.ended()  # and with it the lock that is on its way there
        raise TemplateUnfit(f"no child within {_FORK_S:g} s")

    def retire(self, why: str | None) -> None:
        """Fork nothing more; the process ends with the last of its children."""
        self._is_retired = True
        self._why_retired = why
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

    def status(self) -> TemplateStatus:
        """Return what is known of it now."""
        is_there = not self._ended.is_set()  # else its number may be somebody else's
        return TemplateStatus(
            connector=self.kind.connector,
            python=self.kind.python,
            pid=self.pid if is_there else None,
            state=self._state(),
            children=self._children,
            reason=self.refusal or self._why_retired,
            rss_bytes=(memory_of(self.pid).rss_bytes or None) if is_there else None,
        )

    def _state(self) -> Literal["warming", "ready", "retired", "unfit"]:
        if self.refusal is not None:
            return "unfit"
        if self._is_retired or self._is_gone:
            return "retired"
        return "ready" if self._warm.done() else "warming"

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
            try:
                message = _decode(data)
            except msgspec.MsgspecError as exc:  # of an interpreter with another release
                for fd in fds:
                    os.close(fd)
                self._refuse(f"it says what we do not understand: {exc}{install_hint(self.kind.python)}")
            else:
                self._hear(message, fds)

    def _hear(self, message: FromTemplate, fds: list[int]) -> None:
        match message:
            case Warm():
                self._deadline.cancel()
                if message.protocol != CHILD_PROTOCOL:
                    self._refuse(protocol_mismatch(message.protocol, self.kind.python))
                elif not self._warm.done():
                    self._stamps, self._warm_bytes = message.sources, message.own_bytes
                    self._warm.set_result(message)
            case Unfit():
                self._refuse(message.reason)
            case Forked():
                self._has_forked = True
                self._children += 1
                self._forked(message, fds)
            case NotForked():
                forked = self._forks.get(message.id)
                if forked is not None and not forked.done():
                    forked.set_exception(OSError(message.reason))
            case Reaped():
                self._children -= 1
                done = self._reaps.pop(message.id, None)
                if done is not None:
                    done(message.code)
                self._end_if_idle()

    def _ask(self, number: int, *fds: int) -> None:
        """Ask for a child with these descriptors: now or not at all, as they are closed here in a moment."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))]
        try:
            self._socket.sendmsg([_encode(Fork(number))], rights)
        except OSError as exc:
            raise TemplateUnfit(f"it does not read: {exc}") from exc

    def _reap(self, number: int, done: Callable[[int | None], None]) -> None:
        if self._is_gone:
            done(None)
            return
        self._reaps[number] = done
        self._unsent.append(_encode(Reap(number)))
        self._flush()
        self._loop.call_later(_REAP_S, self._overdue, number)

    def _overdue(self, number: int) -> None:
        """Wait no longer for how a child ended: that it has ended is known."""
        self._readable()  # what took so long may have been we
        done = self._reaps.pop(number, None)
        if done is not None:
            self._refuse(f"it did not wait for a child within {_REAP_S:g} s", pause_s=0.0)
            done(None)

    def _flush(self) -> None:
        """Send what waits; a template that is stopped takes hundreds of messages, and then none."""
        while self._unsent and not self._is_gone:
            try:
                self._socket.send(self._unsent[0])
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._flush)
                return
            except OSError:  # it is gone, as `_readable` will see
                break
            self._unsent.popleft()
        if not self._is_gone:
            self._loop.remove_writer(self._socket.fileno())

    def _abandoned(self, number: int, pidfd: int) -> None:
        """Nobody wants this child any more; it ends, as its private pipe is closed."""

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
            self._loop.call_soon(self._reap, message.id, _ignore)  # it ends, as its private pipe is closed

    # Its end.

    def _look_at_start(self) -> None:
        """Refuse one that did not get ready in time, unless what it lacked was a CPU."""
        left_s = _WARM_S - progress_s(self._loop.time() - self._began, procfs.read(self.pid))
        if left_s > 0:
            self._deadline = self._loop.call_later(max(left_s, _LEAST_WARM_S), self._look_at_start)
        else:
            self._refuse(f"not ready within {_WARM_S:g} s")

    def _refuse(self, reason: str, *, pause_s: float = _REFUSED_S) -> None:
        if self.refusal is None:
            self.refusal, self.refused_until = reason, self._loop.time() + pause_s
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
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        if not self._warm.done():
            self._refuse("it ended while it imported; its log tells why")
        elif self._forks and not self._has_forked:
            self._refuse("it ended when it was to fork; its log tells why")
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
        level("template_exited", **self.kind._asdict(), code=code)
        self._ended.set()
        self._on_end(self)


def _ignore(_: int | None) -> None:
    """Nobody wants to know how it ended."""


def _seen(future: asyncio.Future[Warm]) -> None:
    """Have nobody complain about a refusal that nobody waited for."""
    if not future.cancelled():
        future.exception()


def _in_mib(size_bytes: int) -> str:
    return f"{size_bytes / 1024 / 1024:.0f}"
