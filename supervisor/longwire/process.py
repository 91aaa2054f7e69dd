"""One process of ours: addressed by pidfd, in a session of its own, dead when the supervisor is.

A session of its own, because honcho signals whole process groups; a private pipe, because its closing is the
process's death (see `longwire_protocol.lifeline`). Who waits for it differs: we do for those we started, a
template for those it forked. `waitpid(-1)` is never used: an embedding host's children are not ours.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress

from longwire_protocol.lifeline import tie

_PROCESS_GROUP = 1 << 2
"""`PIDFD_SIGNAL_PROCESS_GROUP` of Linux 6.9."""

Reap = Callable[[Callable[[int | None], None]], None]
"""Has a process that has exited waited for; calls back with its exit code, `None` if nobody can tell."""


class Lifeline:
    """The write end of a process's private pipe. While it is open, the process may live."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd
        _lifelines.add(self)

    def close(self) -> None:
        """Let go: whoever still holds the other end dies."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


_lifelines: weakref.WeakSet[Lifeline] = weakref.WeakSet()
_locks: set[int] = set()


def _let_go_in_fork() -> None:
    """A fork of an embedding host must not keep our children alive, nor take their place."""
    for lifeline in list(_lifelines):
        lifeline.close()
    for fd in _locks:
        os.close(fd)
    _locks.clear()


os.register_at_fork(after_in_child=_let_go_in_fork)


def keep_from_forks(lock_fd: int) -> None:
    """Have a fork of an embedding host close this lock, which would outlive us there; until `release`."""
    _locks.add(lock_fd)


def release(lock_fd: int) -> None:
    """Close a lock that was kept from forks."""
    _locks.discard(lock_fd)
    os.close(lock_fd)


class Endowment:
    """What a process to be gets of us: a private pipe, one into which it prints, and perhaps a lock.

    Args:
        lock_fd: a lock that it is to hold as long as it lives; owned by this object.

    Raises:
        OSError: there are no descriptors left.
    """

    def __init__(self, lock_fd: int | None = None) -> None:
        self._lock_fd = lock_fd
        for fd in self.locks:
            keep_from_forks(fd)
        with ExitStack() as undo:
            undo.callback(self._let_go_of_lock)
            self.theirs, ours = os.pipe()
            undo.callback(os.close, self.theirs)
            self.lifeline = Lifeline(ours)
            undo.callback(self.lifeline.close)
            self.log_fd, self.log_end = os.pipe()
            undo.pop_all()

    @property
    def locks(self) -> list[int]:
        """The lock, if there is one."""
        return [] if self._lock_fd is None else [self._lock_fd]

    def hand_over(self) -> None:
        """Close what belongs to the process: it has it, or there is no process."""
        os.close(self.theirs)
        os.close(self.log_end)
        self._let_go_of_lock()

    def close(self) -> None:
        """Close our ends: there is no process."""
        self.lifeline.close()
        os.close(self.log_fd)

    def _let_go_of_lock(self) -> None:
        for fd in self.locks:
            release(fd)


class Process:
    """A running process and our ends of its pipes.

    Args:
        pid: its number, not to be used once it may have been waited for.
        pidfd: its descriptor, owned by this object; `None` where there are none: a thread waits then.
        endowment: handed over.
        reap: waits for it.
        on_exit: gets its exit code, negative for a signal, `None` if unknown; called once, on the loop.
        template_pid: the number of the template that forked it, for people; `None` for a fresh process.
    """

    def __init__(
        self,
        pid: int,
        pidfd: int | None,
        endowment: Endowment,
        *,
        reap: Reap,
        on_exit: Callable[[int | None], None],
        template_pid: int | None = None,
    ) -> None:
        self.pid = pid
        self.template_pid = template_pid
        self.log_fd = endowment.log_fd
        """The end from which to read what it prints; the caller's to close."""
        self._loop = asyncio.get_running_loop()
        self._pidfd = pidfd
        self._lifeline = endowment.lifeline
        self._reap = reap
        self._on_exit = on_exit
        self._has_exited = False
        if pidfd is not None:
            self._loop.add_reader(pidfd, self._exited)
        else:
            threading.Thread(target=self._wait, name=f"wait-{pid}", daemon=True).start()

    def signal(self, number: int) -> None:
        """Signal its whole process group, as long as it lives."""
        if not self._has_exited:
            self._signal_group(number)

    def signal_alone(self, number: int) -> None:
        """Signal it and none that it has started, as long as it lives."""
        if not self._has_exited:
            with suppress(OSError):
                if self._pidfd is None:
                    os.kill(self.pid, number)
                else:
                    signal.pidfd_send_signal(self._pidfd, number)

    def let_go(self) -> None:
        """Close its private pipe, which ends it, and every process that still holds the other end."""
        self._lifeline.close()

    def _signal_group(self, number: int) -> None:
        with suppress(OSError):  # it has not made its session yet, or is gone
            if self._pidfd is None:
                os.killpg(self.pid, number)
            else:
                self._signal_by_pidfd(number)
            return
        self.signal_alone(number)

    def _signal_by_pidfd(self, number: int) -> None:
        assert self._pidfd is not None  # noqa: S101  # for the type checker
        try:
            signal.pidfd_send_signal(self._pidfd, number, None, _PROCESS_GROUP)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            os.killpg(self.pid, number)

    def _exited(self) -> None:
        """It is a zombie: its number is still its own, so what it left behind can be ended safely."""
        self._signal_group(signal.SIGKILL)
        self._has_exited = True
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        self._reap(self._done)

    def _wait(self) -> None:
        def told(code: int | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody asks any more
                self._loop.call_soon_threadsafe(self._waited, code)

        self._reap(told)

    def _waited(self, code: int | None) -> None:
        self._has_exited = True
        self._done(code)

    def _done(self, code: int | None) -> None:
        self._lifeline.close()
        self._on_exit(code)


def spawn(
    command: Callable[[int], Sequence[str]],
    *,
    environment: Mapping[str, str],
    on_exit: Callable[[int | None], None],
    lock_fd: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a fresh process.

    Args:
        command: returns its arguments, given the number of its end of the private pipe.
        environment: all of it.
        on_exit: see `Process`.
        lock_fd: see `Endowment`; the process gets it under the same number.
        pass_fds: more descriptors that it gets so.

    Raises:
        OSError: the system cannot start it now.
    """
    endowment = Endowment(lock_fd)
    try:
        popen = subprocess.Popen(  # noqa: S603  # our own interpreter, no shell
            command(endowment.theirs),
            stdin=subprocess.DEVNULL,
            stdout=endowment.log_end,
            stderr=endowment.log_end,
            env=dict(environment),
            pass_fds=(endowment.theirs, *endowment.locks, *pass_fds),
            start_new_session=True,
        )
        tie(endowment.theirs, -popen.pid)  # it may hang or be stopped before it does so itself
    except OSError:
        endowment.close()
        raise
    finally:
        endowment.hand_over()
    return Process(
        popen.pid, _pidfd(popen.pid), endowment, reap=lambda done: done(popen.wait()), on_exit=on_exit
    )


def _pidfd(pid: int) -> int | None:
    """Return a descriptor of the process; `None` on macOS and in sandboxes."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
