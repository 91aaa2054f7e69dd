"""The diary of a simulator."""

import pytest

from longwire_connectors.simulator.diary import Diary


def test_a_diary_tells_what_came_after_an_entry() -> None:
    diary = Diary()
    for at in (1.0, 2.0, 3.0):
        diary.note("asked", at=at, platform="lark", app="cli_1")
    assert [entry.at for entry in diary.after(0)] == [1.0, 2.0, 3.0]
    assert [(entry.number, entry.at) for entry in diary.after(2)] == [(3, 3.0)]
    assert diary.after(3) == diary.after(9) == []


def test_the_oldest_entries_are_forgotten_and_their_numbers_show_it() -> None:
    diary = Diary(kept=2)
    for _ in range(5):
        diary.note("asked", at=1.0, platform="dingtalk", app="ding1")
    assert [entry.number for entry in diary.after(0)] == [4, 5]
    assert [entry.number for entry in diary.after(4)] == [5]


@pytest.mark.parametrize(
    ("value", "noted"), [(90, 90.0), (0.5, 0.5), (None, None), ("90", None), (True, None)]
)
def test_only_a_number_is_noted_as_one(value: object, noted: float | None) -> None:
    diary = Diary()
    diary.note("pong", at=1.0, platform="lark", app="cli_1", connection="c", value=value)
    assert diary.after(0)[0].value == noted
