"""Checksums over what SQLite itself does not check: it finds a broken tree, but not a flipped bit in a value.

CRC-32 of zlib: 3 to 4 GB/s (measured), so 0.2 us for an event of 600 bytes. It is there against a disk
that lies, not against an attacker.
"""

from __future__ import annotations

from zlib import crc32

_WIDTH = 4


class Damaged(ValueError):
    """What is on disk is not what was written."""


def chunk_checksum(
    events: bytes, *, first_seq: int, last_seq: int, committed_at: float, end_bytes: int
) -> int:
    """Return the checksum of a row of `chunks`, its numbers included."""
    return crc32(events, crc32(f"{first_seq} {last_seq} {committed_at!r} {end_bytes}".encode()))


def seal(key: str, value: bytes) -> bytes:
    """Return what is stored for a state: the value and four bytes of checksum over key and value."""
    return value + crc32(value, crc32(key.encode())).to_bytes(_WIDTH, "big")


def unseal(key: str, sealed: bytes) -> bytes:
    """Return the value of a stored state.

    Raises:
        Damaged: it is not what was stored under this key.
    """
    value = bytes(sealed[:-_WIDTH])
    if seal(key, value) != sealed:
        raise Damaged(f"the state {key!r} is damaged")
    return value
