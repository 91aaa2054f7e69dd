"""The Lark connector with the real SDK against the simulator."""

import asyncio
import gc
import json
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest

from fakes.host import FakeHost, FakeLink
from longwire_connectors.lark.connector import LarkConnector, LarkOptions
from longwire_connectors.simulator import LarkEvent, Simulator, SimulatorClient
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    ApiError,
    ApiHang,
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
from longwire_connectors.simulator.injections import LarkMention
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot
from longwire_protocol.link import Fault, LinkFailure

APP = "cli_0123456789abcdef"
SECRET = "made-up-secret"
DEADLINE_S = 20.0
FORBIDDEN = (
    "never retrieved",
    "was destroyed but it is pending",
    "attached to a different loop",
    "Event loop is closed",
    SECRET,
    "access_key=",
    "ticket=",
)


class Bench:
    """A connector at work, and the simulator it talks to."""

    def __init__(self, admin: SimulatorClient, connector: LarkConnector, host: FakeHost) -> None:
        self.admin, self.connector, self.host = admin, connector, host
        self.link = FakeLink()
        self.has_hanging_calls = False
        self.serving: asyncio.Task[LinkFailure] | None = None

    def serve(self, *, stores: bool = True) -> asyncio.Task[LinkFailure]:
        self.link = FakeLink(stores=stores)
        self.serving = asyncio.create_task(self.connector.serve(self.link), name="serve")
        return self.serving

    async def fails(self) -> LinkFailure:
        async with asyncio.timeout(DEADLINE_S):
            return await self.serve()

    async def proven(self, *, stores: bool = True) -> None:
        self.serve(stores=stores)
        async with asyncio.timeout(DEADLINE_S):
            await self.link.is_proven.wait()

    async def stop(self) -> float:
        """Cancel as the run time does, and return how many seconds that took."""
        started = time.monotonic()
        if self.serving is not None:
            self.serving.cancel()
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.gather(self.serving, return_exceptions=True)
        return time.monotonic() - started

    async def state(self) -> AppState:
        return await self.admin.app_state("lark", APP)

    async def reaches(self, condition: Callable[[AppState], bool]) -> AppState:
        async with asyncio.timeout(DEADLINE_S):
            while not condition(state := await self.state()):  # noqa: ASYNC110  only seen by asking
                await asyncio.sleep(0.01)
        return state

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110  what it waits for is only seen by looking
                await asyncio.sleep(0.005)

    async def fault(self, fault: FaultBase) -> None:
        self.has_hanging_calls |= isinstance(fault, DiscoveryHang | ApiHang)
        await self.admin.fault(fault)

    async def inject(self, **event: Any) -> None:
        await self.admin.inject_lark(LarkEvent(app=APP, **event))


async def no_threads() -> None:
    """Wait until the calls that were left behind are over: nothing joins their threads."""
    async with asyncio.timeout(DEADLINE_S):
        while any(thread.name.startswith("lark") for thread in threading.enumerate()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def benches(
    *, host: FakeHost, time_scale: float = 1000.0, secret: str = SECRET, strict: bool = False
) -> AsyncIterator[Bench]:
    async with (
        Simulator(time_scale=time_scale, strict=strict) as simulator,
        SimulatorClient(simulator.url) as admin,
    ):
        if not strict:
            await admin.register("lark", app=APP, secret=SECRET, name="Acme Bot")
        options = LarkOptions(app_id=APP, app_secret=secret, domain=simulator.url + "/")
        connector = LarkConnector(options, host)
        assert connector.load().startswith("lark-oapi 1.")
        bench = Bench(admin, connector, host)
        try:
            yield bench
        finally:
            await bench.stop()
            await connector.close()
            if not bench.has_hanging_calls:
                await no_threads()


@pytest.fixture
def host() -> FakeHost:
    return FakeHost(platform="lark")


@pytest.fixture
async def bench(host: FakeHost) -> AsyncIterator[Bench]:
    async with benches(host=host) as bench:
        yield bench


@pytest.fixture(autouse=True)
async def loose_ends(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves a task behind, or a log line that tells of one or of a secret."""
    caplog.set_level(logging.DEBUG, logger="longwire_connectors")
    caplog.set_level(logging.DEBUG, logger="asyncio")  # its own complaints are looked through, too
    yield
    await no_threads()
    gc.collect()
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    text = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    assert [forbidden for forbidden in FORBIDDEN if forbidden in text] == []


async def test_a_connection_is_proven_by_the_first_pong_and_has_the_platforms_name(bench: Bench) -> None:
    await bench.proven()
    state = await bench.reaches(lambda state: state.ws_pings >= 1)
    assert bench.link.connection is not None
    assert bench.link.connection.isdigit()
    assert (state.pings, state.connections_open, state.discovery_calls) == (1, 1, 1)
    await bench.until(lambda: bench.link.pongs >= 1)
    assert bench.link.platform_timeout_s == 270.0


async def test_the_link_timeout_an_operator_chose_is_the_pong_window_where_it_is_longer() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=120.0, explicit=True)) as bench:
        await bench.proven()
        await bench.until(lambda: bench.link.platform_timeout_s == 120.0)


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


async def test_a_stop_closes_with_code_1000_and_leaves_no_connection(bench: Bench) -> None:
    await bench.proven()
    assert await bench.stop() < 2.0
    state = await bench.reaches(lambda state: state.connections_open == 0)
    (connection,) = state.connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)
    assert bench.serving is not None
    assert bench.serving.cancelled()


async def test_events_stored_during_a_stop_are_still_acked(bench: Bench) -> None:
    await bench.proven(stores=False)
    await bench.inject(count=5)
    await bench.link.wait_for_events(5)
    asyncio.get_running_loop().call_later(0.05, bench.link.storing.set)
    assert await bench.stop() < 2.0
    state = await bench.reaches(lambda state: state.connections_open == 0)
    assert state.acked == 5
    assert state.connections[0].close_code == 1000


async def test_a_stop_with_a_journal_that_never_answers_is_quick(bench: Bench) -> None:
    await bench.proven(stores=False)
    await bench.inject(count=5)
    await bench.link.wait_for_events(5)
    assert await bench.stop() < 2.0
    state = await bench.reaches(lambda state: state.connections_open == 0)
    assert (state.acks, state.connections[0].close_code) == (0, 1000)


async def test_a_stop_while_discovery_hangs_is_prompt_and_nothing_connects_later(bench: Bench) -> None:
    await bench.fault(DiscoveryHang(platform="lark", for_s=1.0))
    bench.serve()
    await bench.reaches(lambda state: state.discovery_calls == 1)
    assert await bench.stop() < 0.5
    await bench.admin.clear_faults()
    # The hanging call ends with the simulator; until then a second attempt shows that the first is over.
    await bench.proven()
    assert (await bench.state()).connections_total == 1


@asynccontextmanager
async def mute_server() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """Accept connections and say nothing: its URL, and whether one came and went."""
    came, went = asyncio.Event(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()
        went.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws?device_id=1&service_id=2", came, went


def answer_with(url: str) -> DiscoveryBadJson:
    return DiscoveryBadJson(platform="lark", body=json.dumps({"code": 0, "data": {"URL": url}}))


async def test_a_stop_while_the_websocket_opens_is_prompt_and_cuts_it(bench: Bench) -> None:
    async with mute_server() as (url, came, went), asyncio.timeout(DEADLINE_S):
        await bench.fault(answer_with(url))
        bench.serve()
        await came.wait()
        assert await bench.stop() < 0.5
        await went.wait()


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


async def test_the_loop_turns_while_discovery_hangs(bench: Bench) -> None:
    await bench.fault(DiscoveryHang(platform="lark"))
    bench.serve()
    await bench.reaches(lambda state: state.discovery_calls == 1)
    ticks = [time.monotonic()]
    while ticks[-1] - ticks[0] < 0.5:
        await asyncio.sleep(0.01)
        ticks.append(time.monotonic())
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 0.4
    assert bench.serving is not None
    assert not bench.serving.done()


async def test_discovery_without_an_answer_is_given_up_within_the_link_timeout() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=0.3)) as bench:
        await bench.fault(DiscoveryHang(platform="lark"))
        failure = await bench.fails()
        assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "discovery_timeout")


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


async def test_a_process_that_was_stopped_reads_before_it_judges() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=1.0)) as bench:
        await bench.fault(LarkClientConfig(platform="lark", values={"PingInterval": 1}))
        await bench.proven()
        time.sleep(3.3)  # noqa: ASYNC251  what is tested: the loop stands still, longer than every window
        answers = bench.link.platform_answers
        await bench.until(lambda: bench.link.platform_answers >= answers + 2)
        assert (await bench.state()).connections_total == 1


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
        (LarkDiscoveryCode(platform="lark", code=1000040377), Fault.PERMANENT, "refused_by_platform"),
        (LarkDiscoveryCode(platform="lark", code=1000040350), Fault.LIMITED, "too_many_connections"),
        (LarkDiscoveryCode(platform="lark", code=1, msg="app_id?"), Fault.TRANSIENT, "platform_busy"),
        (LarkDiscoveryCode(platform="lark", code=1000040343), Fault.TRANSIENT, "platform_busy"),
        (LarkDiscoveryStatus(platform="lark", status=403), Fault.TRANSIENT, "platform_busy"),
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
    assert (failure.user_action is not None) == (kind is Fault.PERMANENT)
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


@pytest.mark.parametrize("value", [0, -5, None, "often", 1e300, 10**30])
async def test_senseless_timings_make_no_ping_storm_and_end_no_pings(bench: Bench, value: Any) -> None:
    await bench.fault(LarkClientConfig(platform="lark", values={"PingInterval": value}))
    await bench.proven()
    await bench.inject(count=10)
    await bench.reaches(lambda state: state.acked == 10)
    assert (await bench.state()).pings <= 2
    assert bench.link.platform_timeout_s in (3.0, 360.0, 1800.0)


@pytest.mark.parametrize(
    "fault",
    [
        LarkClientConfig(platform="lark", missing=["PingInterval", "ReconnectCount"]),
        LarkPongConfig(platform="lark", missing=["PingInterval"]),
        LarkPongConfig(platform="lark", is_empty=True),
    ],
)
async def test_missing_timings_leave_those_in_force(bench: Bench, fault: FaultBase) -> None:
    await bench.fault(fault)
    await bench.proven()
    await bench.until(lambda: bench.link.platform_timeout_s in (270.0, 360.0))


async def test_a_shorter_interval_pushed_in_a_pong_holds_at_once(bench: Bench) -> None:
    await bench.fault(LarkPongConfig(platform="lark", values={"PingInterval": 1}))
    await bench.proven()
    await bench.reaches(lambda state: state.pongs >= 3)
    assert bench.link.platform_timeout_s == 3.0


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
        (ApiError(platform="lark", status=500, code=1), RetCode.PLATFORM_UNREACHABLE, True, None),
        (ApiError(platform="lark", code="text"), RetCode.PLATFORM_UNREACHABLE, True, None),
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


async def test_many_attempts_leave_nothing_behind(bench: Bench) -> None:
    for _ in range(10):
        await bench.proven()
        await bench.stop()
    state = await bench.reaches(lambda state: state.connections_open == 0)
    assert (state.connections_total, state.connections_max_open) == (10, 1)
    assert {connection.close_code for connection in state.connections} == {1000}


LOADS = """
import asyncio, os, sys
from longwire_connectors.lark import sdk
if "fail" in sys.argv:
    def fail(spec):
        sys.modules["lark_oapi.made_up"] = object()
        raise LookupError("a version the recipe does not suit")
    sdk._import_lean = fail
sdk.load(), sdk.load()
import lark_oapi.ws.client as ws
is_lean = len([name for name in sys.modules if name.startswith("lark_oapi")]) < 100
paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
has_epoll = any("eventpoll" in os.readlink(path) for path in paths if os.path.lexists(path))
print(is_lean, ws.loop, has_epoll, asyncio.run(asyncio.sleep(0, "runs")))
import lark_oapi
print(lark_oapi.Client.__name__, lark_oapi.ws.Client is ws.Client)
"""


@pytest.mark.parametrize(("argument", "is_lean"), [("lean", "True"), ("fail", "False")])
async def test_the_sdk_is_loaded_lean_or_in_full_and_leaves_no_loop_behind(
    argument: str, is_lean: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LOADS,
        argument,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60.0):
        out, _ = await process.communicate()
    assert out.decode().splitlines() == [f"{is_lean} None False runs", "Client True"]
