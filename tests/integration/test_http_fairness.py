"""Commands that share a child's HTTP: none has a host left alone for the others, or keeps them waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from harness.waiting import until
from longwire_connectors import asking, commands, http, pool
from longwire_connectors.access_token import AccessToken
from longwire_connectors.commands import Commands
from longwire_connectors.deadline import COMMAND_ENDS_AT
from longwire_connectors.http import Http, Part
from longwire_connectors.lark.openapi import OpenApi
from longwire_connectors.lark.options import LarkOptions
from longwire_protocol import breaker
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import Command, CommandResult

SHORT_S = 0.15
FILE = (Part("file", b"content", filename="f"),)


class Host:
    """Answers what is asked of it below `/held` when it is released, and all else at once."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.release = asyncio.Event()

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        self.paths.append(request.path)
        if request.path.startswith("/held"):
            await self.release.wait()
        return web.json_response({"code": 0})

    async def seen(self, count: int) -> None:
        async def is_seen() -> bool:
            return len(self.paths) >= count

        await until(is_seen, what=f"{count} requests")


@pytest.fixture(name="host")
async def host_fixture() -> AsyncIterator[Host]:
    host = Host()
    runner = web.ServerRunner(web.Server(host.take), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield host
    host.release.set()
    await runner.cleanup()


@asynccontextmanager
async def client() -> AsyncIterator[tuple[Http, Counter[str]]]:
    counted: Counter[str] = Counter()

    def count(what: str) -> None:
        counted[what] += 1

    made = Http(count)
    yield made, counted
    await made.close()


async def fails(work: Awaitable[object]) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        await work
    return refusal.value


def had_no_effect(error: CommandError) -> bool:
    return (error.retcode, error.retryable) == (RetCode.PLATFORM_UNREACHABLE, True)


async def test_a_crowd_before_a_full_pool_has_no_host_left_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_PER_HOST", 1)
    monkeypatch.setattr(asking, "FAIR_S", 0.0)
    async with client() as (made, counted), asyncio.TaskGroup() as tasks:
        tasks.create_task(made.call("POST", f"{host.url}/held"))
        await host.seen(1)
        for _ in range(breaker.FAILURES + 1):
            assert had_no_effect(await fails(made.call("POST", f"{host.url}/crowd", total_s=SHORT_S)))
        host.release.set()
        assert (await made.call("POST", f"{host.url}/after")).status == 200
    assert (counted["platform_calls"], counted["platform_calls_failed"]) == (breaker.FAILURES + 3, 0)


async def test_short_deadlines_of_one_client_have_no_host_left_alone_for_others(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client() as (made, counted):
        for _ in range(breaker.FAILURES + 1):
            error = await fails(made.call("POST", f"{host.url}/held", total_s=SHORT_S))
            assert error.retcode == RetCode.DEADLINE_EXCEEDED
        assert (await made.call("POST", f"{host.url}/other")).status == 200
        monkeypatch.setattr(asking, "FAIR_S", SHORT_S / 2)
        for _ in range(breaker.FAILURES):
            await fails(made.call("POST", f"{host.url}/held", total_s=SHORT_S))
        assert "left alone" in (await fails(made.call("POST", f"{host.url}/other"))).message
    assert (counted["platform_calls_failed"], counted["host_left_alone"]) == (breaker.FAILURES, 1)


async def test_messages_do_not_wait_for_files_and_a_file_that_waited_in_vain_had_no_effect(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_TRANSFERS", 1)
    async with client() as (made, _), asyncio.TaskGroup() as tasks:
        tasks.create_task(made.call("POST", f"{host.url}/held", parts=FILE))
        await host.seen(1)
        late = made.call("POST", f"{host.url}/late", parts=FILE, total_s=SHORT_S)
        assert had_no_effect(await fails(late))
        assert (await made.call("POST", f"{host.url}/message")).status == 200
        host.release.set()
        assert (await made.call("POST", f"{host.url}/file", parts=FILE)).status == 200
    assert host.paths == ["/held", "/message", "/file"]


async def test_downloads_whose_tokens_are_refused_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "MAX_TRANSFERS", 1)
    tokens = 0

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal tokens
        if request.path.endswith("/internal"):
            tokens += 1
            return web.json_response({"code": 0, "tenant_access_token": f"t{tokens}", "expire": 7200})
        if request.headers["Authorization"] == "Bearer t1":
            return web.json_response({"code": 99991663}, status=400)
        return web.Response(body=b"content")

    runner = web.ServerRunner(web.Server(take), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    domain = f"http://127.0.0.1:{runner.addresses[0][1]}"
    api = OpenApi(LarkOptions(app_id="cli_0000000000000001", app_secret="s", domain=domain))
    async with api.download("/f", max_bytes=100, total_s=10.0) as file:
        assert b"".join([chunk async for chunk in file.chunks()]) == b"content"
    await api.close()
    await runner.cleanup()


async def test_a_command_that_waits_for_anothers_token_until_its_deadline_had_no_effect() -> None:
    gate = asyncio.Event()

    async def fetch() -> tuple[str, float]:
        await gate.wait()
        return "t", 7200.0

    token = AccessToken(fetch)
    first = asyncio.create_task(token.get())
    await asyncio.sleep(0)

    async def late() -> str:
        COMMAND_ENDS_AT.set(asyncio.get_running_loop().time() + SHORT_S)
        return await token.get()

    error = await fails(asyncio.create_task(late()))
    assert had_no_effect(error)
    assert error.data == {"was_sent": False}
    gate.set()
    assert await first == await token.get() == "t"


async def test_files_leave_room_for_messages_among_the_commands_of_a_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "_MAX_FILES", 2)
    monkeypatch.setattr(commands, "_MAX_COMMANDS", 3)
    gate = asyncio.Event()

    async def call(*_: Any, **__: Any) -> None:
        await gate.wait()

    results: list[CommandResult] = []
    async with asyncio.TaskGroup() as tasks:
        connector: Callable[[], Any] = lambda: SimpleNamespace(call=call)  # noqa: E731
        made = Commands(tasks, connector, results.append)
        for number, method in enumerate(["media.download"] * 3 + ["message.create"] * 2, start=1):
            made.begin(Command(number, method, {}, deadline_s=30.0))
        assert [(one.id, one.retcode) for one in results] == [(3, RetCode.SATURATED), (5, RetCode.SATURATED)]
        gate.set()
        await made.finish()
        made.cancel()
    assert not made.is_busy
