"""What happens besides messages."""

import json
from typing import Any

import pytest

from longwire_connectors.base import Stamp
from longwire_connectors.lark.normalise import is_understood, normalise
from longwire_protocol.event import Bot, Chat, Event, Segment, Sender

BOT = Bot("ou_b", "Bot")
IDS = {"open_id": "ou_x", "union_id": "on_x", "user_id": "e33"}
SOMEONE = Sender(id="ou_x", ids=IDS)


def read(event_type: str, body: object, *, bot: Bot | None = BOT) -> Event:
    # Callbacks count microseconds, events milliseconds.
    made = "1700000000999000" if event_type == "card.action.trigger" else "1700000000999"
    header = {"event_id": "e-3", "event_type": event_type, "create_time": made}
    stamp = Stamp(id="ev-1", recv_time=5.0, tenant="t", account="a", platform="lark", bot=bot)
    return normalise(json.dumps({"header": header, "event": body}).encode(), stamp=stamp)


def reaction(kind: str, **changes: Any) -> Event:
    body = {
        "message_id": "om_1",
        "reaction_type": {"emoji_type": "SMILE"},
        "operator_type": "user",
        "user_id": IDS,
        "action_time": "1700000000123",
        **changes,
    }
    given = {name: value for name, value in body.items() if value is not None}
    return read(f"im.message.reaction.{kind}_v1", given)


def test_a_reaction_is_known_by_what_makes_it_one() -> None:
    added, removed = reaction("created"), reaction("deleted")
    assert added.dedup_key == "r:om_1:ou_x:SMILE:added:1700000000123"
    assert removed.dedup_key == "r:om_1:ou_x:SMILE:removed:1700000000123"
    assert (added.type, removed.type) == ("reaction.created", "reaction.deleted")
    assert (added.message_id, added.sender, added.time) == ("om_1", SOMEONE, 1700000000.123)
    assert (added.text, added.segments) == ("SMILE", [Segment("text", {"text": "SMILE"})])
    assert reaction("created", action_time=None).dedup_key == "e:e-3"
    assert reaction("created", user_id={"union_id": "on_x"}).dedup_key == (
        "r:om_1:on_x:SMILE:added:1700000000123"
    )
    assert added.chat is None
    in_chat = reaction("created", chat_id="oc_1", chat_type="p2p")  # seen in public code, not in the model
    assert in_chat.chat == Chat("oc_1", "private")


def test_an_app_may_react() -> None:
    event = reaction("created", user_id=None, app_id="cli_9", operator_type="app")
    assert event.dedup_key == "r:om_1:cli_9:SMILE:added:1700000000123"
    assert event.sender == Sender(id="cli_9", is_bot=True)
    assert reaction("created", user_id=None).sender is None


@pytest.mark.parametrize("change", [{"message_id": None}, {"reaction_type": {"emoji_type": 7}}])
def test_a_reaction_without_message_or_emoji_is_raw(change: dict[str, Any]) -> None:
    event = reaction("created", **change)
    assert (event.type, event.dedup_key) == ("platform.raw", "e:e-3")
    assert not is_understood(event)


def test_a_recall_names_the_message_and_is_no_duplicate_of_it() -> None:
    body = {
        "message_id": "om_1",
        "chat_id": "oc_1",
        "recall_time": "1615380573411",
        "recall_type": "group_owner",
    }
    event = read("im.message.recalled_v1", body)
    assert (event.type, event.message_id, event.dedup_key) == ("message.deleted", "om_1", "e:e-3")
    assert (event.chat, event.sender, event.time) == (Chat("oc_1", "group"), None, 1615380573.411)
    assert read("im.message.recalled_v1", {"chat_id": "oc_1"}).type == "platform.raw"


def test_a_receipt_says_who_read_which_message() -> None:
    body = {"reader": {"reader_id": IDS, "read_time": "1700000000500"}, "message_id_list": ["om_1"]}
    event = read("im.message.message_read_v1", body)
    assert (event.type, event.sender, event.message_id) == ("message.read", SOMEONE, "om_1")
    assert (event.time, event.chat) == (1700000000.5, None)
    several = read("im.message.message_read_v1", {**body, "message_id_list": ["om_1", "om_2"]})
    assert (several.type, several.message_id) == ("message.read", None)
    assert read("im.message.message_read_v1", {"reader": 7}).type == "platform.raw"


def test_a_card_click_says_who_clicked_what_where_and_gives_no_token_away() -> None:
    body = {
        "operator": {"tenant_key": "x", **IDS},
        "token": "c-secret",
        "action": {"value": {"a": 1}, "tag": "button"},
        "context": {"open_message_id": "om_1", "open_chat_id": "oc_1", "preview_token": "p-secret"},
    }
    event = read("card.action.trigger", body)
    assert (event.type, event.dedup_key, event.message_id) == ("card.action", "e:e-3", "om_1")
    assert (event.chat, event.sender, event.time) == (Chat("oc_1", "group"), SOMEONE, 1700000000.999)
    assert event.segments == [Segment("card", {"value": {"a": 1}, "tag": "button"})]
    assert "secret" not in json.dumps(event.raw)
    bare = read("card.action.trigger", {})
    assert (bare.type, bare.chat, bare.sender, bare.message_id) == ("card.action", None, None, None)
    assert bare.segments is None


def test_callbacks_that_only_lark_has_keep_its_name() -> None:
    body = {
        "operator": IDS,
        "host": "im_message",
        "context": {"open_chat_id": "oc_1", "preview_token": "secret"},
    }
    preview = read("url.preview.get", body)
    assert (preview.type, preview.chat, preview.sender) == (
        "lark.url.preview.get",
        Chat("oc_1", "group"),
        SOMEONE,
    )
    assert preview.raw["event"]["context"]["preview_token"] == "[redacted]"
    body = {"operator": {"operator_name": "Mei", "operator_id": IDS}, "event_key": "help", "timestamp": 1}
    menu = read("application.bot.menu_v6", body)
    assert (menu.type, menu.text) == ("lark.application.bot.menu_v6", "help")
    assert menu.sender == Sender(id="ou_x", name="Mei", ids=IDS)
    assert read("application.bot.menu_v6", {}).text is None


def people(**changes: Any) -> dict[str, Any]:
    users = [
        {"name": "Mei", "user_id": {"open_id": "ou_m"}},
        {"user_id": {"user_id": "u2"}},
        {"name": "?"},
        7,
    ]
    return {"chat_id": "oc_1", "operator_id": IDS, "name": "Team", "users": users, **changes}


@pytest.mark.parametrize(
    ("kind", "type_"), [("added", "member.joined"), ("deleted", "member.left"), ("withdrawn", "member.left")]
)
def test_members_who_come_and_go_are_mentioned(kind: str, type_: str) -> None:
    event = read(f"im.chat.member.user.{kind}_v1", people())
    assert (event.type, event.sender, event.to_me) == (type_, SOMEONE, None)
    assert event.chat == Chat("oc_1", "group", name="Team")
    assert event.segments == [
        Segment("mention", {"user_id": "ou_m", "name": "Mei"}),
        Segment("mention", {"user_id": "u2", "name": "u2"}),
    ]
    assert read(f"im.chat.member.user.{kind}_v1", people(users="all")).segments is None
    assert read(f"im.chat.member.user.{kind}_v1", people(chat_id=None)).type == "platform.raw"


@pytest.mark.parametrize(("kind", "type_"), [("added", "member.joined"), ("deleted", "member.left")])
def test_the_bot_itself_comes_and_goes(kind: str, type_: str) -> None:
    event = read(f"im.chat.member.bot.{kind}_v1", people(users=None))
    assert (event.type, event.to_me, event.sender) == (type_, True, SOMEONE)
    assert event.segments == [Segment("mention", {"user_id": "ou_b", "name": "Bot"})]
    assert read(f"im.chat.member.bot.{kind}_v1", people(), bot=None).segments is None
    assert read(f"im.chat.member.bot.{kind}_v1", {}).type == "platform.raw"


def test_chats_change_and_end() -> None:
    body = {
        "chat_id": "oc_1",
        "operator_id": IDS,
        "after_change": {"name": "New"},
        "before_change": {"name": "Old"},
    }
    event = read("im.chat.updated_v1", body)
    assert (event.type, event.chat, event.sender) == (
        "chat.updated",
        Chat("oc_1", "group", name="New"),
        SOMEONE,
    )
    gone = read("im.chat.disbanded_v1", {"chat_id": "oc_1", "operator_id": IDS, "name": "Old"})
    assert (gone.type, gone.chat) == ("chat.deleted", Chat("oc_1", "group", name="Old"))
    for kind in ("updated", "disbanded"):
        assert read(f"im.chat.{kind}_v1", []).type == "platform.raw"


def test_private_chats_are_entered_and_made() -> None:
    name = "im.chat.access_event.bot_p2p_chat_entered_v1"
    event = read(name, {"chat_id": "oc_1", "operator_id": IDS, "last_message_id": "om_1"})
    assert (event.type, event.chat, event.to_me) == ("chat.entered", Chat("oc_1", "private"), True)
    assert read(name, {}).type == "platform.raw"
    user = {"open_id": "ou_x", "user_id": "e33", "name": "Mei"}
    body = {"type": "p2p_chat_create", "chat_id": "oc_1", "operator": {"open_id": "ou_x"}, "user": user}
    made = read("", body)
    assert (made.type, made.chat, made.to_me) == ("chat.created", Chat("oc_1", "private"), True)
    assert made.sender == Sender(id="ou_x", name="Mei", ids={"open_id": "ou_x", "user_id": "e33"})
    assert read("", {"type": "p2p_chat_create"}).type == "platform.raw"


def test_an_app_ticket_is_blanked() -> None:
    event = read("", {"type": "app_ticket", "app_ticket": "t-secret"})
    assert event.raw["event"]["app_ticket"] == "[redacted]"
