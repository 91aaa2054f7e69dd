"""What Lark shows to who clicked on a card."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from longwire_connectors.clickbook import Answer, Toast
from longwire_connectors.lark.clicks import default, shown, with_answer
from longwire_protocol.errors import CommandError, RetCode


def test_a_toast_and_a_card_have_the_form_of_the_callback() -> None:
    answer = Answer(event="e", toast=Toast("saved", type="success"), card={"elements": []})
    assert shown(answer) == {
        "toast": {"type": "success", "content": "saved"},
        "card": {"type": "raw", "data": {"elements": []}},
    }
    assert shown(Answer(event="e")) == {}


def test_a_toast_may_speak_several_languages() -> None:
    answer = Answer(event="e", toast=Toast("saved", i18n={"zh_cn": "已保存"}))
    assert shown(answer)["toast"] == {"type": "info", "content": "saved", "i18n": {"zh_cn": "已保存"}}


def test_a_card_in_the_form_of_the_callback_is_let_be() -> None:
    card = {"type": "template", "data": {"template_id": "t"}}
    assert shown(Answer(event="e", card=card)) == {"card": card}


def test_what_the_client_says_in_words_goes_before_its_data() -> None:
    data: dict[str, Any] = {"toast": {"type": "error", "content": "no"}, "more": 1}
    assert shown(Answer(event="e", toast=Toast("yes"), data=data)) == {
        "toast": {"type": "info", "content": "yes"},
        "more": 1,
    }
    assert data["toast"]["content"] == "no"


def test_a_toast_of_another_type_is_refused() -> None:
    with pytest.raises(CommandError, match="info, success, warning, error") as caught:
        shown(Answer(event="e", toast=Toast("x", type="party")))
    assert caught.value.retcode == RetCode.BAD_PARAM


def test_the_default_is_a_toast_or_nothing() -> None:
    assert default("heard") == {"toast": {"type": "info", "content": "heard"}}
    assert default("") == {}


def test_an_ack_keeps_its_code_and_gets_the_answer_in_base64() -> None:
    ack = json.loads(with_answer(b'{"code": 200, "data": "e30="}', {"toast": {"content": "ä"}}))
    assert ack["code"] == 200
    assert json.loads(base64.b64decode(ack["data"])) == {"toast": {"content": "ä"}}
