"""The events the simulated Lark pushes and the messages it takes, driven by a plain client."""

import asyncio
import base64
import json
import time

import pytest

from fakes.plain_lark import (
    APP,
    Bot,
    ack,
    lark_simulator,  # noqa: F401  a fixture
    plain_bot,  # noqa: F401  a fixture
    receive,
    simulator_admin,  # noqa: F401  a fixture
)
from harness.waiting import until
from longwire_connectors.simulator import LarkEvent, Simulator, SimulatorClient, platform
from longwire_connectors.simulator.deliveries import DeliveryBook
from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.fault_kinds import (
    ApiError,
    LarkNoPong,
)


async def test_an_acked_event_is_not_pushed_again(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        (ids,) = await admin.inject_lark(LarkEvent(app=APP, text="hi"))
        frame = await receive(socket)
        assert set(frame.headers) >= {"type", "message_id", "sum", "seq", "trace_id"}
        assert json.loads(frame.payload or b"")["header"]["event_id"] == ids.event_id
        answer = base64.b64encode(b'{"toast":{}}').decode()
        await ack(socket, frame, {"code": 200, "data": answer})

        async def is_acked() -> bool:
            return (await admin.app_state("lark", APP)).acked == 1

        await until(is_acked)
        (record,) = await admin.deliveries("lark", app=APP)
        assert record.acked_at is not None
        assert (record.ack_code, record.ack_data, len(record.sent_at)) == (200, '{"toast":{}}', 1)
        assert record.message_id == ids.message_id


async def test_a_refused_event_climbs_the_ladder_with_fresh_event_ids(
    bot: Bot, admin: SimulatorClient
) -> None:
    async with bot.connect() as socket:
        await admin.inject_lark(LarkEvent(app=APP, has_fresh_event_ids=True))
        seen = []
        for _ in range(3):
            frame = await receive(socket)
            seen.append(json.loads(frame.payload or b"")["header"]["event_id"])
            await ack(socket, frame, {"code": 500})
        assert len(set(seen)) == 3
        state = await admin.app_state("lark", APP)
        assert state.redeliveries >= 2
        assert state.ack_codes == {500: 3}


async def test_redeliver_pushes_an_acked_event_again(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        (ids,) = await admin.inject_lark(LarkEvent(app=APP, parts=2))
        frames = [await receive(socket), await receive(socket)]
        await ack(socket, frames[-1])
        assert await admin.redeliver("lark", app=APP, identity=ids.message_id) == 1
        again = [await receive(socket), await receive(socket)]
        assert [frame.headers["message_id"] for frame in again] == [ids.frame_message_id] * 2


async def test_events_wait_for_a_connection_and_keep_their_order(bot: Bot, admin: SimulatorClient) -> None:
    await admin.inject_lark(LarkEvent(app=APP, text="{n}", count=1000))
    async with bot.connect() as socket:
        frames = [await receive(socket) for _ in range(1000)]
    contents = [json.loads(frame.payload or b"")["event"]["message"]["content"] for frame in frames]
    assert contents == [f'{{"text":"{number}"}}' for number in range(1000)]


async def test_events_come_at_their_rate(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        asked_at = time.time()
        await admin.inject_lark(LarkEvent(app=APP, count=3, rate_per_s=50.0))
        for _ in range(3):
            await receive(socket)
        sent = [record.sent_at[0] for record in await admin.deliveries("lark")]
        assert sent[2] - asked_at >= 0.04  # a late first one leaves the schedule as it is


async def test_several_connections_share_the_events(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as first, bot.connect() as second:
        await admin.inject_lark(LarkEvent(app=APP, count=50))

        async def all_sent() -> bool:
            return (await admin.app_state("lark", APP)).events_sent == 50

        await until(all_sent)
        used = {record.connections[0] for record in await admin.deliveries("lark")}
        assert len(used) == 2
        assert (await admin.app_state("lark", APP)).connections_max_open == 2
        target = (await admin.app_state("lark", APP)).connections[0].id
        await admin.inject_lark(LarkEvent(app=APP, count=9, connection=target))
        await admin.inject_lark(LarkEvent(app=APP, connection="gone"))

        async def bound_sent() -> bool:
            return (await admin.app_state("lark", APP)).events_sent == 59

        await until(bound_sent)
        bound = (await admin.deliveries("lark"))[50:59]
        assert {record.connections[0] for record in bound} == {target}
        assert (await admin.app_state("lark", APP)).dropped == 1
        del first, second


async def test_a_full_book_is_an_explicit_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "DeliveryBook", lambda: DeliveryBook(max_unfinished=2))
    monkeypatch.setattr(platform, "MAX_STATES", 1)
    async with Simulator() as simulator, SimulatorClient(simulator.url) as admin:
        with pytest.raises(AdminRequestError, match="no room for 3") as refusal:
            await admin.inject_lark(LarkEvent(app=APP, count=3))
        assert refusal.value.status == 429
        assert await admin.deliveries("lark") == []
        await admin.inject_lark(LarkEvent(app=APP))
        await admin.inject_lark(LarkEvent(app="another"))
        state = await admin.state()
        assert {app: counts.events_injected for app, counts in state.lark.items()} == {APP: 1, "": 1}


async def test_a_client_that_reads_nothing_holds_up_neither_others_nor_the_end(bot: Bot) -> None:
    async with Simulator() as simulator, SimulatorClient(simulator.url) as admin:
        frozen = Bot(simulator.url, bot.session)
        healthy = Bot(simulator.url, bot.session, app="cli_healthy")
        async with frozen.connect() as socket, healthy.connect() as other:
            transport = socket._response.connection.transport
            transport.pause_reading()
            await admin.inject_lark(LarkEvent(app=APP, count=600, raw_text="x" * 65536))
            await admin.inject_lark(LarkEvent(app="cli_healthy"))
            await ack(other, await receive(other))

            async def is_full() -> bool:
                phases = [record.phase.value for record in await admin.deliveries("lark", app=APP)]
                return phases.count("waiting") > 200

            await until(is_full)
            async with asyncio.timeout(5.0):
                assert await admin.drop("lark", app=APP) == 1
            assert (await admin.app_state("lark", APP)).connections_open == 0
            transport.abort()


async def test_messages_are_sent_once_per_uuid_and_kept(bot: Bot, admin: SimulatorClient) -> None:
    body = {"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"a"}', "uuid": "u1"}
    path = "/im/v1/messages?receive_id_type=chat_id"
    first = await bot.call(path, body)
    again = await bot.call(path, body)
    assert first == again
    assert first[1]["data"]["chat_id"] == "oc_1"
    reply = {"msg_type": "text", "content": '{"text":"b"}', "reply_in_thread": True}
    plain = {"msg_type": "text", "content": "{}"}
    assert "thread_id" not in (await bot.call("/im/v1/messages/om_1/reply", plain))[1]["data"]
    _, answer = await bot.call("/im/v1/messages/om_1/reply", reply)
    assert (answer["data"]["parent_id"], answer["data"]["thread_id"]) == ("om_1", "omt_1")
    _, another = await bot.call("/im/v1/messages/om_1/reply", reply)
    assert another["data"]["message_id"] != answer["data"]["message_id"]
    state = await admin.app_state("lark", APP)
    assert [(sent.via, sent.target) for sent in state.messages] == [
        ("send chat_id", "oc_1"),
        ("reply", "om_1"),
        ("reply", "om_1"),
        ("reply", "om_1"),
    ]
    assert state.messages[0].body == body
    assert state.tokens_issued == 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/im/v1/messages?receive_id_type=nothing", {}),
        ("/im/v1/messages", {"receive_id": ""}),
        ("/im/v1/messages", {"uuid": "u" * 51}),
        ("/im/v1/messages", {"content": "not json"}),
        ("/im/v1/messages", {"content": {"text": "an object"}}),
        ("/im/v1/messages", {"msg_type": None}),
    ],
)
async def test_messages_with_wrong_fields_are_refused(bot: Bot, path: str, change: dict) -> None:
    body = {"receive_id": "ou_1", "msg_type": "text", "content": "{}", **change}
    status, answer = await bot.call(path, body)
    assert (status, answer["code"]) == (400, 99992402)


@pytest.mark.parametrize(
    ("kind", "most"), [("text", 150 * 1024), ("post", 30 * 1024), ("interactive", 30 * 1024)]
)
async def test_messages_that_say_too_much_are_refused(bot: Bot, kind: str, most: int) -> None:
    for length, code in ((most, 0), (most + 1, 230025)):
        content = json.dumps({"text": "x" * (length - len('{"text": ""}'))})
        body = {"receive_id": "ou_1", "msg_type": kind, "content": content}
        assert (await bot.call("/im/v1/messages?receive_id_type=open_id", body))[1]["code"] == code


async def test_tokens_are_checked(bot: Bot) -> None:
    info = f"{bot.url}/open-apis/bot/v3/info"
    for headers, code in (({}, 99991661), ({"Authorization": "Bearer t-wrong"}, 99991663)):
        async with bot.session.get(info, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (400, code)
        status, answer = await bot.post("/open-apis/im/v1/messages", {"receive_id": "x"}, headers=headers)
        assert (status, answer["code"]) == (400, code)
    headers = {"Authorization": f"Bearer {await bot.token()}"}
    async with bot.session.get(info, headers=headers) as response:
        answer = await response.json()
    assert answer["bot"]["open_id"] == "ou_0123456789abcdef"
    wrong = {"app_id": APP, "app_secret": "wrong"}
    path = "/open-apis/auth/v3/tenant_access_token/internal"
    assert (await bot.post(path, wrong))[1]["code"] == 10014
    async with bot.session.post(f"{bot.url}{path}", data=b"{") as response:
        assert (await response.json())["code"] == 10003


async def test_api_faults_carry_status_code_and_headers(bot: Bot, admin: SimulatorClient) -> None:
    limit = {"x-ogw-ratelimit-reset": "3"}
    await admin.fault(
        ApiError(platform="lark", call="send", status=429, code=99991400, headers=limit, times=1)
    )
    body = {"receive_id": "oc_1", "msg_type": "text", "content": "{}"}
    headers = {"Authorization": f"Bearer {await bot.token()}"}
    url = f"{bot.url}/open-apis/im/v1/messages?receive_id_type=chat_id"
    async with bot.session.post(url, json=body, headers=headers) as response:
        assert (response.status, response.headers["x-ogw-ratelimit-reset"]) == (429, "3")
    await admin.fault(ApiError(platform="lark", call="token", code=99991663, times=1))
    path = "/open-apis/auth/v3/tenant_access_token/internal"
    assert (await bot.post(path, {"app_id": APP, "app_secret": "s"}))[1]["code"] == 99991663
    assert (await admin.app_state("lark", APP)).api_errors == 2


async def test_the_admin_plane_refuses_precisely(bot: Bot, admin: SimulatorClient) -> None:
    status, answer = await bot.post("/_sim/lark/events", {"app": APP, "txet": "typo"})
    assert status == 400
    assert "txet" in answer["error"]
    with pytest.raises(AdminRequestError, match="no fault 'fault-9'"):
        await admin.clear_faults("fault-9")
    assert (await bot.post("/_sim/slack/redeliver", {"app": APP, "id": "x"}))[0] == 404
    with pytest.raises(RuntimeError, match="async with"):
        await SimulatorClient(bot.url).state()
    fault_id = await admin.fault(LarkNoPong(platform="lark"))
    (entry,) = await admin.faults()
    assert entry.fault == {"name": "no_pong", "platform": "lark", "app": "*", "for_s": None, "times": None}
    assert await admin.clear_faults(fault_id) == 1
    assert await admin.clear_faults() == 0
