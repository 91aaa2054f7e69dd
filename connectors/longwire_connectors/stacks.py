"""The stacks of this process, for a parent that asks for them: see `longwire_protocol.stacks`."""

from __future__ import annotations

import faulthandler
import fcntl
import os

from longwire_protocol.stacks import MEMORY, SIGNAL

_STDERR_FD = 2


def arm() -> None:
    """Have the stacks of all threads written when they are asked for, also while the GIL is held.

    Called in each process before anything foreign is imported. A fork inherits the handler, which writes
    nowhere until the fork has called this, too.
    """
    try:
        fd = os.memfd_create(MEMORY)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)  # the reader empties it
    except (AttributeError, OSError):  # macOS, or no descriptors: then into the log
        fd = _STDERR_FD
    faulthandler.register(SIGNAL, file=fd, all_threads=True)
