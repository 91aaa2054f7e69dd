"""The commands on what was sent before, as Lark's calls."""

from typing import Any

import msgspec
import pytest

from longwire_connectors.lark import calls
from longwire_connectors.lark.calls import Stream, Streamed
from longwire_connectors.lark.outgoing import Request
from longwire_protocol.errors import CommandError, RetCode

OM = {"message_id": "om_1"}
PATH = "/im/v1/messages/om_1"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            calls.update({**OM, "text": "a", "account": "acme"}),
            ("PUT", PATH, {}, {"msg_type": "text", "content": '{"text":"a"}'}),
        ),
        (calls.update({**OM, "card": {"a": 1}}), ("PATCH", PATH, {}, {"content": '{"a":1}'})),
        (calls.update_card({**OM, "card": {"a": 1}}), ("PATCH", PATH, {}, {"content": '{"a":1}'})),
        (calls.delete(OM), ("DELETE", PATH, {}, None)),
        (calls.get(OM), ("GET", PATH, {}, None)),
        (
            calls.add_reaction({**OM, "emoji": "OK"}),
            ("POST", f"{PATH}/reactions", {}, {"reaction_type": {"emoji_type": "OK"}}),
        ),
        (
            calls.list_reactions("om_1", emoji="OK", page_token=None),
            ("GET", f"{PATH}/reactions", {"reaction_type": "OK", "page_size": "50"}, None),
        ),
        (
            calls.list_reactions("om_1", emoji="OK", page_token="p"),
            ("GET", f"{PATH}/reactions", {"reaction_type": "OK", "page_size": "50", "page_token": "p"}, None),
        ),
        (calls.remove_reaction("om_1", "Zx-_1"), ("DELETE", f"{PATH}/reactions/Zx-_1", {}, None)),
        (
            calls.find_card("om_1"),
            ("POST", "/cardkit/v1/cards/id_convert", {}, {"message_id": "om_1"}),
        ),
        (
            calls.stream_text("73", Stream(text="so far"), sequence=7, key="k"),
            (
                "PUT",
                "/cardkit/v1/cards/73/elements/answer/content",
                {},
                {"content": "so far", "sequence": 7, "uuid": "k"},
            ),
        ),
        (
            calls.end_stream("73", sequence=8, key="k"),
            (
                "PATCH",
                "/cardkit/v1/cards/73/settings",
                {},
                {"settings": '{"config":{"streaming_mode":false}}', "sequence": 8, "uuid": "k"},
            ),
        ),
    ],
)
def test_each_command_is_its_call_and_harmless_if_it_changes_nothing(
    request_: Any, expected: tuple[Any, ...]
) -> None:
    assert (request_.method, request_.path, request_.query, request_.body) == expected
    assert request_.is_harmless == (request_.method == "GET" or request_.path.endswith("/id_convert"))


def test_markdown_is_edited_as_a_post() -> None:
    body = calls.update({**OM, "markdown": "a"}).body
    assert body is not None
    assert body["msg_type"] == "post"


def test_a_stream_names_its_card_by_message_or_by_card() -> None:
    stream = {"text": "a", "final": True}
    by_message = calls.update_card({**OM, "stream": stream})
    assert by_message == Streamed(Stream(text="a", final=True), "om_1", None)
    assert calls.update_card({"card_id": "73", "stream": stream}) == Streamed(
        Stream(text="a", final=True), None, "73"
    )


def test_a_reaction_is_taken_back_by_emoji_or_by_id() -> None:
    assert calls.read_unreaction({**OM, "emoji": "OK"}) == ("om_1", "OK", None)
    assert calls.read_unreaction({**OM, "reaction_id": "r"}) == ("om_1", None, "r")


@pytest.mark.parametrize(
    ("given", "method", "path", "query", "is_harmless"),
    [
        ({"path": "/im/v1/chats"}, "GET", "/im/v1/chats", {}, True),
        ({"path": "/open-apis/im/v1/chats"}, "GET", "/im/v1/chats", {}, True),
        ({"path": "open-apis/bot/v3/info"}, "GET", "/bot/v3/info", {}, True),
        (
            {"path": "/im/v1/chats", "query": {"a": True, "n": 2, "s": "x"}},
            "GET",
            "/im/v1/chats",
            {"a": "true", "n": "2", "s": "x"},
            True,
        ),
        ({"path": "/im/v1/chats", "method": "POST", "body": {}}, "POST", "/im/v1/chats", {}, False),
        ({"path": "/im/v1/chats/oc_1", "method": "DELETE"}, "DELETE", "/im/v1/chats/oc_1", {}, False),
        ({"path": "/im/v1/chats/oc_1", "method": "PATCH"}, "PATCH", "/im/v1/chats/oc_1", {}, False),
    ],
)
def test_any_call_below_open_apis_can_be_made(
    given: dict[str, Any], method: str, path: str, query: dict[str, str], *, is_harmless: bool
) -> None:
    expected = Request(path, query, given.get("body"), method=method, is_harmless=is_harmless)
    assert calls.platform(given) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "im/v1/chats",
        "//evil.example/x",
        "https://evil.example/im/v1",
        "/../callback/ws/endpoint",
        "/im/../../x",
        "/im//v1",
        "/im/v1/",
        "/im/v1?x=1",
        "/im/v1#x",
        "/im/%2e%2e/x",
        "/im\\v1",
        "/im/v1\n",
        "/im/.hidden",
        "/auth/v3/tenant_access_token/internal",
        "/open-apis/auth/v3/app_access_token/internal",
        "@evil.example/x",
    ],
)
def test_a_path_that_leads_elsewhere_or_to_tokens_is_refused(path: str) -> None:
    with pytest.raises(CommandError, match="`path`") as refusal:
        calls.platform({"path": path})
    assert refusal.value.retcode == RetCode.BAD_PARAM


@pytest.mark.parametrize(
    ("call", "given", "named"),
    [
        (calls.update, {"text": "a"}, "message_id"),
        (calls.update, {"message_id": "a/b", "text": "a"}, "`message_id`"),
        (calls.update, {**OM, "text": "a", "chat": "oc_1"}, "chat"),
        (calls.delete, {"message_id": ""}, "`message_id`"),
        (calls.delete, {"message_id": "om_\u0661"}, "`message_id`"),
        (calls.get, {**OM, "more": 1}, "more"),
        (calls.add_reaction, {**OM, "emoji": ""}, "`emoji`"),
        (calls.read_unreaction, OM, "`reaction_id`"),
        (calls.update_card, OM, "`stream`"),
        (calls.update_card, {"card_id": "1", "card": {}}, "`message_id`"),
        (calls.update_card, {**OM, "card_id": "1", "card": {}}, "`message_id`"),
        (calls.update_card, {"stream": {"text": "a"}}, "`card_id`"),
        (calls.update_card, {**OM, "stream": {"txt": "a"}}, "txt"),
        (calls.platform, {"path": "/im", "method": "HEAD"}, "method"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(call: Any, given: dict[str, Any], named: str) -> None:
    with pytest.raises(CommandError, match=named) as refusal:
        call(given)
    assert refusal.value.retcode == RetCode.BAD_PARAM


def test_a_file_cannot_be_edited() -> None:
    segments = [{"type": "file", "data": {"file_id": "file_1"}}]
    with pytest.raises(CommandError, match="send the file anew") as refusal:
        calls.update({**OM, "segments": segments})
    assert refusal.value.retcode == RetCode.UNSUPPORTED


def test_parameters_of_any_command_may_name_the_account() -> None:
    given = {**OM, "account": "acme", "tenant": "t"}
    assert calls.get(given).path == PATH
    assert msgspec.convert(given, calls._OfMessage).message_id == "om_1"
