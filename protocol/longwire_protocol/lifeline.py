"""The tie between a process and the supervisor that started it: a pipe, and who dies when it is closed."""

from __future__ import annotations

import fcntl
import os
import signal


def tie(fd: int, owner: int) -> bool:
    """Have the kernel end the owner as soon as the pipe's other end is closed, or is written into.

    It ends those too that hang or are stopped, some 10 ms later. Anybody who has the read end may do it,
    so the owner need not have run yet: the setting belongs to the pipe. `PR_SET_PDEATHSIG` would fire
    when the *thread* that forked ends.

    Args:
        fd: the read end.
        owner: the number of a process; of a process group, negative.

    Returns:
        Whether the system does so; macOS and some sandboxes have no `F_SETSIG`.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETOWN, owner)
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    except (AttributeError, OSError):
        return False
    return True
