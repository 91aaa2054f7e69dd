"""How the Lark connector, with the real SDK, notices that a link fails, and what it calls that."""

import asyncio
import time

import pytest

from fakes.host import FakeHost, FakeLink
from fakes.lark_bench import (
    APP,
    DEADLINE_S,
    SECRET,
    Bench,
    answer_with,
    benches,
    lark_bench,  # noqa: F401  a fixture
    lark_host,  # noqa: F401  a fixture
    loose_ends,  # noqa: F401  a fixture
    mute_server,
)
from longwire_connectors.lark.connector import LarkConnector, LarkOptions
from longwire_connectors.simulator import Simulator
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    DiscoveryBadJson,
    DiscoveryHang,
    FaultBase,
    LarkClientConfig,
    LarkDiscoveryCode,
    LarkDiscoveryStatus,
    LarkHandshakeRefusal,
    LarkNoPong,
    LarkPongConfig,
    NoWsPong,
)
from longwire_protocol.link import Fault


async def test_discovery_without_an_answer_is_given_up_within_the_link_timeout() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=0.3)) as bench:
        await bench.fault(DiscoveryHang(platform="lark"))
        failure = await bench.fails()
        assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "discovery_timeout")


async def test_a_websocket_that_does_not_open_is_given_up_within_the_link_timeout() -> None:
    async with (
        benches(host=FakeHost(platform="lark", link_timeout_s=0.4)) as bench,
        mute_server() as (url, _, went),
        asyncio.timeout(DEADLINE_S),
    ):
        await bench.fault(answer_with(url))
        failure = await bench.fails()
        assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "connect_timeout")
        await went.wait()


async def test_a_platform_that_answers_only_websocket_pings_is_silent() -> None:
    async with benches(host=FakeHost(platform="lark")) as bench:
        await bench.fault(LarkClientConfig(platform="lark", values={"PingInterval": 1}))
        await bench.fault(LarkNoPong(platform="lark"))
        started = time.monotonic()
        failure = await bench.fails()
        assert 2.0 < time.monotonic() - started < 10.0
        assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "platform_silent")
        assert not bench.link.is_proven.is_set()
        assert bench.link.pongs > 0


async def test_a_platform_that_falls_silent_is_noticed_after_three_intervals() -> None:
    async with benches(host=FakeHost(platform="lark")) as bench:
        await bench.fault(LarkClientConfig(platform="lark", values={"PingInterval": 1}))
        await bench.proven()
        await bench.fault(LarkNoPong(platform="lark"))
        assert bench.serving is not None
        async with asyncio.timeout(DEADLINE_S):
            failure = await bench.serving
        assert failure.reason == "platform_silent"
        assert bench.link.platform_timeout_s == 3.0
        await bench.reaches(lambda state: state.connections_open == 0)


async def test_a_socket_without_websocket_pongs_is_cut_after_the_link_timeout() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=0.6)) as bench:
        await bench.fault(NoWsPong(platform="lark"))
        failure = await bench.fails()
        assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "link_timeout")
        assert bench.link.pongs == 0


async def test_a_reconnect_count_pushed_in_a_pong_changes_nothing_about_a_drop(bench: Bench) -> None:
    await bench.fault(LarkPongConfig(platform="lark", values={"ReconnectCount": 1, "ReconnectNonce": 0}))
    await bench.proven()
    assert await bench.admin.drop("lark", app=APP, code=1001) == 1
    assert bench.serving is not None
    async with asyncio.timeout(DEADLINE_S):
        failure = await bench.serving
    assert (failure.fault, failure.reason, failure.error_code) == (Fault.TRANSIENT, "closed_by_peer", "1001")
    assert (await bench.state()).discovery_calls == 1
    await bench.proven()
    state = await bench.state()
    assert (state.connections_total, state.connections_max_open) == (2, 1)


async def test_a_cut_connection_is_reported_once(bench: Bench) -> None:
    await bench.proven()
    await bench.admin.drop("lark", app=APP, how="abort")
    assert bench.serving is not None
    async with asyncio.timeout(DEADLINE_S):
        failure = await bench.serving
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "connection_lost")


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (LarkDiscoveryCode(platform="lark", code=1000040346), Fault.PERMANENT, "bad_credentials"),
        (LarkDiscoveryCode(platform="lark", code=1000040351), Fault.PERMANENT, "wrong_domain"),
        (LarkDiscoveryCode(platform="lark", code=1000040377), Fault.TRANSIENT, "unknown_refusal"),
        (LarkDiscoveryCode(platform="lark", code=1000040350), Fault.LIMITED, "too_many_connections"),
        (LarkDiscoveryCode(platform="lark", code=1, msg="app_id?"), Fault.TRANSIENT, "platform_busy"),
        (LarkDiscoveryCode(platform="lark", code=1000040343), Fault.TRANSIENT, "platform_busy"),
        (LarkDiscoveryStatus(platform="lark", status=403), Fault.TRANSIENT, "unknown_refusal"),
        (LarkDiscoveryStatus(platform="lark", status=503), Fault.TRANSIENT, "platform_busy"),
        (DiscoveryBadJson(platform="lark"), Fault.TRANSIENT, "bad_discovery_answer"),
        (DiscoveryBadJson(platform="lark", body="{}"), Fault.TRANSIENT, "bad_discovery_answer"),
        (DiscoveryBadJson(platform="lark", body="[1]"), Fault.TRANSIENT, "bad_discovery_answer"),
        (
            DiscoveryBadJson(platform="lark", body='{"code":0,"data":null}'),
            Fault.TRANSIENT,
            "bad_discovery_answer",
        ),
        (
            DiscoveryBadJson(
                platform="lark", body='{"code":0,"data":{"URL":"wss://127.0.0.1:1/?device_id=1"}}'
            ),
            Fault.TRANSIENT,
            "bad_discovery_answer",
        ),
        (
            DiscoveryBadJson(platform="lark", body='{"code":0,"data":{"URL":null}}'),
            Fault.TRANSIENT,
            "bad_discovery_answer",
        ),
        (
            DiscoveryBadJson(
                platform="lark",
                body='{"code":0,"data":{"URL":"ws://127.0.0.1:1/ws?device_id=1&service_id=2"}}',
            ),
            Fault.TRANSIENT,
            "unreachable",
        ),
        (LarkHandshakeRefusal(platform="lark"), Fault.TRANSIENT, "handshake_refused"),
        (LarkHandshakeRefusal(platform="lark", autherrcode=None), Fault.TRANSIENT, "handshake_refused"),
        (
            LarkHandshakeRefusal(platform="lark", status=502, handshake_status=None),
            Fault.TRANSIENT,
            "handshake_refused",
        ),
        (
            LarkHandshakeRefusal(platform="lark", status=403, handshake_status=403),
            Fault.PERMANENT,
            "forbidden",
        ),
        (
            LarkHandshakeRefusal(platform="lark", autherrcode=1000040350),
            Fault.LIMITED,
            "too_many_connections",
        ),
        (AcceptThenClose(platform="lark"), Fault.TRANSIENT, "closed_by_peer"),
    ],
)
async def test_a_refusal_is_classed_by_its_code(
    bench: Bench, fault: FaultBase, kind: Fault, reason: str
) -> None:
    await bench.fault(fault)
    failure = await bench.fails()
    assert (failure.fault, failure.reason) == (kind, reason)
    assert kind is not Fault.PERMANENT or (failure.user_action and failure.user_action_zh)
    assert (failure.retry_after_s is not None) == (kind is Fault.LIMITED)
    assert (await bench.state()).discovery_calls == 1


async def test_a_wrong_secret_is_permanent_and_never_shown(host: FakeHost) -> None:
    async with benches(host=host, secret="another-secret") as bench:
        failure = await bench.fails()
        assert (failure.fault, failure.reason) == (Fault.PERMANENT, "bad_credentials")
        assert "another-secret" not in str(failure)


async def test_a_platform_that_is_not_there_is_unreachable(host: FakeHost) -> None:
    async with Simulator() as simulator:
        gone = simulator.url
    connector = LarkConnector(LarkOptions(app_id=APP, app_secret=SECRET, domain=gone), host)
    connector.load()
    async with asyncio.timeout(DEADLINE_S):
        failure = await connector.serve(FakeLink())
    assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "unreachable")
