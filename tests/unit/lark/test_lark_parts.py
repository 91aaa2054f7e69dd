"""Messages in several frames."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire_connectors.lark.parts import MAX_PARTS, PLACE_BYTES, MalformedPart, Parts


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_parts_in_any_order_and_repeated_make_the_message_once(pieces: list[bytes], random: Random) -> None:
    order = list(range(len(pieces)))
    random.shuffle(order)
    last = order.pop()
    early = order + random.sample(order, len(order) // 2)
    random.shuffle(early)
    parts = Parts()
    for _ in range(2):  # the second time is a redelivery
        made = [
            parts.add("m", part=number, count=len(pieces), data=pieces[number], now=0.0) for number in early
        ]
        assert made == [None] * len(early)
        assert parts.add("m", part=last, count=len(pieces), data=pieces[last], now=0.0) == b"".join(pieces)
    assert parts.dropped == 0


@pytest.mark.parametrize(("part", "count"), [(2, 2), (-1, 2), (0, 0), (0, -3), (0, MAX_PARTS + 1)])
def test_numbers_that_make_no_sense_are_refused(part: int, count: int) -> None:
    with pytest.raises(MalformedPart):
        Parts().add("m", part=part, count=count, data=b"x", now=0.0)


def test_a_message_whose_count_changes_is_given_up() -> None:
    parts = Parts()
    parts.add("m", part=0, count=3, data=b"a", now=0.0)
    with pytest.raises(MalformedPart, match="2 for a message of 3"):
        parts.add("m", part=1, count=2, data=b"b", now=0.0)
    assert parts.dropped == 1
    assert parts.add("m", part=1, count=2, data=b"b", now=0.0) is None


def test_a_message_that_waits_too_long_for_a_part_is_given_up() -> None:
    parts = Parts(kept_s=10.0)
    parts.add("old", part=0, count=2, data=b"a", now=0.0)
    parts.add("young", part=0, count=2, data=b"c", now=5.0)
    assert parts.add("young", part=1, count=2, data=b"d", now=11.0) == b"cd"
    assert parts.dropped == 1
    assert parts.add("old", part=1, count=2, data=b"b", now=11.0) is None


def test_each_part_gives_the_message_more_time() -> None:
    parts = Parts(kept_s=10.0)
    assert [parts.add("m", part=number, count=3, data=b"a", now=9.0 * number) for number in range(3)] == [
        None,
        None,
        b"aaa",
    ]


def test_the_oldest_message_gives_way_when_there_is_no_room() -> None:
    parts = Parts(max_bytes=4 * PLACE_BYTES + 10)
    parts.add("a", part=0, count=2, data=b"x" * 5, now=0.0)
    parts.add("b", part=0, count=2, data=b"y" * 5, now=0.0)
    parts.add("b", part=0, count=2, data=b"y" * 4, now=0.0)  # replaced, so it needs less
    assert parts.dropped == 0
    parts.add("b", part=0, count=2, data=b"y" * 6, now=0.0)
    assert parts.dropped == 1
    assert parts.add("b", part=1, count=2, data=b"z", now=0.0) == b"yyyyyyz"


def test_a_message_larger_than_all_room_is_given_up() -> None:
    parts = Parts(max_bytes=1000)
    assert parts.add("a", part=0, count=2, data=b"x" * 2000, now=0.0) is None
    assert parts.dropped == 1
