"""What a command's error says of its effect, on both platforms: unknown, or certainly none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fakes.dingtalk_bench import (  # noqa: F401  pytest finds a fixture by its name in the module
    Rig,
    running_rig,
)
from fakes.lark_bench import Bench, lark_bench, lark_host, loose_ends  # noqa: F401  fixtures
from longwire_connectors.http import Http
from longwire_connectors.simulator.fault_kinds import ApiError
from longwire_protocol.errors import CommandError, RetCode

DEADLINE_S = 30.0
GROUP = {"id": "cidG", "type": "group"}
CLOSED = 300309
FINAL = {"text": "all", "final": True}


async def refused(work: Any) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        await work
    return refusal.value


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_changes_something_is_sent_once_though_its_connection_breaks(method: str) -> None:
    """aiohttp by itself asks twice: the second time is refused, as if there had been no effect."""
    heads: list[bytes] = []

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    http = Http()
    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        error = await refused(http.call(method, url, total_s=DEADLINE_S))
        await http.close()
    assert (error.retcode, len(heads)) == (RetCode.DEADLINE_EXCEEDED, 1)


@pytest.mark.parametrize(
    ("call", "method", "params"),
    [
        ("update", "message.update", {"text": "new"}),
        ("delete", "message.delete", {}),
        ("react", "reaction.create", {"emoji": "OK"}),
    ],
)
async def test_a_lost_answer_of_lark_leaves_the_effect_unknown_though_it_may_be_repeated(
    bench: Bench, call: str, method: str, params: dict[str, Any]
) -> None:
    sent = await bench.connector.call("message.create", {"chat": "oc_1", "text": "x"})
    await bench.fault(ApiError(platform="lark", call=call, status=502, times=1))  # type: ignore[arg-type]
    error = await refused(bench.connector.call(method, {**sent, **params}))
    assert (error.retcode, error.retryable) == (RetCode.DEADLINE_EXCEEDED, False)
    await bench.connector.call(method, {**sent, **params})


@pytest.mark.parametrize(
    ("call", "method", "params"),
    [("recall", "message.delete", {}), ("emotion", "reaction.create", {"emoji": "👍", "chat": GROUP})],
)
async def test_a_lost_answer_of_dingtalk_leaves_the_effect_unknown_though_it_may_be_repeated(
    rig: Rig, call: str, method: str, params: dict[str, Any]
) -> None:
    sent = await rig.connector.call("message.create", {"chat": GROUP, "markdown": "x"})
    fault = ApiError(platform="dingtalk", call=call, status=502, times=1)  # type: ignore[arg-type]
    await rig.admin.fault(fault)
    error = await refused(rig.connector.call(method, {**sent, **params}))
    assert (error.retcode, error.retryable) == (RetCode.DEADLINE_EXCEEDED, False)


@pytest.mark.parametrize("status", [400, 503])
async def test_a_text_of_lark_that_is_shown_and_does_not_end_is_uncertain(bench: Bench, status: int) -> None:
    card = await bench.connector.call("message.create", {"chat": "oc_1", "stream": {"text": "..."}})
    await bench.fault(ApiError(platform="lark", call="card_settings", status=status, code=9, times=1))
    error = await refused(bench.connector.call("card.update", {**card, "stream": FINAL}))
    assert (error.retcode, error.retryable) == (RetCode.DEADLINE_EXCEEDED, False)
    assert error.data["platform_code"] == 9  # type: ignore[index]


async def test_a_text_of_lark_whose_card_ended_by_itself_is_shown(bench: Bench) -> None:
    card = await bench.connector.call("message.create", {"chat": "oc_1", "stream": {"text": "..."}})
    await bench.fault(ApiError(platform="lark", call="card_settings", status=400, code=CLOSED, times=1))
    assert await bench.connector.call("card.update", {**card, "stream": FINAL}) == {"shown": True}


async def test_a_text_of_dingtalk_that_is_shown_and_does_not_end_is_uncertain(rig: Rig) -> None:
    card = await rig.connector.call("message.create", {"chat": GROUP, "stream": {}})
    await rig.admin.fault(ApiError(platform="dingtalk", call="card", status=400, code="no", times=1))
    error = await refused(rig.connector.call("card.update", {**card, "stream": FINAL}))
    assert (error.retcode, error.data["platform_code"]) == (RetCode.DEADLINE_EXCEEDED, "no")  # type: ignore[index]
    assert (await rig.state()).cards[card["message_id"]]["msgContent"] == "all"


@pytest.mark.parametrize("code", [230049, 231015])
async def test_what_lark_is_still_doing_may_be_asked_for_again(bench: Bench, code: int) -> None:
    await bench.fault(ApiError(platform="lark", call="send", status=400, code=code, times=1))
    error = await refused(bench.connector.call("message.create", {"chat": "oc_1", "text": "x"}, key="k"))
    assert (error.retcode, error.retryable, error.retry_after_ms) == (RetCode.PLATFORM_REFUSED, True, 1000)


async def test_a_reaction_that_is_taken_back_twice_by_its_id_is_gone(bench: Bench) -> None:
    sent = await bench.connector.call("message.create", {"chat": "oc_1", "text": "x"})
    added = await bench.connector.call("reaction.create", {**sent, "emoji": "OK"})
    for _ in range(2):
        assert await bench.connector.call("reaction.delete", {**sent, **added}) == added
