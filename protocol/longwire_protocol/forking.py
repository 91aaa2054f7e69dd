"""The messages between supervisor and template: one MessagePack map each, over a private SEQPACKET socket.

Descriptors travel beside them (`SCM_RIGHTS`). A template never sees a bootstrap: it forks, and what the child
is to be, the child reads from a pipe of its own. Private to one release, as `frames.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

MAX_MESSAGE_BYTES = 64 * 1024
"""Largest message on the socket; only `Warm` and the reasons for people vary in length."""


Stamp = tuple[int, int, int] | None
"""Inode, time of change in nanoseconds, bytes; `None` where there is no file."""


# From the supervisor.


class Fork(msgspec.Struct, frozen=True, tag_field="kind", tag="fork"):
    """Make a child. Beside it its descriptors: lifeline, log, lock, and where it reads its bootstrap."""

    id: int
    """Chosen by the supervisor; names the child in everything that follows."""


class Reap(msgspec.Struct, frozen=True, tag_field="kind", tag="reap"):
    """The child has exited and its process group was ended: wait for it, which frees its number."""

    id: int


# From the template.


class Warm(msgspec.Struct, frozen=True, tag_field="kind", tag="warm"):
    """Everything is imported and frozen: children can be forked."""

    protocol: int
    sources: dict[str, Stamp]
    """Files that change when what was imported is upgraded, as they were then."""
    own_bytes: int
    """Its memory then; see `Memory`."""


class Unfit(msgspec.Struct, frozen=True, tag_field="kind", tag="unfit"):
    """Nothing can be forked from this process, and it ends."""

    reason: str


class Forked(msgspec.Struct, frozen=True, tag_field="kind", tag="forked"):
    """There it is. Beside it the child's pidfd."""

    id: int
    pid: int


class NotForked(msgspec.Struct, frozen=True, tag_field="kind", tag="not_forked"):
    """The system cannot make another process now."""

    id: int
    reason: str


class Reaped(msgspec.Struct, frozen=True, tag_field="kind", tag="reaped"):
    """How the child ended."""

    id: int
    code: int
    """Its exit code; negative for a signal."""


def stamp_of(path: str) -> Stamp:
    """Return what tells a file from another under its name."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Memory(NamedTuple):
    """What a process has in memory."""

    rss_bytes: int
    own_bytes: int
    """What is no file's; forks may share it."""


def memory_of(pid: int | Literal["self"]) -> Memory:
    """Return the memory of a process, zeros if it is gone; asks the kernel for nothing that takes time."""
    try:
        _, resident, of_files, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return Memory(0, 0)
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    return Memory(int(resident) * page_bytes, (int(resident) - int(of_files)) * page_bytes)


ToTemplate = Fork | Reap
FromTemplate = Warm | Unfit | Forked | NotForked | Reaped
