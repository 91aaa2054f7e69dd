"""The DingTalk connector's connection: how it is opened, proven, kept, lost, refused and stopped."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from fakes.dingtalk_bench import (  # noqa: F401  pytest finds a fixture by its name in the module
    APP,
    DEADLINE_S,
    SECRET,
    Rig,
    nothing_forbidden_is_logged,
    nothing_is_left_running,
    running_rig,
    stop,
)
from fakes.host import FakeHost, FakeLink
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    DingTalkOpenStatus,
    DiscoveryBadJson,
    DiscoveryHang,
    NoWsPong,
)
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.link import Fault


def test_the_module_is_imported_without_its_sdk_and_loads_it_lean() -> None:
    script = """
import sys
from types import SimpleNamespace
from longwire_connectors.dingtalk.connector import DingTalkConnector as C
heavy = {"dingtalk_stream", "websockets", "requests", "aiohttp"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
text = C(C.declaration.options(client_id="a", client_secret="b"), SimpleNamespace(bot=None)).load()
assert text.startswith("dingtalk-stream 0."), text
assert "dingtalk_stream.stream" in sys.modules
assert not {"aiohttp", "dingtalk_stream.card_replier"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_without_the_sdk_the_import_error_comes_from_load() -> None:
    script = """
import sys
sys.modules["dingtalk_stream"] = None
from types import SimpleNamespace
from longwire_connectors.dingtalk.connector import DingTalkConnector as C
try:
    C(C.declaration.options(client_id="a", client_secret="b"), SimpleNamespace(bot=None)).load()
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


async def test_a_cut_connection_is_a_transient_failure(rig: Rig) -> None:
    async with rig.online(FakeLink()) as task:
        await rig.admin.drop("dingtalk", app=APP, how="abort")
        async with asyncio.timeout(DEADLINE_S):
            failure = await asyncio.shield(task)
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "connection_lost")


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
        (307, {}, Fault.TRANSIENT, "unknown_refusal"),
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
        ('{"endpoint": "URL/nowhere", "ticket": "t"}', "unknown_refusal"),
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


async def test_one_connector_serves_one_connection_after_the_other(rig: Rig) -> None:
    for number in range(5):
        link = FakeLink()
        async with rig.online(link):
            await rig.inject()
            await link.wait_for_events(1)
        state = await rig.reaches(lambda state: state.connections_open == 0)
        assert state.connections_total == number + 1
    assert state.connections_max_open == 1
