"""One HTTP call of a connector, against real servers: what `requests` does for an operator, and no more."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from longwire_connectors import webcall
from longwire_connectors.webcall import Reply

TLS = Path(__file__).parent.parent / "fakes" / "tls"

Answer = Callable[[web.Request], web.StreamResponse]


class Server:
    """Answers every request in one way, and keeps them."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: web.json_response({"code": 0})
        self.seen: list[tuple[web.Request, bytes]] = []
        self.port = 0

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)
        self.seen.append((request, await request.read()))
        return self.answer(request)


@pytest.fixture(name="server")
async def server_fixture() -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        yield await serve(stack)


async def serve(stack: AsyncExitStack, *, tls: ssl.SSLContext | None = None) -> Server:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.port = runner.addresses[0][1]
    return server


@pytest.fixture(autouse=True)
def _fresh_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    webcall.trust.cache_clear()
    webcall._opener.cache_clear()
    webcall._proxies.cache_clear()


async def post(url: str) -> Reply:
    return await asyncio.to_thread(webcall.call, "POST", url, json={"a": "ü"}, headers={"X-Mine": "1"})


@asynccontextmanager
async def talking(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]],
) -> AsyncIterator[str]:
    """Listen, read a request's head, talk, close; yield the URL."""
    talks: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.ensure_future(handle(reader, writer)))

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await asyncio.gather(*talks)


async def test_what_is_sent_is_json_and_what_comes_back_is_returned_whatever_its_status(
    server: Server,
) -> None:
    server.answer = lambda _: web.Response(status=503, body=b"busy", headers={"Retry-After": "7"})
    reply = await post(f"http://127.0.0.1:{server.port}/path")
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (503, b"busy", "7")
    request, body = server.seen[0]
    assert body == '{"a":"ü"}'.encode()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Mine"] == "1"
    assert request.headers["User-Agent"].startswith("longwire/")


async def test_a_redirect_is_an_answer_like_any_other(server: Server) -> None:
    server.answer = lambda _: web.Response(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"})
    assert (await post(f"http://127.0.0.1:{server.port}/")).status == 307
    assert len(server.seen) == 1


async def test_a_body_without_end_is_cut_off(server: Server) -> None:
    server.answer = lambda _: web.Response(body=b"x" * (1024 * 1024))
    reply = await post(f"http://127.0.0.1:{server.port}/")
    assert webcall.MAX_BODY_BYTES <= len(reply.body) < 2 * webcall.MAX_BODY_BYTES


async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webcall, "SILENCE_S", 0.2)
    async with talking(lambda reader, _: reader.read()) as url:  # until the caller is gone
        with pytest.raises(TimeoutError):
            await post(url)


async def test_an_answer_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webcall, "SILENCE_S", 0.3)

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with talking(drip) as url:
        reply = await post(url)
    assert 0 < len(reply.body) < 1000


@pytest.mark.parametrize("answer", [b"", b"no HTTP\r\n\r\n"])
async def test_what_is_no_http_is_an_error_of_the_network(answer: bytes) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with talking(say) as url:
        with pytest.raises(ConnectionError):
            await post(url)


async def test_nobody_at_the_port_and_no_url_are_errors_that_say_so() -> None:
    async with talking(lambda *_: asyncio.sleep(0)) as url:
        pass
    with pytest.raises(ConnectionRefusedError):
        await post(url)
    with pytest.raises(ValueError, match="ftp"):
        await post("ftp://127.0.0.1/")


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
async def test_the_environments_proxy_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{server.port}")
    assert (await post("http://open.example/path")).status == 200
    assert str(server.seen[0][0].url) == "http://open.example/path"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert (await post(f"http://127.0.0.1:{server.port}/direct")).status == 200
    assert server.seen[1][0].path == "/direct"


@pytest.mark.parametrize("is_folder", [False, True])
async def test_certificates_that_requests_is_told_of_are_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_folder: bool
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    async with AsyncExitStack() as stack:
        server = await serve(stack, tls=tls)
        url = f"https://127.0.0.1:{server.port}/"
        with pytest.raises(ssl.SSLCertVerificationError):
            await post(url)
        (tmp_path / "ce275665.0").symlink_to(TLS / "certificate.pem")  # the name that OpenSSL looks for
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path if is_folder else TLS / "certificate.pem"))
        webcall.trust.cache_clear()
        webcall._opener.cache_clear()
        webcall._proxies.cache_clear()
        assert (await post(url)).status == 200


async def test_certificates_that_cannot_be_read_fail_each_call_and_not_the_preparation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere/at/all.pem")
    await asyncio.to_thread(webcall.prepare)
    with pytest.raises(FileNotFoundError):
        await post("http://127.0.0.1:9/")
