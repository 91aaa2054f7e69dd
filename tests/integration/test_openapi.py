"""The authenticated calls that both platforms' commands are made of, against canned answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from longwire_connectors.access_token import AccessToken
from longwire_connectors.dingtalk.openapi import OpenApi as DingTalkApi
from longwire_connectors.http import Part
from longwire_connectors.lark.openapi import OpenApi as LarkApi
from longwire_connectors.lark.options import LarkOptions
from longwire_protocol.errors import CommandError, RetCode

STALE = {"code": 99991663, "msg": "Invalid access token"}


class Platform:
    """Gives tokens t1, t2, ... and accepts those from `first_good` on; then answers as it is told."""

    def __init__(self) -> None:
        self.tokens = 0
        self.first_good = 1
        self.life_s = 7200
        self.answer: Callable[[], web.Response] = lambda: web.json_response({"code": 0, "data": {"a": 1}})
        self.asked: list[tuple[str, str, str, bytes]] = []

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)
        body = await request.read()
        if request.path.endswith(("/tenant_access_token/internal", "/oauth2/accessToken")):
            self.tokens += 1
            token = f"t{self.tokens}"
            return web.json_response(
                {
                    "code": 0,
                    "tenant_access_token": token,
                    "expire": self.life_s,
                    "accessToken": token,
                    "expireIn": self.life_s,
                }
            )
        by_lark = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = by_lark or request.headers["x-acs-dingtalk-access-token"]
        self.asked.append((request.method, request.path_qs, token, body))
        if int(token[1:]) >= self.first_good:
            return self.answer()
        return web.json_response(STALE, status=400 if by_lark else 401)


@pytest.fixture(name="platform")
def fixture_platform() -> Platform:
    return Platform()


@asynccontextmanager
async def lark(platform: Platform) -> AsyncIterator[LarkApi]:
    async with _serving(platform) as url:
        api = LarkApi(LarkOptions(app_id="cli_0123456789abcdef", app_secret="made-up", domain=url))
        yield api
        await api.close()


@asynccontextmanager
async def dingtalk(platform: Platform) -> AsyncIterator[DingTalkApi]:
    async with _serving(platform) as url:
        api = DingTalkApi(base=url, client_id="ding", client_secret="made-up")
        yield api
        await api.close()


@asynccontextmanager
async def _serving(platform: Platform) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", platform.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def error_of(call: Any) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        await call
    return refusal.value


@pytest.mark.parametrize("made", [lark, dingtalk])
async def test_a_token_is_fetched_once_for_all_and_renewed_once_for_all(
    made: Any, platform: Platform
) -> None:
    async with made(platform) as api:
        await asyncio.gather(*(api.request("POST", f"/{n}", body={}) for n in range(5)))
        assert platform.tokens == 1
        platform.first_good = 2
        await asyncio.gather(*(api.request("POST", f"/{n}", body={}) for n in range(5)))
        assert platform.tokens == 2
        platform.first_good = 99
        assert (await error_of(api.request("POST", "/x", body={}))).retcode == RetCode.PLATFORM_REFUSED
        assert platform.tokens == 3


async def test_lark_is_asked_below_its_prefix_and_answers_as_a_whole(platform: Platform) -> None:
    async with lark(platform) as api:
        answer = await api.request("PATCH", "/im/v1/messages/om_1", query={"a": "b"}, body={"k": 1})
    assert answer == {"code": 0, "data": {"a": 1}}
    assert platform.asked == [("PATCH", "/open-apis/im/v1/messages/om_1?a=b", "t1", b'{"k":1}')]


async def test_a_form_is_sent_again_with_a_new_token(platform: Platform) -> None:
    async with lark(platform) as api:
        await api.request("GET", "/x")
        platform.first_good = 2
        await api.request("POST", "/im/v1/files", parts=[Part("file", b"content", filename="f")])
    assert [(token, b"content" in body) for _, _, token, body in platform.asked[1:]] == [
        ("t1", True),
        ("t2", True),
    ]


@pytest.mark.parametrize("made", [lark, dingtalk])
@pytest.mark.parametrize(
    ("status", "method", "retcode"),
    [
        (200, "POST", RetCode.DEADLINE_EXCEEDED),
        (200, "GET", RetCode.PLATFORM_UNREACHABLE),
        (302, "POST", RetCode.PLATFORM_REFUSED),
        (404, "POST", RetCode.PLATFORM_REFUSED),
        (502, "POST", RetCode.DEADLINE_EXCEEDED),
        (502, "GET", RetCode.PLATFORM_UNREACHABLE),
        (503, "POST", RetCode.DEADLINE_EXCEEDED),
        (503, "GET", RetCode.PLATFORM_UNREACHABLE),
    ],
)
async def test_an_answer_of_a_gateway_says_what_it_can(
    made: Any, platform: Platform, status: int, method: str, retcode: RetCode
) -> None:
    platform.answer = lambda: web.Response(status=status, text="<html>")
    async with made(platform) as api:
        assert (await error_of(api.request(method, "/x"))).retcode == retcode


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [({"x-ogw-ratelimit-reset": "7"}, 7000), ({"Retry-After": "5"}, 5000), ({}, 1000)],
)
async def test_a_limit_of_lark_says_how_long_to_wait(
    platform: Platform, headers: dict[str, str], wait_ms: int
) -> None:
    platform.answer = lambda: web.json_response({"code": 99991400}, status=429, headers=headers)
    async with lark(platform) as api:
        error = await error_of(api.request("POST", "/x"))
    assert (error.retcode, error.retry_after_ms) == (RetCode.PLATFORM_LIMITED, wait_ms)


async def test_an_answer_of_dingtalk_without_a_body_is_an_empty_one(platform: Platform) -> None:
    platform.answer = web.Response
    async with dingtalk(platform) as api:
        assert await api.request("DELETE", "/v1.0/x") == {}


async def download(api: LarkApi) -> bytes:
    async with api.download("/f", query={"type": "file"}, max_bytes=100, total_s=30.0) as file:
        return b"".join([chunk async for chunk in file.chunks()])


async def test_a_file_is_downloaded_with_a_token_that_is_renewed_once(platform: Platform) -> None:
    platform.answer = lambda: web.Response(body=b"content")
    async with lark(platform) as api:
        assert await download(api) == b"content"
        platform.first_good = 2
        assert await download(api) == b"content"
        platform.first_good = 99
        error = await error_of(download(api))
    assert (error.retcode, error.data) == (RetCode.PLATFORM_REFUSED, {"platform_code": 99991663})
    assert [token for _, _, token, _ in platform.asked] == ["t1", "t1", "t2", "t2", "t3"]


async def test_a_file_that_is_refused_says_why(platform: Platform) -> None:
    platform.answer = lambda: web.json_response({"code": 234003, "msg": "File not in msg."}, status=400)
    async with lark(platform) as api:
        error = await error_of(download(api))
    assert error.data == {"platform_code": 234003}


async def test_a_token_is_replaced_before_its_end_and_a_short_one_is_used_all_the_same() -> None:
    lives = iter([300.0, 0.0, 7200.0, 7200.0])

    async def fetch() -> tuple[str, float]:
        life_s = next(lives)
        return f"token for {life_s:g}", life_s

    token = AccessToken(fetch)
    assert [await token.get(), await token.get()] == ["token for 300"] * 2
    assert await token.get(refused="token for 300") == "token for 0"
    assert await token.get() == "token for 7200"
    assert await token.get(refused="token for 300") == "token for 7200"


async def test_a_token_that_cannot_be_fetched_is_asked_for_again() -> None:
    answers = iter([CommandError(RetCode.PLATFORM_UNREACHABLE, "no"), ("t", 7200.0)])

    async def fetch() -> tuple[str, float]:
        answer = next(answers)
        if isinstance(answer, CommandError):
            raise answer
        return answer

    token = AccessToken(fetch)
    assert (await error_of(token.get())).retcode == RetCode.PLATFORM_UNREACHABLE
    assert await token.get() == "t"
