"""The DingTalk connector: the real SDK against the simulator, without a parent."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from fakes.host import FakeHost, FakeLink
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.simulator import DingTalkEvent, Simulator, SimulatorClient
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    ApiError,
    ApiHang,
    DingTalkOpenStatus,
    DiscoveryBadJson,
    DiscoveryHang,
    NoWsPong,
)
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot
from longwire_protocol.link import Fault, LinkFailure

APP = "dingsim"
SECRET = "a-very-secret-value"
DEADLINE_S = 30.0
FORBIDDEN = (
    "never retrieved",
    "was destroyed but it is pending",
    "attached to a different loop",
    "Event loop is closed",
    "Logging error",
    "sendBySession",
    "ticket=",
    SECRET,
)


class Rig:
    """A simulator, its admin plane, and a connector with its host."""

    def __init__(self, url: str, admin: SimulatorClient) -> None:
        self.url, self.admin = url, admin
        self.host = FakeHost(platform="dingtalk")
        self.connector = self.new_connector()

    def new_connector(self, *, secret: str = SECRET, url: str | None = None) -> DingTalkConnector:
        options = DingTalkOptions(client_id=APP, client_secret=secret, api_base=f"{url or self.url}/")
        connector = DingTalkConnector(options, self.host)
        connector.load()
        return connector

    async def state(self) -> AppState:
        return await self.admin.app_state("dingtalk", APP)

    async def inject(self, **fields: object) -> list[str]:
        made = await self.admin.inject_dingtalk(DingTalkEvent(app=APP, **fields))
        return [ids.message_id for ids in made]

    async def reaches(self, condition: Callable[[AppState], bool]) -> AppState:
        async def holds() -> bool:
            return condition(await self.state())

        await until(holds)
        return await self.state()

    async def round_trip(self) -> None:
        """Return when what was sent before has been dealt with: frames are read and answered in order."""
        before = (await self.state()).acked
        await self.inject(kind="ping")
        await self.reaches(lambda state: state.acked > before)

    @asynccontextmanager
    async def online(self, link: FakeLink) -> AsyncIterator[asyncio.Task[LinkFailure]]:
        task = asyncio.create_task(self.connector.serve(link), name="serve")
        try:
            async with asyncio.timeout(DEADLINE_S):
                await link.is_proven.wait()
            yield task
        finally:
            await stop(task)

    async def attempt(self, link: FakeLink | None = None) -> LinkFailure:
        async with asyncio.timeout(DEADLINE_S):
            return await self.connector.serve(link or FakeLink())


async def stop(task: asyncio.Task[LinkFailure]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=DEADLINE_S)
    assert task.done()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110  what it waits for is only seen by asking
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _nothing_forbidden_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    written = capfd.readouterr()
    text = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    for where in (text, caplog.text, written.out, written.err):
        assert [words for words in FORBIDDEN if words in where] == []


@pytest.fixture(autouse=True)
async def _nothing_is_left_running() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if "dingtalk" in task.get_name()}
    assert left == set()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Simulator(time_scale=1000.0) as simulator, SimulatorClient(simulator.url) as admin:
        rig = Rig(simulator.url, admin)
        yield rig
        await rig.connector.close()


def test_the_module_is_imported_without_its_sdk_and_loads_it_lean() -> None:
    script = """
import sys
from longwire_connectors.dingtalk.connector import DingTalkConnector as C
heavy = {"dingtalk_stream", "websockets", "requests", "aiohttp"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
text = C(C.declaration.options(client_id="a", client_secret="b"), None).load()
assert text.startswith("dingtalk-stream 0."), text
assert "dingtalk_stream.stream" in sys.modules
assert not {"aiohttp", "dingtalk_stream.card_replier"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_without_the_sdk_the_import_error_comes_from_load() -> None:
    script = """
import sys
sys.modules["dingtalk_stream"] = None
from longwire_connectors.dingtalk.connector import DingTalkConnector as C
try:
    C(C.declaration.options(client_id="a", client_secret="b"), None).load()
except ImportError:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 7


async def test_it_connects_proves_itself_and_stops_with_a_close_frame(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link) as task:
        assert link.connection
        assert link.pongs == 1
        state = await rig.state()
        assert state.connections[0].subscriptions == [
            "CALLBACK /v1.0/card/instances/callback",
            "CALLBACK /v1.0/im/bot/messages/get",
            "EVENT *",
        ]
        began = time.monotonic()
        await stop(task)
        assert time.monotonic() - began < 2
        assert task.cancelled()
    state = await rig.reaches(lambda state: state.connections_open == 0)
    assert (state.connections[0].closed_by, state.connections[0].close_code) == ("client", 1000)
    assert (state.discovery_calls, state.connections_total) == (1, 1)


async def test_messages_come_in_order_and_are_acknowledged(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        ids = await rig.inject(count=200, text="number {n}")
        await link.wait_for_events(200)
        assert [event.text for event in link.events] == [f"number {n}" for n in range(200)]
        assert [event.dedup_key for event in link.events] == [f"m:{given}" for given in ids]
        await rig.reaches(lambda state: state.acked == 200)
    event = link.events[0]
    assert event.bot == rig.host.bot == Bot(id=f"$:LWCP_v1:${APP}==")
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
    assert [event.type for event in link.events] == ["message.created", "platform.raw", "card.action"]


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


async def test_stopping_while_the_request_for_a_connection_hangs_is_prompt(rig: Rig) -> None:
    await rig.admin.fault(DiscoveryHang(platform="dingtalk"))
    task = asyncio.create_task(rig.connector.serve(FakeLink()), name="serve")
    await rig.reaches(lambda state: state.discovery_calls == 1)
    began = time.monotonic()
    await stop(task)
    assert time.monotonic() - began < 1
    await rig.admin.clear_faults()
    state = await rig.state()
    assert (state.discovery_calls, state.connections_total) == (1, 0)


async def test_a_request_for_a_connection_that_hangs_ends_with_the_link_timeout(rig: Rig) -> None:
    rig.host = FakeHost(platform="dingtalk", link_timeout_s=0.2)
    rig.connector = rig.new_connector()
    await rig.admin.fault(DiscoveryHang(platform="dingtalk"))
    failure = await rig.attempt()
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "discovery_timeout")


@pytest.fixture
def mute_server() -> Iterator[int]:
    """Accepts connections, in the kernel, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_handshake_that_hangs_is_bounded_and_can_be_stopped(rig: Rig, mute_server: int) -> None:
    grant = f'{{"endpoint": "ws://127.0.0.1:{mute_server}/connect", "ticket": "t"}}'
    await rig.admin.fault(DiscoveryBadJson(platform="dingtalk", body=grant))
    task = asyncio.create_task(rig.connector.serve(FakeLink()), name="serve")
    await rig.reaches(lambda state: state.discovery_calls == 1)
    await stop(task)
    rig.host = FakeHost(platform="dingtalk", link_timeout_s=0.3)
    rig.connector = rig.new_connector()
    failure = await rig.attempt()
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "handshake_timeout")


async def test_a_server_that_closes_at_once_is_one_failure_for_each_attempt(rig: Rig) -> None:
    await rig.admin.fault(AcceptThenClose(platform="dingtalk"))
    for _ in range(3):
        failure = await rig.attempt()
        assert (failure.fault, failure.reason, failure.error_code) == (
            Fault.TRANSIENT,
            "closed_by_peer",
            "1000",
        )
    state = await rig.state()
    assert (state.discovery_calls, state.connections_total) == (3, 3)


async def test_a_disconnect_is_acknowledged_and_the_old_socket_closed_at_once(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link) as task:
        await rig.inject(count=5)
        await rig.inject(kind="disconnect")
        async with asyncio.timeout(DEADLINE_S):
            failure = await asyncio.shield(task)
        state = await rig.state()
    assert (failure.fault, failure.reason) == (Fault.HANDOVER, "platform_handover")
    assert len(link.events) == 5
    assert state.connections_open == 0
    assert (state.connections[0].closed_by, state.connections[0].close_code) == ("client", 1000)
    farewell = (await rig.admin.deliveries("dingtalk"))[-1]
    assert (farewell.kind, farewell.ack_code) == ("disconnect", 200)


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


async def test_a_cut_connection_is_a_transient_failure(rig: Rig) -> None:
    async with rig.online(FakeLink()) as task:
        await rig.admin.drop("dingtalk", app=APP, how="abort")
        async with asyncio.timeout(DEADLINE_S):
            failure = await asyncio.shield(task)
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "connection_lost")


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


async def test_a_peer_without_pongs_is_left_within_the_link_timeout(rig: Rig) -> None:
    rig.host = FakeHost(platform="dingtalk", link_timeout_s=0.5)
    rig.connector = rig.new_connector()
    await rig.admin.fault(NoWsPong(platform="dingtalk"))
    link = FakeLink()
    failure = await rig.attempt(link)
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "link_timeout")
    assert not link.is_proven.is_set()
    await rig.admin.clear_faults()
    link = FakeLink()
    async with rig.online(link) as task:
        await rig.admin.fault(NoWsPong(platform="dingtalk"))
        async with asyncio.timeout(DEADLINE_S):
            failure = await asyncio.shield(task)
    assert failure.reason == "link_timeout"
    await rig.reaches(lambda state: state.connections_open == 0)


async def test_a_quiet_link_with_pongs_stays_up(rig: Rig) -> None:
    rig.host = FakeHost(platform="dingtalk", link_timeout_s=0.3)
    rig.connector = rig.new_connector()
    link = FakeLink()
    async with rig.online(link) as task:

        async def has_pongs() -> bool:
            return link.pongs >= 15 or task.done()

        await until(has_pongs)
        assert not task.done()
    assert (await rig.state()).connections_total == 1


async def test_a_process_that_stood_still_keeps_its_link(rig: Rig) -> None:
    rig.host = FakeHost(platform="dingtalk", link_timeout_s=0.6)
    rig.connector = rig.new_connector()
    link = FakeLink()
    async with rig.online(link) as task:
        time.sleep(1.5)  # noqa: ASYNC251  it is the process that stands still
        await rig.inject()
        await link.wait_for_events(1)
        assert not task.done()


@pytest.mark.parametrize(
    ("status", "body", "fault", "reason"),
    [
        (401, {"code": "authFailed"}, Fault.PERMANENT, "bad_credentials"),
        (400, None, Fault.TRANSIENT, "discovery_refused"),
        (503, {}, Fault.TRANSIENT, "discovery_refused"),
        (429, {}, Fault.LIMITED, "rate_limited"),
        (200, {"endpoint": "ws://x"}, Fault.TRANSIENT, "discovery_bad_answer"),
        (307, {}, Fault.TRANSIENT, "discovery_refused"),
    ],
)
async def test_a_refused_opening_is_judged(
    rig: Rig, status: int, body: dict | None, fault: Fault, reason: str
) -> None:
    await rig.admin.fault(DingTalkOpenStatus(platform="dingtalk", status=status, body=body))
    failure = await rig.attempt()
    assert (failure.fault, failure.reason) == (fault, reason)
    assert SECRET not in repr(failure)


async def test_a_wrong_secret_is_permanent(rig: Rig) -> None:
    await rig.admin.register("dingtalk", app=APP, secret="another")
    failure = await rig.attempt()
    assert (failure.fault, failure.reason) == (Fault.PERMANENT, "bad_credentials")
    assert failure.user_action
    assert (await rig.state()).discovery_calls == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html>", "discovery_bad_answer"),
        ('{"endpoint": "URL/connect", "ticket": "wrong"}', "ticket_refused"),
        ('{"endpoint": "URL/nowhere", "ticket": "t"}', "handshake_refused"),
        ('{"endpoint": "ws://127.0.0.1:1/connect", "ticket": "t"}', "handshake_failed"),
        ('{"endpoint": "nonsense", "ticket": "t"}', "handshake_failed"),
    ],
)
async def test_a_bad_grant_is_transient(rig: Rig, body: str, reason: str) -> None:
    text = body.replace("URL", rig.url.replace("http", "ws"))
    await rig.admin.fault(DiscoveryBadJson(platform="dingtalk", body=text))
    failure = await rig.attempt()
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, reason)


async def test_a_platform_that_is_not_there_is_transient(rig: Rig) -> None:
    rig.connector = rig.new_connector(url="http://127.0.0.1:1")
    failure = await rig.attempt()
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "discovery_unreachable")
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.create", {"user": "u", "text": "x"})
    assert (refusal.value.retcode, refusal.value.retryable) == (RetCode.PLATFORM_UNREACHABLE, True)
    await rig.connector.close()


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
    rig.connector._sending._api._token = "stale"
    await rig.connector.call("message.create", {"user": "0300", "text": "two"})
    assert len((await rig.state()).messages) == 2
    await rig.admin.register("dingtalk", app=APP, secret="another")
    rig.connector._sending._api._token = "stale"
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.create", {"user": "0300", "text": "three"})
    assert refusal.value.data == {"platform_code": "authFailed", "http_status": 401}


@pytest.mark.parametrize(
    ("status", "code", "retcode"),
    [
        (429, "Throttling", RetCode.PLATFORM_LIMITED),
        (403, "Forbidden.AccessDenied.QpsLimitForApi", RetCode.PLATFORM_LIMITED),
        (400, "invalidParameter", RetCode.PLATFORM_REFUSED),
        (500, "systemError", RetCode.PLATFORM_REFUSED),
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


async def test_an_answer_that_does_not_come_leaves_the_effect_unknown(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire_connectors.dingtalk.openapi.TOTAL_S", 0.2)
    await rig.admin.fault(ApiHang(platform="dingtalk", call="token"))
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.create", {"chat": "cidG", "text": "x"})
    assert (refusal.value.retcode, refusal.value.retryable) == (RetCode.PLATFORM_UNREACHABLE, False)


async def test_other_commands_are_unknown(rig: Rig) -> None:
    with pytest.raises(CommandError) as refusal:
        await rig.connector.call("message.delete", {})
    assert refusal.value.retcode == RetCode.UNKNOWN_METHOD


async def test_one_connector_serves_one_connection_after_the_other(rig: Rig) -> None:
    for number in range(5):
        link = FakeLink()
        async with rig.online(link):
            await rig.inject()
            await link.wait_for_events(1)
        state = await rig.reaches(lambda state: state.connections_open == 0)
        assert state.connections_total == number + 1
    assert state.connections_max_open == 1
