"""A process from which children are forked: `python -P -m longwire_connectors.template LIFELINE SOCKET NAME`.

It imports a connector with its SDK and all that connecting touches, and then does nothing but fork: no loop,
no thread, no socket but the supervisor's, no ZeroMQ context, nothing of any account. What it imported is
frozen, so that the collector of a child does not write to the pages it shares with all others (14 MiB a child
instead of 107 after full collections). It waits for its children, too, each when the supervisor says so: its
number is free for others only then, and until then the supervisor may signal it.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import socket
import sys
import time
from array import array
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from longwire_connectors import lifeline, stacks
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
    memory_of,
    stamp_of,
)
from longwire_protocol.lifeline import tie
from longwire_protocol.version import CHILD_PROTOCOL

if TYPE_CHECKING:
    from longwire_connectors.base import Connector

_log = logging.getLogger("longwire.template")

_LIFELINE_FD, _LOCK_FD, _BOOTSTRAP_FD, _FIRST_FREE_FD = 3, 4, 5, 6
_PASSED_FDS = 4
_OUT_OF_THE_WAY = 16
_STDOUT_FD, _STDERR_FD = 1, 2

_BEGAN_NS = time.time_ns()

_THREADS_END_S, _LOOK_S = 1.0, 0.005
"""How long threads of an import or a rehearsal that is over may take to end."""

_kept: list[object] = []
"""Fills the holes in our memory; see `holes`."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder[ToTemplate](ToTemplate).decode


def main() -> None:
    """Be a template; in each child, live that child's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a host may have blocked what our stop ladder sends
    lifeline_fd, socket_fd, connector = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    lifeline.arm(lifeline_fd)
    stacks.arm()
    template = Template(socket.socket(fileno=socket_fd))
    if not template.warm_up(connector):
        sys.exit(os.EX_SOFTWARE)
    if template.serve():
        from longwire_connectors import life  # noqa: PLC0415  imported long ago, by `warm_up`

        bootstrap = lifeline.receive(_BOOTSTRAP_FD, lifeline_fd=_LIFELINE_FD)
        lifeline.arm(_LIFELINE_FD)
        life.live(bootstrap)


class Template:
    """The template's end of the socket, and its children."""

    def __init__(self, supervisor: socket.socket) -> None:
        self._supervisor = supervisor
        self._pids: dict[int, int] = {}
        """Of the children that nobody waited for yet."""

    def warm_up(self, connector: str) -> bool:
        """Import everything and freeze it; tell the supervisor whether children can be forked from this."""
        try:
            sources = _prepare(connector)
        except Exception as exc:  # noqa: BLE001  # foreign code; its error is the answer
            self._tell(Unfit(f"{type(exc).__name__}: {exc}"))
            return False
        self._tell(Warm(CHILD_PROTOCOL, sources, memory_of("self").own_bytes))
        return True

    def serve(self) -> bool:
        """Fork and wait as the supervisor says until it is gone; true in a child, which keeps none of it."""
        while True:
            data, fds, _, _ = socket.recv_fds(self._supervisor, MAX_MESSAGE_BYTES, _PASSED_FDS)
            if not data:
                return False
            message: ToTemplate = _decode(data)
            match message:
                case Fork():
                    if self._fork(message.id, *fds):
                        return True
                case Reap():
                    self._reap(message.id)

    def _fork(self, number: int, lifeline_fd: int, log_fd: int, *kept: int) -> bool:
        pid: int | None = None
        try:
            pid = os.fork()
            if pid:
                tie(lifeline_fd, pid)  # it may be stopped before it does so itself
        except OSError as exc:
            self._tell(NotForked(number, str(exc)))
        finally:
            if pid != 0:  # or the account's lock would be ours for ever
                for fd in (lifeline_fd, log_fd, *kept):
                    os.close(fd)
        if pid == 0:
            self._become_child(log_fd, lifeline_fd, *kept)
        elif pid is not None:
            self._pids[number] = pid
            pidfd = os.pidfd_open(pid)
            try:
                self._tell(Forked(number, pid), pidfd)
            finally:
                os.close(pidfd)
        return pid == 0

    def _become_child(self, log_fd: int, *own: int) -> None:
        """Have a session of its own, its own output, and no descriptor but what is its own alone."""
        tie(own[0], os.getpid())  # before it leaves the template's group, which dies with the supervisor, too
        os.setsid()
        os.dup2(log_fd, _STDOUT_FD)
        os.dup2(log_fd, _STDERR_FD)
        self._supervisor.detach()
        self._pids.clear()
        spare = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for fd in own]
        for to, fd in zip((_LIFELINE_FD, _LOCK_FD, _BOOTSTRAP_FD), spare, strict=True):
            os.dup2(fd, to, inheritable=False)
        os.closerange(_FIRST_FREE_FD, os.sysconf("SC_OPEN_MAX"))
        stacks.arm()

    def _reap(self, number: int) -> None:
        pid = self._pids.pop(number, None)
        if pid is not None:
            _, status = os.waitpid(pid, 0)  # it is a zombie: the supervisor saw its pidfd end
            self._tell(Reaped(number, os.waitstatus_to_exitcode(status)))

    def _tell(self, message: FromTemplate, *fds: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        with suppress(BrokenPipeError, ConnectionResetError):  # it is gone, and so are we in a moment
            self._supervisor.sendmsg([_encode(message)], rights)


def _prepare(connector: str) -> dict[str, Stamp]:
    """Import what a child of this connector needs; return the files that tell of an upgrade.

    Raises:
        RuntimeError: something that was imported keeps a thread or a descriptor, which no fork may share.
    """
    from setproctitle import setproctitle  # noqa: PLC0415  only an armed process may take its time

    from longwire_connectors import childlog, holes, life  # noqa: PLC0415

    childlog.configure(level="info", secrets=[])  # what goes wrong in an import is to be told as such
    setproctitle(f"longwire: template ({connector})")
    before = _descriptors()
    found = life.find_connector(connector)
    found.preload()
    _rehearse(found)
    threads = _threads()
    if threads > 1:
        raise RuntimeError(f"importing it started {threads - 1} threads")
    if kept := _descriptors() - before:
        raise RuntimeError(f"importing it opened {', '.join(sorted(kept))} and did not close it")
    gc.unfreeze()  # a child freezes what it has imported, and so did those of the rehearsal
    gc.collect()
    _kept.extend(holes.fill())
    gc.freeze()
    return _sources()


def _rehearse(connector: type[Connector]) -> None:
    from longwire_connectors import rehearsal  # noqa: PLC0415  only an armed process may take its time

    try:
        rehearsal.rehearse(connector)
    except Exception:  # noqa: BLE001  its children only cost more
        _log.warning("rehearsal_failed", exc_info=True)


def _threads() -> int:
    """Return how many threads there are, once those that are just ending have ended."""
    ends_at = time.monotonic() + _THREADS_END_S
    while (count := len(list(Path("/proc/self/task").iterdir()))) > 1 and time.monotonic() < ends_at:
        time.sleep(_LOOK_S)
    return count


def _descriptors() -> set[str]:
    found: set[str] = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one by which they are listed
            found.add(f"{link.name} ({link.readlink()})")
    return found


def _sources() -> dict[str, Stamp]:
    """Return a file of each package that was imported and is not Python's own: an upgrade writes it anew.

    Of one that was written since this process began nobody knows which version was imported; it has no stamp.
    """
    packages = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
    specs: list[ModuleSpec | None] = [getattr(sys.modules.get(name), "__spec__", None) for name in packages]
    origins = {spec.origin for spec in specs if spec is not None and spec.has_location}
    stamps = {origin: stamp_of(origin) for origin in origins if origin is not None}
    return {path: None if stamp and stamp[1] > _BEGAN_NS else stamp for path, stamp in stamps.items()}


if __name__ == "__main__":
    try:
        main()
    except EOFError as exc:
        sys.exit(str(exc))
