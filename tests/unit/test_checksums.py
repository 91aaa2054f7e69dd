"""What a checksum notices."""

from __future__ import annotations

import pytest

from longwire.journal.checksums import Damaged, chunk_checksum, seal, unseal


def test_what_was_sealed_comes_back() -> None:
    assert unseal("key", seal("key", b"")) == b""
    assert unseal("key", seal("key", b"abc")) == b"abc"


@pytest.mark.parametrize("bit", range(56))
def test_a_flipped_bit_in_a_state_is_noticed(bit: int) -> None:
    sealed = bytearray(seal("key", b"abc"))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        unseal("key", bytes(sealed))


def test_a_state_under_another_key_is_noticed() -> None:
    with pytest.raises(Damaged):
        unseal("other", seal("key", b"abc"))


@pytest.mark.parametrize(
    "other",
    [
        chunk_checksum(b"bodx", first_seq=1, last_seq=2, committed_at=1.5, end_bytes=4),
        chunk_checksum(b"body", first_seq=0, last_seq=2, committed_at=1.5, end_bytes=4),
        chunk_checksum(b"body", first_seq=1, last_seq=3, committed_at=1.5, end_bytes=4),
        chunk_checksum(b"body", first_seq=1, last_seq=2, committed_at=1.25, end_bytes=4),
        chunk_checksum(b"body", first_seq=1, last_seq=2, committed_at=1.5, end_bytes=5),
    ],
)
def test_every_field_of_a_row_counts(other: int) -> None:
    assert other != chunk_checksum(b"body", first_seq=1, last_seq=2, committed_at=1.5, end_bytes=4)
