"""What the Lark connector, with the real SDK, makes of events that come and of messages that go."""

import asyncio
import json

import pytest

from fakes.host import FakeHost, FakeLink
from fakes.lark_bench import (
    APP,
    DEADLINE_S,
    SECRET,
    Bench,
    benches,
    lark_bench,  # noqa: F401  a fixture
    lark_host,  # noqa: F401  a fixture
    loose_ends,  # noqa: F401  a fixture
)
from longwire_connectors.simulator.fault_kinds import (
    ApiError,
    ApiHang,
    FaultBase,
)
from longwire_connectors.simulator.injections import LarkMention
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot
from longwire_protocol.link import Fault


async def test_events_are_handed_over_in_the_order_in_which_they_came_and_acked(bench: Bench) -> None:
    await bench.proven()
    await bench.inject(text="{n}", count=500)
    await bench.link.wait_for_events(500)
    assert [event.text for event in bench.link.events] == [str(number) for number in range(500)]
    state = await bench.reaches(lambda state: state.acked == 500)
    assert state.ack_codes == {200: 500}
    assert {event.type for event in bench.link.events} == {"message.created"}


async def test_events_that_waited_for_the_connection_are_handed_over(bench: Bench) -> None:
    await bench.inject(text="early", count=3)
    await bench.proven()
    await bench.reaches(lambda state: state.acked == 3)


async def test_nothing_is_acked_before_it_is_stored(bench: Bench) -> None:
    await bench.proven(stores=False)
    await bench.inject(count=20, parts=2)
    await bench.link.wait_for_events(20)
    assert (await bench.state()).acks == 0
    bench.link.storing.set()
    state = await bench.reaches(lambda state: state.acked == 20)
    assert state.acks == 20
    assert len(bench.link.events) == 20


async def test_what_is_not_stored_in_time_is_not_acked_and_comes_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire_connectors.lark.client.ACK_WITHIN_S", 0.05)
    await bench.proven(stores=False)
    await bench.inject(count=1)
    await bench.link.wait_for_events(1)
    await bench.until(lambda: bench.host.counts["ack_withheld"] == 1)
    assert (await bench.state()).acks == 0
    bench.link.storing.set()
    await bench.link.wait_for_events(2)
    await bench.reaches(lambda state: state.acked == 1)
    assert len({event.dedup_key for event in bench.link.events}) == 1


class FullLink(FakeLink):
    """A link whose journal takes nothing for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.has_room = asyncio.Event()
        self.has_room.set()

    async def room(self) -> None:
        await self.has_room.wait()


async def test_a_journal_without_room_stops_the_reading_and_not_the_link() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=0.5)) as bench:
        bench.link = link = FullLink()
        serving = bench.serving = asyncio.create_task(bench.connector.serve(link), name="serve")
        async with asyncio.timeout(DEADLINE_S):
            await link.is_proven.wait()
        link.has_room.clear()
        await bench.inject(text="{n}", count=500)
        await link.wait_for_events(1)
        done, _ = await asyncio.wait([serving], timeout=1.5)  # three link timeouts
        assert not done
        assert len(link.events) < 500
        link.has_room.set()
        await bench.reaches(lambda state: state.acked == 500)
        assert [event.text for event in link.events][:500] == [str(number) for number in range(500)]


async def test_parts_in_any_order_make_one_event(bench: Bench) -> None:
    await bench.proven()
    await bench.inject(text="one", parts=2)
    await bench.inject(text="two", parts=20, part_order=list(range(19, -1, -1)))
    await bench.inject(text="three", parts=3, part_order=[2, 2, 0, 0, 1])
    await bench.reaches(lambda state: state.acked == 3)
    assert [event.text for event in bench.link.events] == ["one", "two", "three"]


async def test_a_message_without_one_of_its_parts_is_dropped_and_the_link_stays_up(bench: Bench) -> None:
    await bench.proven()
    await bench.inject(text="never", parts=5, missing_part=3, is_redelivered=False)
    await bench.inject(text="beyond", parts=3, part_order=[0, 3, 1], is_redelivered=False)
    await bench.inject(text="count", parts=3, declared_sum=-7, is_redelivered=False, raw_text="{")
    await bench.inject(text="headers", omitted_headers=["trace_id"], is_redelivered=False)
    await bench.inject(text="type", frame_type="unheard-of", is_redelivered=False)
    await bench.inject(text="whole")
    await bench.reaches(lambda state: state.acked == 1)
    assert [event.text for event in bench.link.events] == ["whole"]
    assert bench.host.counts["malformed_frame"] >= 3
    assert (await bench.state()).connections_total == 1


async def test_a_redelivery_of_parts_within_five_seconds_makes_one_more_hand_over_of_the_same_key(
    bench: Bench,
) -> None:
    await bench.proven()
    await bench.inject(text="again", parts=4, message_id="om_1")
    await bench.reaches(lambda state: state.acked == 1)
    assert await bench.admin.redeliver("lark", app=APP, identity="om_1") == 1
    await bench.reaches(lambda state: state.acks == 2)
    assert [event.dedup_key for event in bench.link.events] == ["m:om_1", "m:om_1"]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of the simulator's client
async def test_an_event_of_four_mebibytes_arrives(bench: Bench) -> None:
    await bench.proven()
    await bench.inject(text="x" * (4 * 1024 * 1024))
    await bench.reaches(lambda state: state.acked == 1)
    assert len(bench.link.events[0].text or "") == 4 * 1024 * 1024
    assert (await bench.state()).connections_total == 1


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of the simulator's client
async def test_an_event_over_the_limit_ends_the_link_with_its_reason(bench: Bench) -> None:
    await bench.proven()
    await bench.inject(text="x" * (9 * 1024 * 1024), is_redelivered=False)
    assert bench.serving is not None
    async with asyncio.timeout(DEADLINE_S):
        failure = await bench.serving
    assert (failure.fault, failure.reason, failure.error_code) == (Fault.TRANSIENT, "frame_too_large", "1009")


async def test_a_card_click_is_acked_with_an_empty_answer(bench: Bench) -> None:
    await bench.proven(stores=False)
    await bench.inject(kind="card", action_value={"choice": "yes"})
    await bench.link.wait_for_events(1)
    assert (await bench.state()).acks == 0
    bench.link.storing.set()
    await bench.reaches(lambda state: state.acked == 1)
    (record,) = await bench.admin.deliveries("lark", app=APP)
    assert (record.ack_code, record.ack_data) == (200, "{}")
    (event,) = bench.link.events
    assert event.type == "card.action"
    assert event.raw["event"]["token"] == "[redacted]"
    assert event.raw["event"]["action"]["value"] == {"choice": "yes"}


async def test_an_unknown_event_is_stored_and_acked_as_it_is(bench: Bench) -> None:
    await bench.proven()
    await bench.inject(event_type="im.unheard.of_v9", event_id="e-1")
    await bench.reaches(lambda state: state.ack_codes == {200: 1})
    (event,) = bench.link.events
    assert (event.type, event.dedup_key) == ("platform.raw", "e:e-1")


async def test_a_payload_that_is_no_json_is_refused_and_counted(bench: Bench) -> None:
    await bench.proven()
    await bench.inject(raw_text="no json", is_redelivered=False)
    await bench.reaches(lambda state: state.ack_codes == {500: 1})
    assert bench.host.counts == {"malformed_event": 1}
    assert bench.link.events == []


async def test_the_bot_learns_who_it_is_and_recognises_mentions(bench: Bench) -> None:
    await bench.proven()
    await bench.until(lambda: bench.host.bot is not None)
    assert bench.host.bot == Bot("ou_0123456789abcdef", "Acme Bot")
    mention = LarkMention(open_id="ou_0123456789abcdef", name="Acme Bot")
    await bench.inject(chat_type="group", text="@_user_1 hi", mentions=[mention])
    await bench.link.wait_for_events(1)
    (event,) = bench.link.events
    assert (event.text, event.to_me) == ("@Acme Bot hi", True)


@pytest.mark.parametrize(
    "fault", [ApiHang(platform="lark"), ApiError(platform="lark", status=404, code="none")]
)
async def test_a_platform_that_does_not_tell_the_identity_is_used_all_the_same(
    bench: Bench, fault: FaultBase
) -> None:
    await bench.fault(fault)
    await bench.proven()
    await bench.inject(text="hi", chat_type="group")
    await bench.reaches(lambda state: state.acked == 1)
    assert bench.link.events[0].to_me is None
    assert bench.host.bot is None
    assert await bench.stop() < 2.0


async def test_messages_are_sent_to_chats_and_users_and_as_replies(bench: Bench) -> None:
    send = bench.connector.call
    sent = await send("message.create", {"chat": {"id": "oc_1", "type": "group"}, "text": "hello"})
    await send("message.create", {"user": "ou_1", "card": {"elements": []}})
    await send("message.create", {"reply_to": "om_1", "chat": "oc_1", "text": "answer"})
    state = await bench.state()
    assert [(sent.via, sent.target) for sent in state.messages] == [
        ("send chat_id", "oc_1"),
        ("send open_id", "ou_1"),
        ("reply", "om_1"),
    ]
    assert sent == {"message_id": state.messages[0].message_id}
    bodies = [message.body for message in state.messages]
    assert [body["msg_type"] for body in bodies] == ["text", "interactive", "text"]
    assert json.loads(str(bodies[0]["content"])) == {"text": "hello"}
    assert len({body["uuid"] for body in bodies}) == 3
    assert state.tokens_issued == 1


async def test_a_token_the_platform_forgot_is_renewed_once(bench: Bench) -> None:
    params = {"chat": "oc_1", "text": "a"}
    await bench.fault(ApiError(platform="lark", call="send", status=400, code=99991663, times=1))
    await bench.connector.call("message.create", params)
    assert len((await bench.state()).messages) == 1
    await bench.fault(ApiError(platform="lark", call="send", status=400, code=99991663))
    with pytest.raises(CommandError) as refusal:
        await bench.connector.call("message.create", params)
    assert (refusal.value.retcode, refusal.value.data) == (
        RetCode.PLATFORM_REFUSED,
        {"platform_code": 99991663},
    )


@pytest.mark.parametrize(
    ("fault", "retcode", "is_retryable", "wait_ms"),
    [
        (
            ApiError(platform="lark", status=429, code=99991400, headers={"x-ogw-ratelimit-reset": "3"}),
            RetCode.PLATFORM_LIMITED,
            True,
            3000,
        ),
        (ApiError(platform="lark", status=400, code=230020), RetCode.PLATFORM_LIMITED, True, 1000),
        (ApiError(platform="lark", call="send", status=500, code=1), RetCode.DEADLINE_EXCEEDED, False, None),
        (
            ApiError(platform="lark", status=503, code=1, headers={"Retry-After": "2"}),
            RetCode.PLATFORM_UNREACHABLE,
            True,
            2000,
        ),
        (ApiError(platform="lark", call="token", status=500), RetCode.PLATFORM_UNREACHABLE, True, None),
        (ApiError(platform="lark", call="send", code="text"), RetCode.DEADLINE_EXCEEDED, False, None),
        (ApiError(platform="lark", call="token", code="text"), RetCode.PLATFORM_UNREACHABLE, True, None),
        (ApiError(platform="lark", status=400, code=10014), RetCode.PLATFORM_REFUSED, False, None),
    ],
)
async def test_refused_messages_say_what_happens_next(
    bench: Bench, fault: FaultBase, retcode: RetCode, *, is_retryable: bool, wait_ms: int | None
) -> None:
    await bench.fault(fault)
    with pytest.raises(CommandError) as refusal:
        await bench.connector.call("message.create", {"chat": "oc_1", "text": "a"})
    error = refusal.value
    assert (error.retcode, error.retryable, error.retry_after_ms) == (retcode, is_retryable, wait_ms)
    assert SECRET not in error.message


async def test_a_call_that_is_cancelled_ends_at_once(bench: Bench) -> None:
    await bench.fault(ApiHang(platform="lark", call="send"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await bench.connector.call("message.create", {"chat": "oc_1", "text": "a"})


async def test_an_unknown_method_is_refused(bench: Bench) -> None:
    with pytest.raises(CommandError) as refusal:
        await bench.connector.call("message.teleport", {})
    assert refusal.value.retcode == RetCode.UNKNOWN_METHOD
