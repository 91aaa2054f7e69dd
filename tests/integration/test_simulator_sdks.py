"""Both simulators, driven by the real SDKs in processes of their own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from harness.waiting import until
from longwire_connectors.simulator import DingTalkEvent, LarkEvent, Simulator, SimulatorClient, run
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import LarkClientConfig

APP = "cli_0123456789abcdef"
DEADLINE_S = 30.0

LARK_BOT = """
import json, sys
import lark_oapi.ws.client as ws

class Handler:
    def _do_without_validation(self, payload):
        event = json.loads(payload)
        if event["header"]["event_type"] == "card.action.trigger":
            return {"toast": {"type": "info", "content": "ok"}}
        if "fail" in event["event"]["message"]["content"]:
            raise ValueError("the handler failed")

ws.Client(sys.argv[2], "s", event_handler=Handler(), domain=sys.argv[1]).start()
"""

DINGTALK_BOT = """
import sys
import dingtalk_stream
from dingtalk_stream import AckMessage

class Robot(dingtalk_stream.ChatbotHandler):
    async def process(self, callback):
        message = dingtalk_stream.ChatbotMessage.from_dict(callback.data)
        self.reply_text("echo " + message.text.content, message)
        return AckMessage.STATUS_OK, "OK"

class Events(dingtalk_stream.EventHandler):
    async def process(self, event):
        return AckMessage.STATUS_OK, "OK"

dingtalk_stream.DingTalkStreamClient.OPEN_CONNECTION_API = sys.argv[1] + "/v1.0/gateway/connections/open"
client = dingtalk_stream.DingTalkStreamClient(dingtalk_stream.Credential(sys.argv[2], "s"))
client.register_callback_handler(dingtalk_stream.ChatbotMessage.TOPIC, Robot())
client.register_all_event_handler(Events())
client.start_forever()
"""


@asynccontextmanager
async def bot_process(script: str, url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        url,
        APP,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_the_real_lark_sdk_connects_acks_and_gets_redeliveries() -> None:
    async with Simulator(time_scale=1000.0) as simulator, SimulatorClient(simulator.url) as admin:

        async def reaches(condition: Callable[[AppState], bool]) -> AppState:
            async def holds() -> bool:
                return condition(await admin.app_state("lark", APP))

            await until(holds)
            return await admin.app_state("lark", APP)

        quick = {"ReconnectNonce": 0, "ReconnectInterval": 1, "PingInterval": 1}
        await admin.fault(LarkClientConfig(platform="lark", values=quick))
        async with bot_process(LARK_BOT, simulator.url):
            state = await reaches(lambda state: state.pongs >= 2)
            assert state.discovery_calls == 1
            await admin.inject_lark(LarkEvent(app=APP, count=20))
            await admin.inject_lark(LarkEvent(app=APP, parts=20, part_order=list(range(19, -1, -1))))
            await reaches(lambda state: state.acked == 21)
            await admin.inject_lark(LarkEvent(app=APP, kind="card"))
            await reaches(lambda state: state.acked == 22)
            assert (await admin.deliveries("lark"))[
                -1
            ].ack_data == '{"toast": {"type": "info", "content": "ok"}}'
            await admin.inject_lark(LarkEvent(app=APP, text="fail"))
            state = await reaches(lambda state: state.ack_codes.get(500, 0) >= 3)
            assert state.ack_outcomes["refused"] >= 3
            await admin.inject_lark(LarkEvent(app=APP, omitted_headers=["trace_id"]))

            async def is_repeated_without_ack() -> bool:
                record = (await admin.deliveries("lark"))[-1]
                return len(record.sent_at) >= 2 and record.ack_count == 0

            await until(is_repeated_without_ack)
            assert await admin.drop("lark", app=APP) == 1
            state = await reaches(lambda state: state.connections_total == 2)
            assert state.connections_max_open == 1
        await reaches(lambda state: state.connections_open == 0)


async def test_the_real_dingtalk_sdk_connects_answers_and_leaves_when_told() -> None:
    async with Simulator(time_scale=1000.0) as simulator, SimulatorClient(simulator.url) as admin:

        async def reaches(condition: Callable[[AppState], bool]) -> AppState:
            async def holds() -> bool:
                return condition(await admin.app_state("dingtalk", APP))

            await until(holds)
            return await admin.app_state("dingtalk", APP)

        async with bot_process(DINGTALK_BOT, simulator.url):
            await reaches(lambda state: state.connections_open == 1)
            await admin.inject_dingtalk(DingTalkEvent(app=APP, text="hi"))
            state = await reaches(lambda state: bool(state.messages) and state.acked == 1)
            assert state.messages[0].body["text"] == {"content": "echo hi"}
            await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="event"))
            await reaches(lambda state: state.acked == 2)
            await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="ping"))
            await reaches(lambda state: state.acked == 3)
            await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="disconnect"))
            await reaches(lambda state: state.connections_total >= 2)
        await reaches(lambda state: state.connections_open == 0)


async def test_run_announces_its_url_and_serves_until_cancelled() -> None:
    announced: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        server = tasks.create_task(run(0, announce=announced.put_nowait, time_scale=2.0, strict=True))
        async with SimulatorClient(await announced.get()) as admin:
            assert (await admin.state()).lark == {}
        server.cancel()
