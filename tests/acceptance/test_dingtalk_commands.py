"""What a client can do on DingTalk, through the installed command and a real child."""

from __future__ import annotations

import asyncio

import pytest

from harness.longwire import Longwire, dingtalk
from harness.simulator import Simulator
from longwire import CommandError
from longwire_connectors.simulator.dingtalk_media import file_of
from longwire_connectors.simulator.fault_kinds import ApiError
from longwire_connectors.simulator.injections import DingTalkEvent
from longwire_protocol.errors import RetCode

APP = "dingcommands"


async def test_a_bot_reacts_streams_an_answer_passes_a_file_on_and_takes_it_back(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    client = longwire.client
    subscription = client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    await simulator.inject_dingtalk(DingTalkEvent(app=APP, msgtype="file", text="a.pdf"))
    event = await anext(subscription)
    assert event.chat is not None
    assert event.resources
    question = {"message_id": event.message_id, "emoji": "👀"}
    await client.call("reaction.create", question, account="bot")

    chat = {"id": event.chat.id, "type": event.chat.type}
    answer = await client.call("message.create", {"chat": chat, "stream": {"text": "..."}}, account="bot")
    words = ["Longwire", "keeps", "other", "people's", "long", "connections", "alive."]
    streams = [{"text": " ".join(words[:number])} for number in range(1, len(words))]
    streams.append({"text": " ".join(words), "final": True})
    shown = await asyncio.gather(
        *(client.call("card.update", {**answer, "stream": stream}, account="bot") for stream in streams)
    )
    assert shown[-1] == {"shown": True}
    await client.call("reaction.delete", question, account="bot")

    content, is_last = b"", False
    while not is_last:
        asked = {"resource": event.resources[0].id, "offset": len(content)}
        part = await client.call("media.download", asked, account="bot")
        content, is_last = content + part["data"], part["last"]
    assert content == file_of(event.resources[0].id)
    half = len(content) // 2
    first = await client.call("media.upload", {"data": content[:half], "name": "a.pdf"}, account="bot")
    file = await client.call("media.upload", {**first, "data": content[half:], "last": True}, account="bot")
    segment = {"type": "file", "data": {"file_id": file["id"], "name": file["name"]}}
    sent = await client.call("message.create", {"chat": chat, "segments": [segment]}, account="bot")
    assert (await client.call("message.get", sent, account="bot"))["status"] == "success"
    await client.call("message.delete", sent, account="bot")

    state = await simulator.app_state("dingtalk", APP)
    card = state.cards[answer["message_id"]]
    assert (card["msgContent"], card["flowStatus"]) == (" ".join(words), "3")
    texts = [str(one.body["content"]) for one in state.api_calls if one.call == "card_text"]
    assert texts == sorted(texts, key=len)
    assert [message.via for message in state.messages] == ["card", "oToMessages"]


async def test_a_reply_goes_by_openapi_once_its_session_has_ended(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    client = longwire.client
    subscription = client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    await simulator.inject_dingtalk(DingTalkEvent(app=APP))
    event = await anext(subscription)
    assert event.chat is not None
    assert await client.reply(event, text="at once") == {}
    await simulator.fault(ApiError(platform="dingtalk", call="send", status=200, code=300001, times=1))
    assert (await client.reply(event, text="too late for the session"))["message_id"]
    with pytest.raises(CommandError) as refusal:
        await client.call("message.update", {"message_id": "m", "text": "x"}, account="bot")
    assert refusal.value.retcode == RetCode.UNSUPPORTED
    state = await simulator.app_state("dingtalk", APP)
    assert [message.via for message in state.messages] == ["sessionWebhook", "oToMessages"]
