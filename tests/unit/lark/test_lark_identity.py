"""Who the bot is."""

from email.message import Message
from typing import Any

import msgspec
import pytest

from longwire_connectors.lark.identity import ask_identity
from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.webcall import Reply
from longwire_protocol.event import Bot

OPTIONS = LarkOptions(app_id="cli_1", app_secret="s", domain="http://x/")
TOKEN = b'{"code":0,"tenant_access_token":"t-1"}'


@pytest.mark.parametrize(
    ("answer", "bot"),
    [
        (b'{"code":0,"bot":{"open_id":"ou_1","app_name":"Acme"}}', Bot("ou_1", "Acme")),
        (b'{"code":0,"bot":{"open_id":"ou_1","app_name":""}}', Bot("ou_1")),
        (b'{"code":0,"bot":{"open_id":"ou_1"}}', Bot("ou_1")),
    ],
)
def test_the_identity_is_asked_with_a_token(answer: bytes, bot: Bot) -> None:
    calls: list[tuple[str, str]] = []

    def call(method: str, url: str, **_: Any) -> Reply:
        calls.append((method, url))
        return Reply(200, Message(), TOKEN if "token" in url else answer)

    assert ask_identity(OPTIONS, call=call) == bot
    assert calls == [
        ("POST", "http://x/open-apis/auth/v3/tenant_access_token/internal"),
        ("GET", "http://x/open-apis/bot/v3/info"),
    ]


@pytest.mark.parametrize("answer", [b"404", b"", b'{"code":10014}', b'{"tenant_access_token":7}'])
def test_an_answer_that_tells_nothing_is_an_error(answer: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        ask_identity(OPTIONS, call=lambda *_, **__: Reply(200, Message(), answer))
