"""The filter over known keys: it forgets none, and claims few it never had."""

from random import Random

import pytest

from longwire.journal import keyfilter
from longwire.journal.keyfilter import CAPACITY, SIZE_BYTES, KeyFilter, Probe


def hashes(seed: int, n: int) -> list[int]:
    random = Random(seed)  # noqa: S311  # for a test
    return [random.getrandbits(64) for _ in range(n)]


def test_what_was_added_is_found_and_an_empty_filter_finds_nothing() -> None:
    known = hashes(1, 5000)
    key_filter = KeyFilter()
    assert key_filter.find(Probe(known)) == []
    key_filter.add(known)
    assert key_filter.find(Probe(known)) == list(range(5000))


def test_one_hash_and_none_can_be_asked_for() -> None:
    key_filter = KeyFilter()
    key_filter.add([7])
    assert key_filter.find(Probe([7])) == [0]
    assert key_filter.find(Probe([8])) == []
    assert key_filter.find(Probe([])) == []


def test_it_can_be_put_on_disk_and_taken_back() -> None:
    key_filter = KeyFilter()
    key_filter.add(hashes(2, 100))
    again = KeyFilter(key_filter.data)
    assert len(key_filter.data) == SIZE_BYTES
    assert again.find(Probe([*hashes(3, 100), *hashes(2, 100)])) == list(range(100, 200))


def test_an_eighth_full_it_claims_next_to_nothing_it_never_had() -> None:
    key_filter = KeyFilter()
    key_filter.add(hashes(4, CAPACITY // 8))
    assert len(key_filter.find(Probe(hashes(5, 20_000)))) < 20


def test_full_it_claims_one_in_700_that_it_never_had(monkeypatch: pytest.MonkeyPatch) -> None:
    share = 256
    monkeypatch.setattr(keyfilter, "SIZE_BYTES", SIZE_BYTES // share)
    monkeypatch.setattr(keyfilter, "_MASK", SIZE_BYTES // share - 1)
    key_filter = KeyFilter()
    key_filter.add(hashes(6, CAPACITY // share))
    assert 50 < len(key_filter.find(Probe(hashes(7, 70_000)))) < 150
