"""Every command of the DingTalk connector, carried out on the simulator."""

import asyncio
import hashlib
from typing import Any

import pytest

from fakes.dingtalk_bench import (  # noqa: F401  pytest finds a fixture by its name in the module
    DEADLINE_S,
    Rig,
    nothing_forbidden_is_logged,
    nothing_is_left_running,
    running_rig,
)
from fakes.host import FakeLink
from longwire_connectors.dingtalk import typist
from longwire_connectors.simulator.dingtalk_media import FILE_BYTES, file_of
from longwire_connectors.simulator.fault_kinds import ApiError, DingTalkRates
from longwire_connectors.uploads import CHUNK_BYTES
from longwire_protocol.errors import CommandError, RetCode

GROUP = {"id": "cidG", "type": "group"}
MIB = 1024 * 1024


async def create(rig: Rig, **params: Any) -> str:
    sent = await rig.connector.call("message.create", {"chat": GROUP, **params})
    return sent["message_id"]


async def refused(rig: Rig, method: str, **params: Any) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call(method, params)
    return refusal.value


async def test_a_message_is_asked_for_and_taken_back_by_its_id_alone(rig: Rig) -> None:
    for where in ({"chat": GROUP}, {"user": "0300"}):
        sent = await rig.connector.call("message.create", {**where, "markdown": "# hi"})
        told = await rig.connector.call("message.get", sent)
        assert (told["status"], told["read_by"]) == ("success", [])
        assert await rig.connector.call("message.delete", sent) == sent
        again = await refused(rig, "message.delete", **sent)
        assert (again.retcode, again.data) == (
            RetCode.PLATFORM_REFUSED,
            {"platform_code": "msgNotFound"},
        )
        assert (await refused(rig, "message.get", **sent)).retcode == RetCode.PLATFORM_REFUSED


async def test_what_another_process_sent_is_found_by_its_chat(rig: Rig) -> None:
    message_id = await create(rig, text="x")
    other = rig.new_connector()
    try:
        with pytest.raises(CommandError, match="`chat` or `user`"):
            await other.call("message.delete", {"message_id": message_id})
        await other.call("message.delete", {"message_id": message_id, "chat": GROUP})
    finally:
        await other.close()
    assert [call.call for call in (await rig.state()).api_calls] == ["recall"]


async def test_a_reaction_is_put_on_a_message_that_was_received(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        await rig.inject()
        await link.wait_for_events(1)
        event = link.events[0]
        reaction = {"message_id": event.message_id, "emoji": "👍"}
        assert await rig.connector.call("reaction.create", reaction) == {}
        assert await rig.connector.call("reaction.delete", {**reaction, "chat": event.chat.id}) == {}
    calls = (await rig.state()).api_calls
    assert [call.body["what"] for call in calls] == ["reply", "recall"]
    assert {call.body["openConversationId"] for call in calls} == {event.chat.id}
    stranger = await refused(rig, "reaction.create", message_id="unknown", emoji="👍")
    assert "`chat`" in stranger.message


async def test_a_session_that_has_ended_early_is_left_for_openapi(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        await rig.inject()
        await link.wait_for_events(1)
        chat = {"id": link.events[0].chat.id, "type": "private"}
        await rig.admin.fault(ApiError(platform="dingtalk", call="send", status=200, code=300001, times=1))
        sent = await rig.connector.call("message.create", {"chat": chat, "text": "late"})
        assert sent["message_id"]
        await rig.connector.call("message.create", {"chat": chat, "text": "later"})
    assert [message.via for message in (await rig.state()).messages] == ["oToMessages"] * 2


async def test_a_card_is_shown_changed_and_taken_back(rig: Rig) -> None:
    card = {"cardTemplateId": "t.schema", "cardData": {"cardParamMap": {"title": "a", "more": "b"}}}
    sent = await rig.connector.call("message.create", {"chat": GROUP, "card": card}, key="once")
    assert sent == {"message_id": "once"}
    changed = {"cardData": {"cardParamMap": {"title": "c"}}}
    assert await rig.connector.call("card.update", {**sent, "card": changed}) == sent
    state = await rig.state()
    assert state.cards == {"once": {"title": "c", "more": "b"}}
    assert [(m.via, m.target) for m in state.messages] == [("card", "dtv1.card//IM_GROUP.cidG")]
    assert (await refused(rig, "card.update", message_id="other", card=changed)).retcode == (
        RetCode.PLATFORM_REFUSED
    )
    await rig.connector.call("message.delete", sent)


async def test_a_growing_text_skips_what_is_overtaken_and_always_ends(rig: Rig) -> None:
    card = await create(rig, stream={"title": "Answer"})
    whole = "".join(str(n % 10) for n in range(40))

    async def show(length: int) -> bool:
        stream = {"text": whole[:length], "final": length == len(whole)}
        told = await rig.connector.call("card.update", {"message_id": card, "stream": stream})
        return told["shown"]

    async with asyncio.timeout(DEADLINE_S):
        shown = await asyncio.gather(*(show(length) for length in range(1, len(whole) + 1)))
    state = await rig.state()
    texts = [call.body["content"] for call in state.api_calls if call.call == "card_text"]
    assert shown[-1]
    assert 1 <= len(texts) == sum(shown) < len(whole)
    assert texts == sorted(texts, key=len)
    assert texts[-1] == state.cards[card]["msgContent"] == whole
    assert state.cards[card]["flowStatus"] == "3"
    assert state.cards[card]["msgTitle"] == "Answer"


async def test_a_limit_of_the_rate_delays_a_text_and_loses_none(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typist, "LIMITED_S", 0.01)
    monkeypatch.setattr(typist, "PACE_S", 0.01)
    card = await create(rig, stream={})
    limit = ApiError(
        platform="dingtalk",
        call="card_text",
        status=403,
        code="Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
        headers={"Retry-After": "0"},
        times=3,
    )
    await rig.admin.fault(limit)
    async with asyncio.timeout(DEADLINE_S):
        told = await rig.connector.call(
            "card.update", {"message_id": card, "stream": {"text": "all", "final": True}}
        )
    state = await rig.state()
    assert told == {"shown": True}
    assert (state.api_errors, state.cards[card]["msgContent"]) == (3, "all")


async def test_a_text_that_is_refused_is_told_and_holds_up_no_other(rig: Rig) -> None:
    stream = {"text": "x"}
    for _ in range(2):
        error = await refused(rig, "card.update", message_id="nobody's", stream=stream)
        assert error.data["platform_code"] == "param.cardNotExist"


async def test_a_file_is_uploaded_in_pieces_and_sent(rig: Rig) -> None:
    content = file_of("mine")
    upload, offset = {}, 0
    while offset < len(content):
        data = content[offset : offset + MIB]
        is_last = offset + len(data) == len(content)
        told = await rig.connector.call(
            "media.upload",
            {**upload, "offset": offset, "data": data, "last": is_last, "name": "a.pdf", "kind": "file"},
        )
        upload, offset = {"upload_id": told.get("upload_id")}, offset + len(data)
    assert (told["kind"], told["name"], told["size"]) == ("file", "a.pdf", len(content))
    await create(rig, segments=[{"type": "file", "data": {"file_id": told["id"], "name": told["name"]}}])
    state = await rig.state()
    (taken,) = [call.body for call in state.api_calls]
    assert (taken["type"], taken["name"]) == ("file", "a.pdf")
    assert taken["sha256"] == hashlib.sha256(content).hexdigest()
    assert state.messages[0].body["msgKey"] == "sampleFile"
    assert told["id"] in state.messages[0].body["msgParam"]


async def test_an_upload_survives_a_refused_token_and_one_try_that_failed(rig: Rig) -> None:
    first = await rig.connector.call("media.upload", {"data": b"abc", "kind": "audio"})
    rig.connector._commands._api._token._value = "stale"
    rig.connector._commands._api._token._ends_at = float("inf")
    last = {"upload_id": first["upload_id"], "offset": 3, "data": b"def", "last": True}
    await rig.admin.fault(ApiError(platform="dingtalk", call="upload", status=503, times=1))
    assert (await refused(rig, "media.upload", **last)).retryable
    told = await rig.connector.call("media.upload", last)
    assert (told["kind"], told["size"]) == ("audio", 6)
    gone = await refused(rig, "media.upload", **last)
    assert (gone.retcode, "begin at 0" in gone.message) == (RetCode.BAD_PARAM, True)


async def test_a_file_over_the_platforms_limit_is_refused_before_it_is_sent(rig: Rig) -> None:
    error = await refused(rig, "media.upload", data=bytes(2 * MIB + 1), kind="audio", last=True)
    assert (error.retcode, str(2 * MIB) in error.message) == (RetCode.BAD_PARAM, True)
    assert (await rig.state()).api_calls == []


@pytest.mark.parametrize("code", ["photo", "whole-photo"])
async def test_a_file_that_people_sent_is_read_in_pieces(rig: Rig, code: str) -> None:
    """Also from a host that knows no ranges, as the one of `whole` files."""
    read, is_last = b"", False
    while not is_last:
        told = await rig.connector.call("media.download", {"resource": code, "offset": len(read)})
        read, is_last = read + told["data"], told["last"]
        assert len(told["data"]) <= CHUNK_BYTES
        assert told["size"] == FILE_BYTES
    assert read == file_of(code)
    middle = await rig.connector.call("media.download", {"resource": code, "offset": 5, "length": 7})
    assert (middle["data"], middle["last"]) == (file_of(code)[5:12], False)
    beyond = await rig.connector.call("media.download", {"resource": code, "offset": FILE_BYTES})
    assert (beyond["data"], beyond["last"]) == (b"", True)


@pytest.mark.parametrize("path", ["/v1.0/contact/users/0300", "/topapi/v2/user/get"])
async def test_any_call_of_both_hosts_carries_the_accounts_token(rig: Rig, path: str) -> None:
    params = {"path": path, "method": "POST", "query": {"lang": "en"}, "body": {"userid": "u"}}
    for token in (None, "stale"):
        if token is not None:
            rig.connector._commands._api._token._value = token
        told = await rig.connector.call("platform.call", params)
        assert told["asked"] == {
            "path": path,
            "method": "POST",
            "query": {"lang": "en"},
            "body": {"userid": "u"},
        }
    assert len((await rig.state()).api_calls) == 2


async def test_dingtalks_limits_are_told_as_they_are(rig: Rig) -> None:
    link = FakeLink()
    await rig.admin.fault(DingTalkRates(platform="dingtalk", per_second=1, per_minute=2))
    async with rig.online(link):
        await rig.inject()
        await link.wait_for_events(1)
        chat = {"id": link.events[0].chat.id, "type": "private"}
        for _ in range(2):
            await rig.connector.call("message.create", {"chat": chat, "text": "x"})
        for _ in range(2):
            barred = await refused(rig, "message.create", chat=chat, text="x")
            assert (barred.retcode, barred.retry_after_ms) == (RetCode.PLATFORM_LIMITED, 600_000)
    outcomes = await asyncio.gather(
        *(rig.connector.call("message.create", {"user": "u", "text": "x"}) for _ in range(8)),
        return_exceptions=True,
    )
    limited = [one for one in outcomes if isinstance(one, CommandError)]
    assert limited
    assert {one.data["platform_code"] for one in limited} == {
        "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
    }
    assert {one.retry_after_ms for one in limited} == {1000}
    sent = [message for message in (await rig.state()).messages if message.via == "oToMessages"]
    assert len(sent) == len(outcomes) - len(limited)
