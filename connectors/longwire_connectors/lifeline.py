"""The pipes between parent and child: one carries the parent's life, and the other, once, the bootstrap.

The parent alone holds the write end of the lifeline. When it dies, however it dies, the kernel closes that
end and sends SIGKILL. Whoever starts a process ties it so at once; the process itself widens that to its
group. The bootstrap comes by a pipe of its own, as whatever is written into a lifeline kills; it is the only
way secrets reach a child.
"""

from __future__ import annotations

import os
import select
import signal
import threading

from longwire_protocol.lifeline import tie

_LENGTH_BYTES = 4


def receive(fd: int, *, lifeline_fd: int) -> bytes:
    """Return the bootstrap, and close the pipe that brought it; waits for it.

    Raises:
        EOFError: the parent is gone, or has given this process up.
    """
    try:
        if lifeline_fd in _readable(fd, lifeline_fd, timeout_ms=None):
            raise EOFError("the supervisor is gone")
        length = int.from_bytes(_read_exactly(fd, _LENGTH_BYTES), "big")
        return _read_exactly(fd, length)
    finally:
        os.close(fd)


def _read_exactly(fd: int, n: int) -> bytes:
    data = b""
    while len(data) < n:
        piece = os.read(fd, n - len(data))
        if not piece:
            raise EOFError("the supervisor is gone")
        data += piece
    return data


def arm(fd: int) -> None:
    """Make the parent's death this process group's death.

    Call it in the leader of the group, in a child after `receive`: its template has tied it alone by then.

    Raises:
        EOFError: the parent is dead already.
    """
    if not tie(fd, -os.getpgrp()):  # a thread cannot save a stopped process, but all others
        threading.Thread(target=_die_with, args=(fd,), name="lifeline", daemon=True).start()
    if _readable(fd, timeout_ms=0):  # since before anybody tied this process to it: no signal will come
        raise EOFError("the supervisor is gone")


def _readable(*fds: int, timeout_ms: int | None) -> set[int]:
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return {fd for fd, _ in poller.poll(timeout_ms)}


def _die_with(fd: int) -> None:
    os.read(fd, 1)
    os.killpg(0, signal.SIGKILL)
