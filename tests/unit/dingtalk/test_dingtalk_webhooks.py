"""What is remembered of DingTalk's chats, to answer in them; and the account's options."""

import msgspec
import pytest

from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.dingtalk.recent import Recent
from longwire_connectors.dingtalk.webhooks import MAX_KEPT, Session, Webhooks, is_loopback_http

HOOK = "https://oapi.dingtalk.com/robot/sendBySession?session=1"


def session(chat: str = "c", *, sender: str = "u", url: str = HOOK, life_s: float | None = 5400.0) -> Session:
    return Session(chat=chat, is_private=True, sender=sender, staff_id=sender, webhook=url, life_s=life_s)


def test_a_webhook_is_found_for_the_sender_and_for_the_chat_until_it_ends() -> None:
    hooks = Webhooks()
    hooks.learn(session(sender="u", url=HOOK), now=0.0)
    hooks.learn(session(sender="v", url=f"{HOOK}2", life_s=100.0), now=0.0)
    assert hooks.find("c", user="u", now=1.0) == HOOK
    assert hooks.find("c", user=None, now=1.0) == f"{HOOK}2"
    assert hooks.find("c", user="w", now=1.0) == f"{HOOK}2"
    assert hooks.find("c", user="v", now=71.0) is None
    assert hooks.find("c", user="u", now=5369.0) == HOOK
    assert hooks.find("c", user="u", now=5371.0) is None
    assert hooks.find("d", user=None, now=1.0) is None
    assert hooks.partner("c") == "v"


@pytest.mark.parametrize(
    "bad",
    [
        session(life_s=None),
        session(life_s=20.0),
        session(url="http://127.0.0.1/x"),
        session(url="https:///x"),
        session(url="https://[x"),
        session(url="ftp://oapi.dingtalk.com"),
    ],
)
def test_a_webhook_that_ends_soon_or_is_not_https_is_not_kept(bad: Session) -> None:
    hooks = Webhooks()
    hooks.learn(bad, now=0.0)
    assert hooks.find("c", user=None, now=0.0) is None


def test_plain_http_is_for_a_simulator_on_this_machine() -> None:
    hooks = Webhooks(allows_http=True)
    hooks.learn(session(url="http://127.0.0.1:1/x"), now=0.0)
    hooks.learn(session("d", url="http://10.0.0.1/x"), now=0.0)
    assert hooks.find("c", user=None, now=0.0) == "http://127.0.0.1:1/x"
    assert hooks.find("d", user=None, now=0.0) is None
    assert is_loopback_http("http://127.0.0.1:9")
    assert not is_loopback_http("https://127.0.0.1:9")
    assert not is_loopback_http("http://api.dingtalk.com")


def test_the_memory_of_chats_is_bounded() -> None:
    hooks = Webhooks()
    for number in range(2 * MAX_KEPT):
        hooks.learn(session(f"c{number}"), now=0.0)
    assert hooks.find("c0", user=None, now=1.0) is None
    assert hooks.partner("c0") is None
    assert hooks.find(f"c{2 * MAX_KEPT - 1}", user=None, now=1.0) == HOOK
    assert hooks.partner(f"c{MAX_KEPT}") == "u"


def test_a_group_has_no_partner() -> None:
    hooks = Webhooks()
    hooks.learn(Session(chat="g", is_private=False, staff_id="u"), now=0.0)
    assert hooks.partner("g") is None


def test_options_take_a_slash_at_the_end_of_the_url() -> None:
    options = DingTalkOptions(client_id="a", client_secret="b", api_base="http://127.0.0.1:1/")
    assert options.base == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.dingtalk.com",
        "ftp://x",
        "https://",
        "http://x:y",
        "http://u:p@x",
        "http://x?a=1",
        "http://x:0",
    ],
)
def test_options_refuse_what_is_no_base_url(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.api_base"):
        msgspec.convert({"client_id": "a", "client_secret": "b", "api_base": url}, DingTalkOptions)


def test_a_webhook_that_the_platform_calls_ended_is_forgotten() -> None:
    hooks = Webhooks()
    hooks.learn(session(sender="u", url=HOOK), now=0.0)
    hooks.learn(session("d", sender="u", url=f"{HOOK}2"), now=0.0)
    hooks.forget(HOOK)
    assert hooks.find("c", user="u", now=1.0) is None
    assert hooks.find("c", user=None, now=1.0) is None
    assert hooks.find("d", user="u", now=1.0) == f"{HOOK}2"


def test_what_was_seen_of_late_is_bounded() -> None:
    recent: Recent[int] = Recent(most=2)
    for number, name in enumerate("abac"):
        recent.put(name, number)
    assert [recent.get(name) for name in "abc"] == [2, None, 3]
