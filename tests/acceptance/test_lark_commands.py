"""What a client can do on Lark, through the installed command and a real child."""

from __future__ import annotations

import asyncio

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from longwire import CommandError
from longwire_connectors.simulator.injections import LarkEvent

APP = "cli_00000000000000cc"


async def test_a_bot_reacts_streams_an_answer_attaches_a_file_and_edits_what_it_said(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    client = longwire.client
    subscription = client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    await simulator.inject_lark(LarkEvent(app=APP, text="tell me"))
    event = await anext(subscription)
    assert event.chat is not None
    question = {"message_id": event.message_id, "emoji": "Typing"}
    await client.call("reaction.create", question, account="bot")

    answer = await client.call(
        "message.create", {"reply_to": event.message_id, "stream": {"text": "..."}}, account="bot"
    )
    words = ["Longwire", "keeps", "other", "people's", "long", "connections", "alive."]
    for number in range(1, len(words)):
        stream = {"text": " ".join(words[:number])}
        await client.call("card.update", {**answer, "stream": stream}, account="bot")
    final = {"text": " ".join(words), "final": True}
    assert await client.call("card.update", {**answer, "stream": final}, account="bot") == {"shown": True}
    await client.call("reaction.delete", question, account="bot")

    content = bytes(range(256)) * 12_000  # 3 MB
    first = await client.call("media.upload", {"data": content[:2_000_000], "name": "a.pdf"}, account="bot")
    rest = {**first, "data": content[2_000_000:], "last": True}
    file = await client.call("media.upload", rest, account="bot")
    segment = {"type": "file", "data": {"file_id": file["id"]}}
    sent = await client.call("message.create", {"chat": event.chat.id, "segments": [segment]}, account="bot")
    asked = {"message_id": sent["message_id"], "resource": file["id"], "offset": 2_000_000}
    part = await client.call("media.download", asked, account="bot")
    assert part["data"] == content[2_000_000:]

    said = await client.call("message.create", {"chat": event.chat.id, "text": "teh end"}, account="bot")
    await client.call("message.update", {**said, "text": "the end"}, account="bot")
    told = await client.call("message.get", said, account="bot")
    assert (told["text"], told["is_edited"]) == ("the end", True)

    state = await simulator.app_state("lark", APP)
    shown = [str(one.body["content"]) for one in state.api_calls if one.call == "card_text"]
    assert shown[-1] == " ".join(words)
    assert shown == sorted(shown, key=len)
    assert (state.limited, {one.code for one in state.api_calls}) == (0, {0})


async def test_a_burst_of_texts_for_a_card_is_shown_at_the_platforms_pace_and_the_last_one_arrives(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    card = await longwire.client.call("message.create", {"chat": "oc_1", "stream": {}}, account="bot")
    streams = [{"text": "a" * number} for number in range(1, 41)]
    streams.append({"text": "a" * 41, "final": True})
    await asyncio.gather(
        *(
            longwire.client.call("card.update", {**card, "stream": stream}, account="bot")
            for stream in streams
        )
    )
    state = await simulator.app_state("lark", APP)
    shown = [str(one.body["content"]) for one in state.api_calls if one.call == "card_text"]
    assert shown[-1] == "a" * 41
    assert len(shown) < 20
    assert state.limited == 0


async def test_what_a_platform_lacks_is_said_beforehand_and_when_it_is_asked_for(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP), "ding": dingtalk(simulator.url, "dingc")})
    await longwire.start()
    supported = await longwire.client.call("get_supported")
    details = supported["details"]["lark"]
    assert "media.upload" in supported["connectors"]["lark"]
    assert "stream" in details["contents"]["message.create"]
    assert details["limits"]["image_bytes"] == 10 * 1024 * 1024
    assert "typing.set" in details["missing"]
    with pytest.raises(CommandError, match=r"reaction\.create") as refusal:
        await longwire.client.call("typing.set", {"chat": "oc_1"}, account="bot")
    assert refusal.value.retcode == 10004
