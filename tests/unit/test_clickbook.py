"""Clicks that want an answer: the first one wins, in time, and of everyone it is known what became of it."""

from __future__ import annotations

from typing import Any

import pytest

from longwire_connectors.clickbook import (
    MAX_HELD,
    MAX_REMEMBERED,
    Answer,
    ClickBook,
    Fate,
    Toast,
    read_answer,
)
from longwire_protocol.errors import CommandError, RetCode


def refused(book: ClickBook, event: str, *, now: float) -> int:
    with pytest.raises(CommandError) as caught:
        book.answer(event, now=now)
    assert not caught.value.retryable
    return caught.value.retcode


def test_the_first_answer_in_time_wins_and_the_second_is_told_so() -> None:
    book = ClickBook()
    assert book.hold("a", until=2.5, now=0.0)
    assert not book.is_empty
    book.answer("a", now=2.4)
    assert book.is_empty
    assert refused(book, "a", now=2.45) == RetCode.BAD_REQUEST


def test_an_answer_at_the_deadline_is_late_and_so_is_each_after_it() -> None:
    book = ClickBook()
    book.hold("a", until=2.5, now=0.0)
    assert refused(book, "a", now=2.5) == RetCode.DEADLINE_EXCEEDED
    assert book.is_empty
    assert refused(book, "a", now=0.0) == RetCode.DEADLINE_EXCEEDED


def test_an_answer_after_the_default_was_shown_is_late() -> None:
    book = ClickBook()
    book.hold("a", until=2.5, now=0.0)
    assert book.close("a", Fate.DEFAULTED) is Fate.DEFAULTED
    assert refused(book, "a", now=1.0) == RetCode.DEADLINE_EXCEEDED


def test_an_answer_that_does_not_get_out_has_failed_for_whoever_comes_later() -> None:
    book = ClickBook()
    book.hold("a", until=2.5, now=0.0)
    book.answer("a", now=1.0)
    assert book.close("a", Fate.FAILED) is Fate.FAILED
    assert refused(book, "a", now=1.1) == RetCode.PLATFORM_UNREACHABLE


def test_what_is_settled_is_not_defaulted_afterwards() -> None:
    book = ClickBook()
    book.hold("a", until=2.5, now=0.0)
    book.answer("a", now=1.0)
    assert book.close("a", Fate.DEFAULTED) is Fate.ANSWERED


def test_an_event_that_is_no_click_or_long_gone_is_unknown() -> None:
    book = ClickBook()
    assert refused(book, "never", now=0.0) == RetCode.BAD_PARAM
    assert book.close("never", Fate.DEFAULTED) is Fate.DEFAULTED
    for n in range(MAX_REMEMBERED + 1):
        book.hold(str(n), until=1.0, now=0.0)
        book.close(str(n), Fate.DEFAULTED)
    assert refused(book, "0", now=0.5) == RetCode.BAD_PARAM
    assert refused(book, "1", now=0.5) == RetCode.DEADLINE_EXCEEDED


def test_beyond_the_bound_the_default_is_due_at_once_until_there_is_room() -> None:
    book = ClickBook()
    assert all(book.hold(str(n), until=2.5, now=0.0) for n in range(MAX_HELD))
    assert not book.hold("more", until=2.5, now=0.0)
    assert refused(book, "more", now=0.1) == RetCode.DEADLINE_EXCEEDED
    book.answer("0", now=0.2)
    assert book.hold("again", until=2.5, now=0.3)


def test_a_click_whose_time_is_over_when_it_comes_is_defaulted_at_once() -> None:
    book = ClickBook()
    assert not book.hold("a", until=1.0, now=1.0)
    assert book.is_empty
    assert refused(book, "a", now=1.0) == RetCode.DEADLINE_EXCEEDED


def test_an_answer_is_read_whole() -> None:
    params: dict[str, Any] = {
        "event": "e",
        "toast": {"content": "saved", "i18n": {"zh_cn": "已保存"}},
        "card": {"a": 1},
        "data": {"b": 2},
    }
    toast = Toast("saved", type="info", i18n={"zh_cn": "已保存"})
    assert read_answer(params) == Answer(event="e", toast=toast, card={"a": 1}, data={"b": 2})


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({}, "event"),
        ({"event": 7}, r"\$\.event"),
        ({"event": "e", "toast": "saved"}, r"\$\.toast"),
        ({"event": "e", "toast": {"type": "info"}}, "content"),
        ({"event": "e", "toast": {"content": "x", "colour": "red"}}, "colour"),
        ({"event": "e", "card": []}, r"\$\.card"),
        ({"event": "e", "cards": {}}, "cards"),
    ],
)
def test_params_that_cannot_be_are_refused_with_their_place(params: dict[str, Any], place: str) -> None:
    with pytest.raises(CommandError, match=place) as caught:
        read_answer(params)
    assert caught.value.retcode == RetCode.BAD_PARAM
