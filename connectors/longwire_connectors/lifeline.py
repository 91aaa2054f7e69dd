"""The pipe between parent and child that carries the bootstrap and then the parent's life.

The parent alone holds the write end. It writes the bootstrap once (the only way secrets reach a child), and
keeps the end open. When the parent dies, however it dies, the kernel closes it and sends SIGKILL to the
child's process group: the read end has `O_ASYNC` with `F_SETSIG=SIGKILL`, which reaches hung and stopped
processes too, in about 10 ms. `PR_SET_PDEATHSIG` would fire when the *thread* that forked ends.

Only the standard library's small modules are imported here, so that a child is armed before it imports more.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading

_LENGTH_BYTES = 4


def receive(fd: int) -> bytes:
    """Return what the parent wrote; waits for it, and for nothing after it.

    Raises:
        EOFError: the parent died in the middle.
    """
    length = int.from_bytes(_read_exactly(fd, _LENGTH_BYTES), "big")
    return _read_exactly(fd, length)


def _read_exactly(fd: int, n: int) -> bytes:
    data = b""
    while len(data) < n:
        piece = os.read(fd, n - len(data))
        if not piece:
            raise EOFError("the supervisor is gone")
        data += piece
    return data


def arm(fd: int) -> None:
    """Make the parent's death this process group's death; after `receive`, as bytes that come would kill too.

    Call it in the leader of the group.

    Raises:
        EOFError: the parent is dead already.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    else:  # macOS has no F_SETSIG; a thread cannot save a stopped process there, but all others
        threading.Thread(target=_die_with, args=(fd,), name="lifeline", daemon=True).start()
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    if poller.poll(0):  # it died before the flag was set: no signal will come
        raise EOFError("the supervisor is gone")


def _die_with(fd: int) -> None:
    os.read(fd, 1)
    os.killpg(0, signal.SIGKILL)
