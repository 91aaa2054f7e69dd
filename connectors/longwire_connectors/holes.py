"""Fills the holes in a template's memory before children are forked from it.

Imports and rehearsals leave pages of which some is free. A child would put its first objects there, one here
and one there, and copy a page for each. With the holes filled it begins on pages of its own, side by side:
0.4 MB less for each of them. For the allocator of CPython; where it is another, nothing happens.
"""

from __future__ import annotations

import os
import re
import sys

_STDERR_FD = 2
_LINE = re.compile(rb"^ +\d+ +(?P<size>\d+) +\d+ +\d+ +(?P<free>\d+)$", re.MULTILINE)
"""A size class in the allocator's statistics: its number, bytes of a block, pools, blocks in use and free."""

_BYTES_OVERHEAD = sys.getsizeof(b"")
_OBJECT_BYTES, _COMPLEX_BYTES = sys.getsizeof(object()), sys.getsizeof(0j)
_MAX_BYTES = 8 * 1024 * 1024
"""More is no remnant, but an allocator that we misunderstand."""


def fill() -> list[object]:
    """Return what fills them; they are filled as long as it is kept."""
    found = [(int(line["size"]), int(line["free"])) for line in _LINE.finditer(_statistics())]
    if sum(size * free for size, free in found) > _MAX_BYTES:
        return []
    fillers: list[object] = []
    for size, free in found:
        if size > _BYTES_OVERHEAD:
            fillers += [bytes(size - _BYTES_OVERHEAD) for _ in range(free)]
        elif size == _COMPLEX_BYTES:
            fillers += [0j for _ in range(free)]
        elif size == _OBJECT_BYTES:
            fillers += [object() for _ in range(free)]
    return fillers


def _statistics() -> bytes:
    """Return what CPython prints of its allocator; it knows no other way to tell."""
    tell = getattr(sys, "_debugmallocstats", None)
    if tell is None or not hasattr(os, "memfd_create"):
        return b""
    sys.stderr.flush()
    before = os.dup(_STDERR_FD)
    told = os.memfd_create("malloc")
    try:
        os.dup2(told, _STDERR_FD)
        tell()
        return os.pread(told, os.fstat(told).st_size, 0)
    finally:
        os.dup2(before, _STDERR_FD)
        os.close(before)
        os.close(told)
