"""Every command of the Lark connector against the simulator."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from fakes.lark_bench import (
    APP,
    Bench,
    lark_bench,  # noqa: F401  a fixture
    lark_host,  # noqa: F401  a fixture
    loose_ends,  # noqa: F401  a fixture
)
from longwire_connectors import uploads
from longwire_connectors.lark.bodies import STREAM_ELEMENT
from longwire_connectors.lark.connector import LarkConnector, LarkOptions
from longwire_connectors.lark.media import IMAGE_BYTES
from longwire_connectors.simulator.counters import ApiCall
from longwire_connectors.simulator.fault_kinds import ApiError, LarkNoLimits, LarkNoRanges
from longwire_connectors.uploads import CHUNK_BYTES
from longwire_protocol.errors import CommandError, RetCode


async def call(bench: Bench, method: str, /, **params: Any) -> Any:
    return await bench.connector.call(method, params)


async def sent(bench: Bench, **params: Any) -> str:
    answer: dict[str, str] = await call(bench, "message.create", chat="oc_1", **params)
    return answer["message_id"]


async def asked(bench: Bench, name: str) -> list[ApiCall]:
    return [one for one in (await bench.state()).api_calls if one.call == name]


async def refused(bench: Bench, method: str, /, **params: Any) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        await call(bench, method, **params)
    return refusal.value


async def test_each_kind_of_content_is_sent_as_lark_has_it(bench: Bench) -> None:
    await bench.fault(LarkNoLimits(platform="lark"))
    file = {"file_id": "file_v3_1"}
    for params in (
        {"text": "a"},
        {"markdown": "**a**"},
        {"card": {"elements": []}},
        {"stream": {"text": "..."}},
        *({"segments": [{"type": kind, "data": file}]} for kind in ("image", "file", "audio", "video")),
    ):
        await sent(bench, **params)
    kinds = [message.body["msg_type"] for message in (await bench.state()).messages]
    assert kinds == ["text", "post", "interactive", "interactive", "image", "file", "audio", "media"]


async def test_a_reply_may_begin_a_thread(bench: Bench) -> None:
    parent = await sent(bench, text="a")
    await call(bench, "message.create", reply_to=parent, thread=True, text="b")
    message = (await bench.state()).messages[-1]
    assert (message.via, message.target, message.body["reply_in_thread"]) == ("reply", parent, True)


async def test_the_same_key_sends_one_message(bench: Bench) -> None:
    params = {"chat": "oc_1", "text": "a"}
    first = await bench.connector.call("message.create", params, key="k" * 50)
    again = await bench.connector.call("message.create", params, key="k" * 50)
    assert first == again
    assert len((await bench.state()).messages) == 1


async def test_a_message_is_looked_up_edited_and_recalled(bench: Bench) -> None:
    message_id = await sent(bench, text="before")
    await call(bench, "message.update", message_id=message_id, markdown="*after*")
    told = await call(bench, "message.get", message_id=message_id)
    assert (told["text"], told["is_edited"], told["is_deleted"]) == ("*after*", True, False)
    assert (told["chat"], told["sender"]) == ({"id": "oc_1"}, {"id": APP, "is_bot": True})
    await call(bench, "message.delete", message_id=message_id)
    assert (await call(bench, "message.get", message_id=message_id))["is_deleted"] is True
    assert (await refused(bench, "message.update", message_id=message_id, text="x")).data == {
        "platform_code": 230011,
        "reason": "message_recalled",
    }


async def test_a_recall_that_is_repeated_is_done(bench: Bench) -> None:
    message_id = await sent(bench, text="a")
    await call(bench, "message.delete", message_id=message_id)
    assert await call(bench, "message.delete", message_id=message_id) == {"message_id": message_id}
    error = await refused(bench, "message.delete", message_id="om_unheard_of")
    assert error.data == {"platform_code": 231003, "reason": "message_not_found"}


async def test_a_message_of_a_person_is_looked_up_with_its_resources(bench: Bench) -> None:
    await bench.inject(message_id="om_image", message_type="image", chat="oc_2")
    told = await call(bench, "message.get", message_id="om_image")
    assert told["sender"] == {"id": "ou_simulated_user", "is_bot": False}
    (resource,) = told["resources"]
    part = await call(bench, "media.download", message_id="om_image", resource=resource.id)
    assert part["data"].startswith(b"longwire simulator")


async def test_the_twenty_first_edit_of_a_text_is_refused_with_its_reason(bench: Bench) -> None:
    message_id = await sent(bench, text="0")
    for number in range(20):
        await call(bench, "message.update", message_id=message_id, text=str(number))
    error = await refused(bench, "message.update", message_id=message_id, text="20")
    assert (error.retcode, error.data) == (
        RetCode.PLATFORM_REFUSED,
        {"platform_code": 230072, "reason": "edited_too_often"},
    )


async def test_a_card_is_replaced_by_either_command(bench: Bench) -> None:
    message_id = await sent(bench, card={"elements": []})
    await call(bench, "message.update", message_id=message_id, card={"elements": [1]})
    await call(bench, "card.update", message_id=message_id, card={"elements": [2]})
    patches = await asked(bench, "patch")
    assert [json.loads(str(one.body["content"])) for one in patches] == [
        {"elements": [1]},
        {"elements": [2]},
    ]


async def test_a_reaction_of_our_own_is_found_by_its_emoji_and_no_other_is_touched(bench: Bench) -> None:
    await bench.inject(message_id="om_1")
    other = LarkConnector(LarkOptions(app_id="cli_other", app_secret="x", domain=bench.url), bench.host)
    params = {"message_id": "om_1", "emoji": "Typing"}
    await other.call("reaction.create", params)
    await other.close()
    made = await call(bench, "reaction.create", **params)
    again = await call(bench, "reaction.create", **params)
    assert made == again
    await call(bench, "reaction.create", message_id="om_1", emoji="OK")
    assert await call(bench, "reaction.delete", **params) == made
    assert await call(bench, "reaction.delete", **params) == {}
    ok = await call(bench, "reaction.create", message_id="om_1", emoji="OK")
    assert await call(bench, "reaction.delete", message_id="om_1", reaction_id=ok["reaction_id"]) == ok
    left = await call(bench, "platform.call", path="/im/v1/messages/om_1/reactions")
    assert [one["operator"]["operator_id"] for one in left["data"]["items"]] == ["cli_other"]


async def test_a_reaction_is_found_behind_a_page_of_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire_connectors.lark.calls.PAGE_SIZE", 1)
    await bench.inject(message_id="om_1")
    for app in ("cli_a", "cli_b"):
        other = LarkConnector(LarkOptions(app_id=app, app_secret="x", domain=bench.url), bench.host)
        await other.call("reaction.create", {"message_id": "om_1", "emoji": "OK"})
        await other.close()
    made = await call(bench, "reaction.create", message_id="om_1", emoji="OK")
    assert await call(bench, "reaction.delete", message_id="om_1", emoji="OK") == made
    assert len(await asked(bench, "reactions")) == 3


async def test_of_a_text_that_grows_faster_than_the_platform_takes_it_the_newest_is_shown_and_the_last_always(
    bench: Bench,
) -> None:
    message_id = await sent(bench, stream={"text": ""})
    texts = [f"so far {number}" for number in range(40)]
    steps = [call(bench, "card.update", message_id=message_id, stream={"text": text}) for text in texts]
    final = call(bench, "card.update", message_id=message_id, stream={"text": "all of it", "final": True})
    outcomes = await asyncio.gather(*steps, final)
    late = await call(bench, "card.update", message_id=message_id, stream={"text": "too late"})
    shown = [str(one.body["content"]) for one in await asked(bench, "card_text")]
    assert shown[-1] == "all of it"
    assert len(shown) <= 2
    assert (outcomes[-1], late) == ({"shown": True}, {"shown": False})
    assert sum(outcome["shown"] for outcome in outcomes) == len(shown)
    (ended,) = await asked(bench, "card_settings")
    assert json.loads(str(ended.body["settings"])) == {"config": {"streaming_mode": False}}
    told = await call(bench, "message.get", message_id=message_id)
    assert "all of it" in json.dumps(told["raw"])
    assert (await bench.state()).limited == 0


async def test_a_slow_stream_shows_every_text_in_order_at_the_pace(bench: Bench) -> None:
    message_id = await sent(bench, stream={"text": ""})
    for number in range(4):
        await call(bench, "card.update", message_id=message_id, stream={"text": str(number)})
    shown = await asked(bench, "card_text")
    assert [one.body["content"] for one in shown] == ["0", "1", "2", "3"]
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(shown)]
    assert min(gaps) > 0.1
    sequences = [one.body["sequence"] for one in shown]
    assert sequences == sorted(set(sequences))


async def test_the_last_text_waits_out_a_limit_of_the_platform(bench: Bench) -> None:
    message_id = await sent(bench, stream={"text": ""})
    limit = ApiError(platform="lark", call="card_text", status=400, code=230020, times=1)
    await bench.fault(limit)
    stream = {"text": "a", "element_id": STREAM_ELEMENT}
    error = await refused(bench, "card.update", message_id=message_id, stream=stream)
    assert (error.retcode, error.retry_after_ms) == (RetCode.PLATFORM_LIMITED, 1000)
    await bench.fault(limit)
    await call(bench, "card.update", message_id=message_id, stream={**stream, "final": True})
    assert [one.code for one in await asked(bench, "card_text")] == [230020, 230020, 0]


async def test_a_stream_goes_on_in_the_next_process(bench: Bench) -> None:
    message_id = await sent(bench, stream={"text": ""})
    await call(bench, "card.update", message_id=message_id, stream={"text": "before"})
    successor = LarkConnector(bench.options, bench.host)
    final = {"message_id": message_id, "stream": {"text": "after", "final": True}}
    await successor.call("card.update", final)
    await successor.close()
    last = (await asked(bench, "card_text"))[-1]
    assert (last.code, last.body["content"]) == (0, "after")


async def test_a_card_that_was_sent_without_a_stream_cannot_be_streamed(bench: Bench) -> None:
    message_id = await sent(bench, card={"schema": "2.0", "body": {"elements": []}})
    error = await refused(bench, "card.update", message_id=message_id, stream={"text": "a"})
    assert error.data == {"platform_code": 300309, "reason": "stream_closed"}


async def test_a_file_goes_up_and_comes_down_in_chunks(bench: Bench) -> None:
    content = bytes(range(256)) * 20_000  # 5 MB, so three chunks
    upload_id, resource = None, None
    for offset in range(0, len(content), CHUNK_BYTES):
        chunk = content[offset : offset + CHUNK_BYTES]
        last = offset + len(chunk) == len(content)
        more = {"upload_id": upload_id} if upload_id else {"kind": "file", "name": "a.bin"}
        answer = await call(bench, "media.upload", data=chunk, offset=offset, last=last, **more)
        upload_id, resource = answer.get("upload_id"), answer.get("id")
    assert resource is not None
    assert answer == {"id": resource, "kind": "file", "name": "a.bin", "size": len(content)}
    message_id = await sent(bench, segments=[{"type": "file", "data": {"file_id": resource}}])
    fetched = bytearray()
    while True:
        part = await call(
            bench, "media.download", message_id=message_id, resource=resource, offset=len(fetched)
        )
        assert part["size"] == len(content)
        fetched += part["data"]
        if part["last"]:
            break
    assert fetched == content
    assert len(await asked(bench, "download")) == 3


async def test_a_platform_without_ranges_gives_the_same_parts(bench: Bench) -> None:
    await bench.fault(LarkNoRanges(platform="lark"))
    where = {"message_id": "om_1", "resource": "file_v3_0000_simulated"}
    whole = await call(bench, "media.download", **where)
    part = await call(bench, "media.download", **where, offset=70_000, length=1000)
    assert part["data"] == whole["data"][70_000:71_000]
    assert (part["size"], part["last"]) == (len(whole["data"]), False)


async def test_behind_the_end_of_a_resource_is_nothing(bench: Bench) -> None:
    where = {"message_id": "om_1", "resource": "file_v3_0000_simulated"}
    part = await call(bench, "media.download", **where, offset=10_000_000)
    assert (part["data"], part["last"]) == (b"", True)
    error = await refused(bench, "media.download", message_id="om_1", resource="file_v3_unknown")
    assert error.retcode == RetCode.PLATFORM_REFUSED


async def test_the_last_chunk_may_be_sent_again_after_a_passing_failure(bench: Bench) -> None:
    first = await call(bench, "media.upload", data=b"ab", kind="image")
    await bench.fault(ApiError(platform="lark", call="image", status=502, code=1, times=1))
    last = {"data": b"cd", "offset": 2, "upload_id": first["upload_id"], "last": True}
    error = await refused(bench, "media.upload", **last)
    assert (error.retcode, error.retryable) == (RetCode.PLATFORM_UNREACHABLE, True)
    assert (await call(bench, "media.upload", **last))["size"] == 4
    assert (await refused(bench, "media.upload", **last)).retcode == RetCode.BAD_PARAM


async def test_an_upload_that_is_refused_or_given_up_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.fault(ApiError(platform="lark", call="image", status=400, code=234006, times=1))
    error = await refused(bench, "media.upload", data=b"ab", kind="image", last=True)
    assert error.data == {"platform_code": 234006, "reason": "too_large"}
    monkeypatch.setattr(uploads, "IDLE_S", 0.05)
    await call(bench, "media.upload", data=b"ab", kind="image")
    pending = bench.connector._commands._transfers._uploading._uploads._pending
    await bench.until(lambda: not pending)
    large = {"data": bytes(IMAGE_BYTES + 1), "kind": "image"}
    assert (await refused(bench, "media.upload", **large)).retcode == RetCode.BAD_PARAM
    assert not pending


async def test_any_other_call_of_the_platform_can_be_made(bench: Bench) -> None:
    info = await call(bench, "platform.call", path="/bot/v3/info")
    assert info["bot"]["app_name"] == "Acme Bot"
    body = {"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"a"}'}
    query = {"receive_id_type": "chat_id"}
    answer = await call(
        bench, "platform.call", method="POST", path="/open-apis/im/v1/messages", query=query, body=body
    )
    assert answer["data"]["chat_id"] == "oc_1"
    await bench.fault(ApiError(platform="lark", call="send", status=502, code=1))
    error = await refused(
        bench, "platform.call", method="POST", path="/im/v1/messages", query=query, body=body
    )
    assert error.retcode == RetCode.DEADLINE_EXCEEDED


async def test_a_token_the_platform_forgot_is_renewed_once_for_any_call(bench: Bench) -> None:
    await bench.fault(ApiError(platform="lark", call="download", status=400, code=99991663, times=1))
    where = {"message_id": "om_1", "resource": "file_v3_0000_simulated"}
    assert (await call(bench, "media.download", **where))["last"] is True
    await bench.fault(ApiError(platform="lark", call="react", status=400, code=99991663))
    await bench.inject(message_id="om_1")
    error = await refused(bench, "reaction.create", message_id="om_1", emoji="OK")
    assert error.data == {"platform_code": 99991663}
    assert len(await asked(bench, "react")) == 2


async def test_over_five_a_second_into_a_chat_the_platform_says_no_and_when_to_come_again(
    bench: Bench,
) -> None:
    refusals: list[CommandError] = []
    while not refusals:  # a machine that stands still may send slowly for once
        outcomes = await asyncio.gather(*(sent(bench, text="a") for _ in range(12)), return_exceptions=True)
        refusals = [one for one in outcomes if isinstance(one, CommandError)]
    assert {(one.retcode, one.retry_after_ms) for one in refusals} == {(RetCode.PLATFORM_LIMITED, 1000)}
    assert refusals[0].data == {"platform_code": 230020, "limit": "chat"}
    state = await bench.state()
    times = [message.at for message in state.messages]
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[5:], strict=False))
    assert state.limited == len(refusals)


async def test_over_fifty_a_second_of_an_app_the_gateway_says_no(bench: Bench) -> None:
    chats = [f"oc_{number}" for number in range(60)]
    sends = (call(bench, "message.create", chat=chat, text="a") for chat in chats)
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    refusals = [one for one in outcomes if isinstance(one, CommandError)]
    assert {one.retcode for one in refusals} <= {RetCode.PLATFORM_LIMITED}
    state = await bench.state()
    times = [message.at for message in state.messages]
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[50:], strict=False))
    assert len(times) + state.limited == 60


async def test_what_lark_has_nothing_for_is_declared_and_no_command(bench: Bench) -> None:
    supported = bench.connector.declaration.supported
    assert "typing.set" in supported.missing
    assert "typing.set" not in bench.connector.declaration.methods
    assert (await refused(bench, "typing.set")).retcode == RetCode.UNKNOWN_METHOD


async def test_every_declared_command_is_carried_out_and_refuses_an_unknown_parameter(bench: Bench) -> None:
    for method in bench.connector.declaration.methods:
        error = await refused(bench, method, unheard_of=1)
        assert error.retcode == RetCode.BAD_PARAM, method
