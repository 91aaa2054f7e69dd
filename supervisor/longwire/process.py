"""One child process: started clean, addressed by pidfd, dead when the supervisor is.

The child gets a session of its own (honcho signals whole process groups), an environment built from an
allow-list, and one private pipe: over it comes the bootstrap, and its closing is the child's death (see
`longwire_connectors.lifeline`). `waitpid(-1)` is never used: an embedding host's children are not ours.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress

from longwire_protocol.codec import encode
from longwire_protocol.frames import Bootstrap

_LENGTH_BYTES = 4
_MAX_BOOTSTRAP_BYTES = 60_000
"""Fits an empty pipe, so that writing it never waits for the child."""


class Lifeline:
    """The write end of a child's private pipe. While it is open, the child may live."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd
        _lifelines.add(self)

    def write(self, data: bytes) -> None:
        """Write the bootstrap, whole or not at all.

        Raises:
            OSError: it does not fit, or the child is gone.
        """
        if self._fd is None:
            raise OSError("the lifeline is closed")
        os.set_blocking(self._fd, False)
        if os.write(self._fd, data) != len(data):
            raise OSError("the bootstrap did not fit into the pipe")

    def close(self) -> None:
        """Let go: whoever still holds the other end dies."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


_lifelines: weakref.WeakSet[Lifeline] = weakref.WeakSet()


def _let_go_in_fork() -> None:
    """A fork of an embedding host must not keep our children alive after the supervisor's death."""
    for lifeline in list(_lifelines):
        lifeline.close()


os.register_at_fork(after_in_child=_let_go_in_fork)


class ChildProcess:
    """A running child. `on_exit` gets its return code, negative for a signal, once, on the loop.

    Raises:
        OSError: the system cannot start it now.
    """

    def __init__(
        self, bootstrap: Bootstrap, *, environment: Mapping[str, str], on_exit: Callable[[int], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_exit = on_exit
        payload = _payload(bootstrap)
        theirs, ours = os.pipe()
        self._lifeline = Lifeline(ours)
        try:
            self.log_fd, log_end = os.pipe()
        except OSError:
            self._lifeline.close()
            os.close(theirs)
            raise
        try:
            self._popen = subprocess.Popen(  # noqa: S603  # our own interpreter, no shell
                [sys.executable, "-P", "-m", "longwire_connectors", str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=log_end,
                stderr=log_end,
                env=dict(environment),
                pass_fds=(theirs,),
                start_new_session=True,
            )
        except OSError:
            self._lifeline.close()
            os.close(self.log_fd)
            raise
        finally:
            os.close(theirs)
            os.close(log_end)
        self.pid = self._popen.pid
        self._watch()
        with suppress(OSError):  # it died already, which its exit tells
            self._lifeline.write(payload)

    def signal(self, number: int) -> None:
        """Signal the child's whole process group, as long as the child has not been reaped."""
        if self._popen.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # it has not made its session yet, or is gone
                os.killpg(self.pid, number)
                return
            with suppress(ProcessLookupError):
                self._signal_alone(number)

    def _signal_alone(self, number: int) -> None:
        if self._pidfd is not None:
            signal.pidfd_send_signal(self._pidfd, number)
        else:
            os.kill(self.pid, number)

    def _watch(self) -> None:
        self._pidfd = _pidfd(self.pid)
        if self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._exited)
        else:
            threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def _exited(self) -> None:
        """The child is a zombie: its group id is still ours, so what it left behind can be ended safely."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        self._done(self._popen.wait())

    def _wait(self) -> None:
        code = self._popen.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody asks any more
            self._loop.call_soon_threadsafe(self._done, code)

    def _done(self, code: int) -> None:
        self._lifeline.close()
        self._on_exit(code)


def _payload(bootstrap: Bootstrap) -> bytes:
    """Return what goes over the pipe first: the length, then the bootstrap."""
    try:
        body = encode(bootstrap)
    except (OverflowError, TypeError, ValueError) as exc:
        raise OSError(f"the account's options cannot be sent to its process: {exc}") from exc
    if len(body) > _MAX_BOOTSTRAP_BYTES:
        raise OSError(f"the account's options are {len(body)} bytes; {_MAX_BOOTSTRAP_BYTES} are possible")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def _pidfd(pid: int) -> int | None:
    """Return a descriptor of the process; `None` on macOS and in sandboxes: a thread waits then."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
