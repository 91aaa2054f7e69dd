"""What goes over the DingTalk connector: frames in and their acknowledgements, commands out."""

import asyncio
import json

import pytest

from fakes.dingtalk_bench import (  # noqa: F401  pytest finds a fixture by its name in the module
    APP,
    DEADLINE_S,
    Rig,
    nothing_forbidden_is_logged,
    nothing_is_left_running,
    running_rig,
)
from fakes.host import FakeLink
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import ApiError, ApiHang
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot


async def test_messages_come_in_order_and_are_acknowledged(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        ids = await rig.inject(count=200, text="number {n}")
        await link.wait_for_events(200)
        assert [event.text for event in link.events] == [f"number {n}" for n in range(200)]
        assert [event.dedup_key for event in link.events] == [f"m:{given}" for given in ids]
        await rig.reaches(lambda state: state.acked == 200)
    event = link.events[0]
    assert event.bot == rig.host.bot == Bot(id=f"$:LWCP_v1:${APP}==", code=APP)
    assert "sendBySession" not in repr(event)
    assert link.frames == 200
    assert {record.ack_data for record in await rig.admin.deliveries("dingtalk")} == {'{"response": null}'}


async def test_nothing_is_acknowledged_before_it_is_stored(rig: Rig) -> None:
    link = FakeLink(stores=False)
    async with rig.online(link):
        await rig.inject()
        await rig.inject(kind="event")
        await rig.inject(kind="card")
        await link.wait_for_events(3)
        await rig.round_trip()
        assert (await rig.state()).acked == 1
        link.storing.set()
        await rig.reaches(lambda state: state.acked == 4)
    deliveries = {record.kind: record.ack_data for record in await rig.admin.deliveries("dingtalk")}
    assert json.loads(deliveries["event"] or "") == {"status": "SUCCESS"}
    assert json.loads(deliveries["card"] or "") == {"response": None}
    assert [event.type for event in link.events] == ["message.created", "chat.updated", "card.action"]


async def test_what_is_not_stored_is_not_acknowledged(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwire_connectors.dingtalk.session.STORED_WITHIN_S", 0.01)
    link = FakeLink(stores=False)
    async with rig.online(link):
        await rig.inject()

        async def is_given_up() -> bool:
            return rig.host.counts["not_stored_in_time"] == 1

        await until(is_given_up)
        await rig.round_trip()
        state = await rig.state()
        assert (state.acks, state.acked) == (1, 1)


async def test_no_more_is_read_while_very_much_is_unanswered(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire_connectors.dingtalk.session.MAX_UNANSWERED", 3)
    link = FakeLink(stores=False)
    async with rig.online(link):
        await rig.inject(count=10)
        await link.wait_for_events(3)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(link.events) == 3
        link.storing.set()
        await link.wait_for_events(10)
        await rig.reaches(lambda state: state.acked == 10)


async def test_events_that_came_with_the_end_are_handed_over(rig: Rig) -> None:
    link = FakeLink(stores=False)
    async with rig.online(link) as task:
        await rig.inject(count=50)
        await rig.admin.drop("dingtalk", app=APP, code=1001)
        async with asyncio.timeout(DEADLINE_S):
            failure = await asyncio.shield(task)
    sent = (await rig.state()).events_sent
    assert failure.reason == "closed_by_peer"
    assert len(link.events) == sent


async def test_bad_frames_are_counted_and_the_link_stays_up(rig: Rig) -> None:
    link = FakeLink()
    headers = {"topic": "/v1.0/im/bot/messages/get", "messageId": "f", "contentType": "application/json"}
    async with rig.online(link):
        for raw in (
            [1, 2],
            {"type": "CALLBACK"},
            {"type": "CALLBACK", "headers": headers, "data": "no json"},
            {"type": "EVENT", "headers": {**headers, "time": "soon"}, "data": "{}"},
            {"type": "CALLBACK", "headers": headers, "data": "[" * 100_000},
            {"type": "EVENT", "headers": headers, "data": "[" * 200 + "]" * 200},
        ):
            await rig.inject(kind="raw", raw=raw)
        await rig.inject(kind="raw", raw_text="not json \ud7ff")
        await rig.inject(kind="raw", raw={"type": "SYSTEM", "headers": {"topic": "KEEPALIVE"}})
        await rig.inject(omitted_fields=["msgId"])
        await link.wait_for_events(1)
        await rig.round_trip()
        state = await rig.state()
    assert rig.host.counts == {"malformed_frame": 7}
    assert link.events[0].dedup_key is None
    assert state.ack_codes == {400: 4, 200: 2}
    assert state.connections_total == 1


async def test_an_unknown_topic_is_answered_as_the_protocol_says(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        await rig.inject(topic="/v1.0/unknown")
        await rig.inject(kind="raw", raw={"type": "FUTURE", "headers": {"messageId": "x"}})
        await rig.inject()
        await link.wait_for_events(1)
        await rig.round_trip()
        state = await rig.state()
    assert rig.host.counts == {"unknown_topic": 2}
    assert state.ack_codes == {404: 2, 200: 2}
    assert len(link.events) == 1


async def test_a_frame_over_the_limit_is_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwire_connectors.dingtalk.connection.MAX_FRAME_BYTES", 10_000)
    async with rig.online(FakeLink()) as task:
        await rig.inject(text="x" * 20_000)
        async with asyncio.timeout(DEADLINE_S):
            failure = await asyncio.shield(task)
    assert failure.reason == "frame_too_large"
    assert rig.host.counts == {"frame_too_large": 1}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of the test's own request
async def test_a_frame_of_four_mebibytes_arrives(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        await rig.inject(text="x" * 4 * 1024 * 1024)
        await link.wait_for_events(1)
    assert len(link.events[0].text or "") == 4 * 1024 * 1024


async def test_an_error_of_ours_costs_one_frame_and_not_the_link(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = FakeLink()
    real = link.hand_over
    calls = iter(range(10))

    async def fails_once(event: object, *, timeout_s: float) -> bool:
        if next(calls) == 0:
            raise RuntimeError("a bug")
        return await real(event, timeout_s=timeout_s)

    monkeypatch.setattr(link, "hand_over", fails_once)
    async with rig.online(link):
        await rig.inject(count=2)
        await link.wait_for_events(1)
        await rig.reaches(lambda state: state.acked == 1)
    assert rig.host.counts == {"failed_frame": 1}


async def test_a_reply_goes_by_the_session_webhook(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        await rig.inject()
        await link.wait_for_events(1)
        event = link.events[0]
        chat = {"id": event.chat.id, "type": event.chat.type}
        params = {"chat": chat, "reply_to": event.message_id, "text": "echo"}
        assert await rig.connector.call("message.create", params) == {}
        assert await rig.connector.call("message.create", {"chat": event.chat.id, "text": "2"}) == {}
        await rig.admin.fault(ApiError(platform="dingtalk", status=200, code=130101, msg="slow", times=1))
        with pytest.raises(CommandError) as refusal:
            await rig.connector.call("message.create", params)
    assert (refusal.value.retcode, refusal.value.retry_after_ms) == (RetCode.PLATFORM_LIMITED, 600_000)
    messages = (await rig.state()).messages
    assert [message.via for message in messages] == ["sessionWebhook", "sessionWebhook"]
    assert messages[0].body == {"msgtype": "text", "text": {"content": "echo"}}
    assert (await rig.state()).tokens_issued == 0


async def test_messages_go_by_openapi_where_no_webhook_is_known(rig: Rig) -> None:
    call = rig.connector.call
    by_user, by_chat = await asyncio.gather(
        call("message.create", {"user": "0300", "text": "one"}),
        call("message.create", {"chat": "cidGroup==", "text": "two"}),
    )
    state = await rig.state()
    assert sorted(message.via for message in state.messages) == ["groupMessages", "oToMessages"]
    assert {message.message_id for message in state.messages} == {
        by_user["message_id"],
        by_chat["message_id"],
    }
    assert {message.body["robotCode"] for message in state.messages} == {APP}
    assert state.tokens_issued == 1


async def test_a_private_chat_is_answered_after_its_webhook_ended(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        await rig.inject(session_life_s=1.0)
        await link.wait_for_events(1)
        chat = {"id": link.events[0].chat.id, "type": "private"}
        answer = await rig.connector.call("message.create", {"chat": chat, "text": "late"})
    (message,) = (await rig.state()).messages
    assert (message.via, message.body["userIds"]) == ("oToMessages", ["0300simulated"])
    assert answer == {"message_id": message.message_id}


async def test_a_refused_token_is_renewed_once(rig: Rig) -> None:
    await rig.connector.call("message.create", {"user": "0300", "text": "one"})
    rig.connector._commands._api._token._value = "stale"
    await rig.connector.call("message.create", {"user": "0300", "text": "two"})
    assert len((await rig.state()).messages) == 2
    await rig.admin.register("dingtalk", app=APP, secret="another")
    rig.connector._commands._api._token._value = "stale"
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.create", {"user": "0300", "text": "three"})
    assert refusal.value.data == {"platform_code": "authFailed", "http_status": 401}


@pytest.mark.parametrize(
    ("status", "code", "retcode"),
    [
        (429, "Throttling", RetCode.PLATFORM_LIMITED),
        (403, "Forbidden.AccessDenied.QpsLimitForApi", RetCode.PLATFORM_LIMITED),
        (400, "invalidParameter", RetCode.PLATFORM_REFUSED),
        (400, "systemError", RetCode.DEADLINE_EXCEEDED),
        (500, "systemError", RetCode.DEADLINE_EXCEEDED),
        (503, "ServiceUnavailable", RetCode.PLATFORM_UNREACHABLE),
    ],
)
async def test_a_refusal_of_openapi_carries_its_code(
    rig: Rig, status: int, code: str, retcode: RetCode
) -> None:
    await rig.admin.fault(ApiError(platform="dingtalk", call="send", status=status, code=code))
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.create", {"chat": "cidG", "text": "x"})
    assert refusal.value.retcode == retcode
    assert refusal.value.data["platform_code"] == code


@pytest.mark.parametrize(
    ("call", "retcode", "is_retryable"),
    [("token", RetCode.PLATFORM_UNREACHABLE, True), ("send", RetCode.DEADLINE_EXCEEDED, False)],
)
async def test_an_answer_that_does_not_come_leaves_the_effect_of_sending_unknown(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, call: str, retcode: RetCode, *, is_retryable: bool
) -> None:
    monkeypatch.setattr("longwire_connectors.dingtalk.openapi.TOTAL_S", 1.0)
    await rig.admin.fault(ApiHang(platform="dingtalk", call=call))
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.create", {"chat": "cidG", "text": "x"})
    assert (refusal.value.retcode, refusal.value.retryable) == (retcode, is_retryable)


async def test_other_commands_are_unknown(rig: Rig) -> None:
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.forward", {})
    assert refusal.value.retcode == RetCode.UNKNOWN_METHOD
