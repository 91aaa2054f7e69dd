"""A child's HTTP client against real servers: what it sends, what it bears, and what its failures mean."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from longwire_connectors import pool, webcall
from longwire_connectors.commands import Commands
from longwire_connectors.http import Http, Part, Reply
from longwire_protocol import breaker
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import Command, CommandResult

TLS = Path(__file__).parent.parent / "fakes" / "tls"
DEADLINE_S = 30.0

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every request in one way, and keeps them."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[web.Request, bytes]] = []
        self.release = asyncio.Event()
        self.release.set()
        self.url = ""

    @property
    def paths(self) -> list[str]:
        return [request.path for request, _ in self.seen]

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)
        self.seen.append((request, await request.read()))
        await self.release.wait()
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", server.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.release.set()
        await runner.cleanup()


@pytest.fixture(name="server")
async def server_fixture() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture(name="http")
async def http_fixture() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.close()


@pytest.fixture(autouse=True)
def _fresh_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    webcall.trust.cache_clear()
    webcall._opener.cache_clear()
    webcall._proxies.cache_clear()


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """Listen, read each request's head, talk, close; yield the URL."""
    talks: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.ensure_future(handle(reader, writer)))

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await asyncio.gather(*talks)


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(-1)  # until the caller is gone


async def break_off(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await head(reader)


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.write(b"no HTTP\r\n\r\n")


async def break_in_the_middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


async def refused(http: Http, url: str, method: str = "POST", **how: Any) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        await http.call(method, url, **how)
    return refusal.value


def had_no_effect(error: CommandError) -> bool:
    return (error.retcode, error.retryable) == (RetCode.PLATFORM_UNREACHABLE, True)


async def downloaded(http: Http, url: str, *, max_bytes: int) -> list[bytes]:
    async with http.stream("GET", url, max_bytes=max_bytes, total_s=DEADLINE_S) as download:
        assert (download.status, download.headers["content-disposition"]) == (200, "attachment")
        return [chunk async for chunk in download.chunks()]


async def seen(server: Server, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while len(server.seen) < count:  # noqa: ASYNC110  only seen by looking
            await asyncio.sleep(0.005)


async def test_json_is_sent_and_an_answer_is_an_answer_whatever_its_status(
    http: Http, server: Server
) -> None:
    server.status, server.body, server.headers = 429, b"slow", {"X-Ogw-Ratelimit-Reset": "7"}
    reply = await http.call(
        "POST", server.url + "/path?a=1", query={"b": "2"}, json={"k": "ü"}, headers={"X-Mine": "1"}
    )
    assert (reply.status, reply.body, reply.headers["x-ogw-ratelimit-reset"]) == (429, b"slow", "7")
    request, body = server.seen[0]
    assert (request.method, request.path_qs, body) == ("POST", "/path?a=1&b=2", '{"k":"ü"}'.encode())
    assert request.headers["Content-Type"].startswith("application/json")
    assert request.headers["X-Mine"] == "1"
    assert request.headers["User-Agent"].startswith("longwire/")


async def test_a_redirect_is_an_answer_and_no_cookie_is_kept(http: Http, server: Server) -> None:
    server.status = 307
    server.headers = {"Location": server.url + "/elsewhere", "Set-Cookie": "a=b"}
    assert (await http.call("POST", server.url + "/", json={})).status == 307
    await http.call("GET", server.url + "/again")
    assert server.paths == ["/", "/again"]
    assert "Cookie" not in server.seen[1][0].headers


async def test_a_form_carries_texts_and_files(http: Http, server: Server) -> None:
    large = b"x" * 3_000_000
    parts = [
        Part("file_type", "stream"),
        Part("file", large, filename="a.bin", content_type="application/octet-stream"),
        Part("thumb", io.BytesIO(b"small"), filename="b.png", content_type="image/png"),
    ]
    await http.call("POST", server.url, parts=parts)
    request, body = server.seen[0]
    assert request.content_type == "multipart/form-data"
    assert (b'name="file_type"' in body, b'filename="a.bin"' in body) == (True, True)
    assert (large in body, b"small" in body) == (True, True)


async def test_where_nobody_listens_nothing_had_an_effect(http: Http) -> None:
    async with talking(hang) as url:
        pass
    assert had_no_effect(await refused(http, url))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://", "nothing"])
async def test_what_is_no_url_is_the_callers_mistake(http: Http, url: str) -> None:
    assert (await refused(http, url)).retcode == RetCode.BAD_PARAM


async def test_a_host_without_an_address_had_no_effect(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert had_no_effect(await refused(http, "http://no.such.example/"))


async def test_a_lookup_that_hangs_is_left_behind(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    gate = threading.Event()

    def hangs(*_: Any, **__: Any) -> Any:
        gate.wait(DEADLINE_S)
        loop.call_soon_threadsafe(over.set)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    monkeypatch.setattr(pool, "LOOKUP_S", 0.1)
    monkeypatch.setattr(pool, "READY_S", 1000.0)
    assert had_no_effect(await refused(http, "http://slow.example/", total_s=1000.0))
    assert not over.is_set()
    gate.set()
    await over.wait()


async def test_a_certificate_that_is_not_trusted_had_no_effect_and_the_environment_can_trust_it(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    async with serving(tls) as server:
        assert had_no_effect(await refused(http, server.url))
        await http.close()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "certificate.pem"))
        webcall.trust.cache_clear()
        assert (await http.call("GET", server.url)).status == 200


async def test_certificates_that_cannot_be_read_fail_the_call(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/at/all.pem")
    assert had_no_effect(await refused(http, "http://127.0.0.1:9/"))


@pytest.mark.parametrize("talk", [break_off, babble, break_in_the_middle, hang])
async def test_after_the_request_was_sent_its_effect_is_unknown_unless_it_may_be_repeated(
    http: Http, talk: Talk
) -> None:
    async with talking(talk) as url:
        error = await refused(http, url, json={}, total_s=1.0)
        assert (error.retcode, error.retryable) == (RetCode.DEADLINE_EXCEEDED, False)
        assert had_no_effect(await refused(http, url, json={}, total_s=1.0, is_harmless=True))


async def test_a_silence_in_the_answer_ends_it(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SILENCE_S", 0.2)

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await break_in_the_middle(reader, writer)
        await hang(reader, writer)

    async with talking(stall) as url:
        error = await refused(http, url, total_s=1000.0)
        assert "did not answer in time: SocketTimeoutError" in error.message


async def test_an_answer_over_the_bound_is_not_read_to_its_end(http: Http, server: Server) -> None:
    server.body = b"x" * 100_000
    error = await refused(http, server.url, "GET", max_bytes=1000, is_harmless=True)
    assert (error.retcode, error.retryable) == (RetCode.PLATFORM_UNREACHABLE, False)
    assert len((await http.call("GET", server.url)).body) == 100_000


async def test_a_full_pool_is_waited_for_in_order_and_not_for_ever(
    http: Http, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_PER_HOST", 1)
    server.release.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(http.call("POST", server.url + "/0"))
        await seen(server, 1)
        assert had_no_effect(await refused(http, server.url + "/late", total_s=0.3))
        for number in (1, 2, 3):
            tasks.create_task(http.call("POST", f"{server.url}/{number}"))
            await asyncio.sleep(0)
        server.release.set()
    assert server.paths == ["/0", "/1", "/2", "/3"]


async def test_a_command_whose_deadline_ends_in_the_queue_had_no_effect(
    http: Http, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_PER_HOST", 1)
    server.release.clear()

    async def call(_method: str, params: dict[str, Any], **_: Any) -> None:
        await http.call("POST", server.url + params["path"])

    results: list[CommandResult] = []
    connector = SimpleNamespace(call=call)
    async with asyncio.TaskGroup() as tasks:
        commands = Commands(tasks, lambda: connector, results.append)
        commands.begin(Command(1, "m", {"path": "/sent"}, deadline_s=DEADLINE_S))
        await seen(server, 1)
        commands.begin(Command(2, "m", {"path": "/queued"}, deadline_s=0.5))
        async with asyncio.timeout(DEADLINE_S):
            while not results:  # noqa: ASYNC110  only seen by looking
                await asyncio.sleep(0.005)
        server.release.set()
        await commands.finish()
        commands.cancel()
    codes = [(result.id, result.retcode) for result in results]
    assert codes == [(2, RetCode.PLATFORM_UNREACHABLE), (1, RetCode.OK)]


async def test_five_failures_leave_the_host_alone_and_no_other(
    http: Http, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.status = 500
    for _ in range(5):
        assert (await http.call("POST", server.url)).status == 500
    error = await refused(http, server.url)
    assert had_no_effect(error)
    assert error.retry_after_ms is not None
    assert 0 < error.retry_after_ms <= 30_000
    assert len(server.seen) == 5
    assert [record.message for record in caplog.records] == ["host_left_alone"]
    async with serving() as other:
        assert (await http.call("POST", other.url)).status == 200


async def test_one_probe_at_a_time_finds_out_whether_the_host_is_back(
    http: Http, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="longwire.child")
    monkeypatch.setattr(breaker, "REST_S", 0.0)
    server.status = 500
    for _ in range(5):
        await http.call("POST", server.url)
    server.status = 400
    server.release.clear()
    async with asyncio.TaskGroup() as tasks:
        probe: asyncio.Task[Reply] = tasks.create_task(http.call("POST", server.url))
        await seen(server, 6)
        assert had_no_effect(await refused(http, server.url))
        server.release.set()
    assert probe.result().status == 400
    assert (await http.call("POST", server.url)).status == 400
    assert [record.message for record in caplog.records] == ["host_left_alone", "host_answers_again"]


async def test_refusals_and_calls_given_up_are_no_failures_of_the_host(http: Http, server: Server) -> None:
    server.status = 403
    for _ in range(6):
        await http.call("POST", server.url)
    server.release.clear()
    for _ in range(6):
        call = asyncio.ensure_future(http.call("POST", server.url))
        await seen(server, len(server.seen) + 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    server.release.set()
    assert (await http.call("POST", server.url)).status == 403


async def test_the_hosts_that_are_remembered_are_bounded(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwire_connectors.http._MAX_HOSTS", 2)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            server = await stack.enter_async_context(serving())
            await http.call("GET", server.url)
    assert len(http._breakers) == 2


async def test_an_idle_connection_that_was_closed_is_replaced_for_what_may_be_repeated(http: Http) -> None:
    connections = list[int]()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await head(reader)
        writer.write(OK)
        await head(reader)  # and then it is closed without a word

    async with talking(answer_once) as url:
        first = await http.call("POST", url)
        again = await http.call("POST", url, is_harmless=True)
        assert (first.body, again.body, len(connections)) == (b"ok", b"ok", 2)
        assert (await refused(http, url)).retcode == RetCode.DEADLINE_EXCEEDED
        await http.close()


async def test_a_download_comes_in_pieces(http: Http, server: Server) -> None:
    server.body, server.headers = b"x" * 300_000, {"Content-Disposition": "attachment"}
    chunks = await downloaded(http, server.url, max_bytes=300_000)
    assert sum(map(len, chunks)) == 300_000
    assert max(map(len, chunks)) <= 64 * 1024


async def test_a_download_over_its_bound_is_refused_before_it_is_read(http: Http, server: Server) -> None:
    server.body = b"x" * 2000
    with pytest.raises(CommandError, match="more than 1000 bytes"):
        await downloaded(http, server.url, max_bytes=1000)


async def test_a_download_whose_length_is_not_announced_is_cut_at_its_bound(http: Http) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    async with talking(endless) as url:
        with pytest.raises(CommandError, match="more than 10000 bytes"):
            await downloaded(http, url, max_bytes=10_000)


async def test_a_mistake_of_the_reader_is_no_failure_of_the_host(http: Http, server: Server) -> None:
    for _ in range(6):
        with pytest.raises(OSError, match="disk"):
            async with http.stream("GET", server.url, max_bytes=10, total_s=DEADLINE_S):
                raise OSError("disk full")
    assert (await http.call("GET", server.url)).status == 200


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
async def test_the_environments_proxy_is_asked_with_its_password(
    http: Http, server: Server, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, server.url.replace("://", "://user:pass@"))
    assert (await http.call("POST", "http://open.example/path")).status == 200
    request = server.seen[0][0]
    assert str(request.url) == "http://open.example/path"
    assert request.headers["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert (await http.call("POST", server.url + "/direct")).status == 200
    assert server.seen[1][0].path == "/direct"


async def test_a_proxy_without_a_scheme_is_one_of_http(
    http: Http, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removeprefix("http://"))
    assert (await http.call("POST", "http://open.example/path")).status == 200


async def test_a_proxy_of_another_kind_is_no_effect(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    assert had_no_effect(await refused(http, "http://open.example/path"))


async def test_closed_connections_are_closed_and_the_next_call_opens_another(
    http: Http, server: Server
) -> None:
    await http.call("GET", server.url)
    session = http._pool._session
    await http.close()
    assert session.closed
    assert (await http.call("GET", server.url)).status == 200


def test_aiohttp_is_not_imported_before_the_first_call() -> None:
    script = "import sys, longwire_connectors.http as h; h.Http(); assert 'aiohttp' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
