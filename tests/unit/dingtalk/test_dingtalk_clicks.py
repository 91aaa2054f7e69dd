"""What DingTalk shows to who clicked on a card."""

from __future__ import annotations

import pytest

from longwire_connectors.clickbook import Answer, Toast
from longwire_connectors.dingtalk.clicks import shown
from longwire_protocol.errors import CommandError, RetCode


def test_a_card_becomes_the_variables_that_change_all_as_texts() -> None:
    assert shown(Answer(event="e", card={"status": "done", "votes": 3, "names": ["a"]})) == {
        "cardData": {"cardParamMap": {"status": "done", "votes": "3", "names": '["a"]'}},
        "cardUpdateOptions": {"updateCardDataByKey": True},
    }


def test_a_card_in_the_form_of_an_update_is_understood() -> None:
    wrapped = shown(Answer(event="e", card={"cardData": {"cardParamMap": {"a": "b"}}}))
    assert wrapped == shown(Answer(event="e", card={"a": "b"}))


def test_the_platforms_own_answer_passes_and_chooses_how_to_update() -> None:
    data = {
        "cardUpdateOptions": {"updateCardDataByKey": False},
        "userPrivateData": {"cardParamMap": {"mine": "1"}},
    }
    assert shown(Answer(event="e", data=data)) == data
    assert shown(Answer(event="e", card={"a": "b"}, data=data)) == {
        **data,
        "cardData": {"cardParamMap": {"a": "b"}},
    }


def test_a_toast_is_unsupported() -> None:
    with pytest.raises(CommandError, match="DingTalk has none") as caught:
        shown(Answer(event="e", toast=Toast("saved")))
    assert caught.value.retcode == RetCode.UNSUPPORTED


def test_a_variable_without_a_form_in_json_is_refused() -> None:
    with pytest.raises(CommandError, match="JSON") as caught:
        shown(Answer(event="e", card={"a": {(1, 2): "b"}}))
    assert caught.value.retcode == RetCode.BAD_PARAM
