"""Secrets out of texts, and nothing else out of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire_protocol.redaction import REDACTED, Redactor

SECRET = "s3cr3t-Value.x"


@pytest.mark.parametrize(
    "text",
    [
        f"connected to wss://msg-frontier.feishu.cn/ws/v2?device_id=1&access_key={SECRET}&service_id=33554678",
        f"wss://msg-frontier.feishu.cn/ws/v2?fpid=493&ticket={SECRET}&aid=552564",
        f"endpoint wss://wss-open-connection.dingtalk.com:443/connect?ticket={SECRET}",
        f'{{"endpoint":"wss://x/connect","ticket":"{SECRET}"}}',
        f"{{'endpoint': 'wss://x/connect', 'ticket': '{SECRET}'}}",
        f'"sessionWebhook":"https://oapi.dingtalk.com/robot/sendBySession?session={SECRET}"',
        f"POST https://oapi.dingtalk.com/robot/sendBySession?session={SECRET} 200",
        f"POST https://oapi.dingtalk.com/robot/send?access_token={SECRET} 200",
        f"app_secret={SECRET}, app_id=cli_1",
        f'{{"appSecret": "{SECRET}"}}',
        f"clientSecret: {SECRET}",
        f"client_secret={SECRET}&grant_type=x",
        f"client-assertion client_assertion={SECRET}",
        f'{{"tenant_access_token":"{SECRET}","expire":7200}}',
        f'{{"app_access_token":"{SECRET}"}}',
        f'{{"accessToken":"{SECRET}","expireIn":7200}}',
        f"access-token = {SECRET}",
        f"x-acs-dingtalk-access-token: {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: bearer {SECRET}==",
        f'a line of JSON in JSON: "{{\\"ticket\\":\\"{SECRET}\\"}}"',
    ],
)
def test_what_the_sdks_print_of_capabilities_is_blanked(text: str) -> None:
    redacted = Redactor()(text)
    assert SECRET not in redacted
    assert REDACTED in redacted


def test_what_stands_around_a_secret_stays_readable() -> None:
    assert Redactor()("GET /ws?device_id=7&access_key=abc&ticket=def&aid=5 -> 101") == (
        "GET /ws?device_id=7&access_key=[redacted]&ticket=[redacted]&aid=5 -> 101"
    )
    assert Redactor()('{"ticket":"abc","expire":5}') == '{"ticket":"[redacted]","expire":5}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "connected in 0.3 s",
        "the ticket is sold out",
        "tickets=3 sold",
        "no access_key in the answer",
        "Bearer",
        "app_id=cli_0123456789abcdef",
        "https://open.feishu.cn/open-apis/im/v1/messages?receive_id_type=chat_id",
        "https://oapi.dingtalk.com/robot/send",
        "你好 世界",
    ],
)
def test_ordinary_text_is_untouched(text: str) -> None:
    assert Redactor()(text) == text


def test_the_accounts_own_secrets_are_blanked_wherever_they_turn_up() -> None:
    redact = Redactor(["p4ssw0rd.(+", "longer-p4ssw0rd.(+"])
    assert redact("x p4ssw0rd.(+ y longer-p4ssw0rd.(+z") == f"x {REDACTED} y {REDACTED}z"


def test_a_short_value_is_not_blanked_because_words_would_be() -> None:
    redact = Redactor(["abc", "", "abcdef"])
    assert redact("abc abcdef abcd") == f"abc {REDACTED} abcd"


def test_redacting_twice_changes_nothing_more() -> None:
    redact = Redactor(["abcdefgh"])
    once = redact(f"ticket={SECRET} abcdefgh Bearer {SECRET}")
    assert redact(once) == once


@given(st.text(), st.text(min_size=6), st.text())
def test_a_known_secret_never_comes_through(before: str, secret: str, after: str) -> None:
    redacted = Redactor([secret])(f"{before}{secret}{after}")
    assert secret not in redacted.replace(REDACTED, "") or secret in before + after + REDACTED
