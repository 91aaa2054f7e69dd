"""What the child of a fork has from its parent and must not use: connections, and loops that run there.

A fork copies descriptors. A connection that lives on in a child keeps the supervisor from noticing that the
parent is gone, and a frame sent on it would be the parent's. So in the child the copies are closed, and the
objects around them are told.
"""

from __future__ import annotations

import os
import socket
import weakref
from contextlib import suppress
from typing import Protocol

from longwire_protocol.address import ipc_path


class Heir(Protocol):
    """Something that a fork copies."""

    def in_fork(self) -> None:
        """Be of no use from now on, or begin anew; in the child, before any of its code. Touches no loop."""
        ...


_heirs: weakref.WeakSet[Heir] = weakref.WeakSet()


def tell_in_fork(heir: Heir) -> None:
    """Have it told, in the child of each fork from now on."""
    _heirs.add(heir)


def _forked() -> None:
    for heir in list(_heirs):
        heir.in_fork()


os.register_at_fork(after_in_child=_forked)


def close_connections(endpoint: str) -> None:
    """Close this process's copies of all connections to an ipc endpoint, whoever made them.

    ZeroMQ does not name its descriptors; the address of the other end does. `/dev/fd` is there on Linux and
    on macOS.
    """
    path = ipc_path(endpoint)
    if path is None:
        return
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  the names are all there is to it
        if _peer(int(name)) == str(path):
            with suppress(OSError):
                os.close(int(name))


def _peer(fd: int) -> str | None:
    """Return the path a Unix socket is connected to; `None` for whatever else a descriptor is."""
    with suppress(OSError):
        copy = socket.socket(fileno=os.dup(fd))
        with copy:
            peer: object = copy.getpeername()
            return peer if isinstance(peer, str) else None
    return None
