"""How a connection reads: in pieces that leave no mark on a child's memory."""

from __future__ import annotations

from typing import Any

_PIECE_BYTES = 16 * 1024
"""Of a burst asyncio would read 256 KiB at a time, which costs each child a megabyte for good."""


def read_in_pieces(transport: Any) -> None:
    """Have the transport of an open connection read little at a time."""
    if hasattr(transport, "max_size"):  # asyncio's own; another loop reads as it likes
        transport.max_size = _PIECE_BYTES
