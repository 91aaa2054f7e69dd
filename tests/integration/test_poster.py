"""The courier's HTTP client against real servers: what it sends, what it bears, what its failures mean."""

from __future__ import annotations

import asyncio
import errno
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest

from fakes.peers import OK, Line, Names, answering, head, peer, true
from fakes.posting import CERTIFICATE, HEADERS, closed, posted, served_tls, target
from longwire.courier import connecting, http
from longwire.courier.errors import Busy, Failed
from longwire.courier.http import MAX_ANSWER_BYTES, Answer, Poster
from longwire.courier.target import Target


@pytest.fixture(name="poster")
async def poster_fixture() -> AsyncIterator[Poster]:
    poster = Poster()
    yield poster
    await poster.close()
    await closed(poster)


async def test_a_post_carries_the_body_and_the_headers_and_brings_the_answer(poster: Poster) -> None:
    said = {"Content-Type": "application/json", "Retry-After": "3", "X": "y"}
    async with peer(answering(head(202, said, b"{}"))) as crm:
        answer = await posted(poster, target(crm.url()), b'{"id": "e1"}')
    assert answer == Answer(202, {"content-type": "application/json", "retry-after": "3"}, b"{}")
    (received,) = crm.received
    assert (received.method, received.path, received.body) == ("POST", "/hook", b'{"id": "e1"}')
    assert {name: received.headers[name.lower()] for name in HEADERS} == HEADERS
    assert received.headers["host"] == f"127.0.0.1:{crm.port}"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["user-agent"].startswith("Longwire/")


@pytest.mark.parametrize("path", ["", "?a=b", "/%7ex/%2f/../y;z?q=%20+a&b=%2B"])
async def test_a_url_is_posted_to_as_it_was_given(poster: Poster, path: str) -> None:
    async with peer(answering()) as crm:
        await posted(poster, target(crm.url(path=path)))
    assert crm.received[0].path == (path if path.startswith("/") else f"/{path}")


async def test_posts_one_after_the_other_share_a_connection(poster: Poster) -> None:
    async with peer(answering()) as crm:
        for _ in range(3):
            assert (await posted(poster, target(crm.url()))).body == b"ok"
    assert (len(crm.received), crm.connections) == (3, 1)


async def test_an_answer_without_a_body_leaves_the_connection_for_the_next(poster: Poster) -> None:
    async with peer(answering(b"HTTP/1.1 204 Done\r\n\r\n")) as crm:
        assert (await posted(poster, target(crm.url()))).body == b""
        await posted(poster, target(crm.url()))
    assert crm.connections == 1


async def test_an_idle_connection_that_turns_out_to_be_closed_is_not_the_targets_failure(
    poster: Poster,
) -> None:
    async def once(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.request()  # and goes without a word

    async with peer(once) as crm:
        assert (await posted(poster, target(crm.url()))).status == 200
        assert (await posted(poster, target(crm.url()))).status == 200
    assert (len(crm.received), crm.connections) == (3, 2)


async def test_a_second_connection_that_breaks_is_the_targets_failure(poster: Poster) -> None:
    asked = count()

    async def once(line: Line) -> None:
        await line.request()
        if next(asked) == 0:
            await line.say(OK)
            await line.request()

    async with peer(once) as crm:
        await posted(poster, target(crm.url()))
        with pytest.raises(Failed, match="closed the connection without an answer"):
            await posted(poster, target(crm.url()))
    assert crm.connections == 2


async def test_a_new_connection_that_closes_without_an_answer_is_tried_once(poster: Poster) -> None:
    async def mute(line: Line) -> None:
        await line.request()

    async with peer(mute) as crm:
        with pytest.raises(Failed, match=r"127\.0\.0\.1 closed the connection without an answer"):
            await posted(poster, target(crm.url()))
    assert crm.connections == 1


async def test_a_reset_is_the_targets_failure(poster: Poster) -> None:
    async def reset(line: Line) -> None:
        await line.request()
        line.writer.transport.abort()

    async with peer(reset) as crm:
        with pytest.raises(Failed):
            await posted(poster, target(crm.url()))


async def test_nobody_listening_is_the_targets_failure(poster: Poster) -> None:
    async with peer(answering()) as crm:
        url = crm.url()
    with pytest.raises(Failed, match="could not be reached"):
        await posted(poster, target(url))


async def test_a_host_that_swallows_everything_is_given_up_after_the_connect_timeout(poster: Poster) -> None:
    """The kernel answers nothing to who comes when the queue of a listener is full."""
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            caller = sockets.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        with pytest.raises(Failed, match="could not be reached in time"):
            await posted(poster, target(url, connect_timeout_s=0.2))


async def test_tls_that_is_never_answered_counts_as_connecting(poster: Poster) -> None:
    async with peer(Line.hang) as crm:
        url = crm.url().replace("http:", "https:")
        with pytest.raises(Failed, match="could not be reached in time"):
            await posted(poster, target(url, connect_timeout_s=0.2))


@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
async def test_a_byte_now_and_then_does_not_prolong_the_read_timeout(
    poster: Poster, beginning: bytes
) -> None:
    async def trickle(line: Line) -> None:
        await line.request()
        await line.say(beginning)
        while True:
            await line.say(b"H" if not beginning else b"y")
            await asyncio.sleep(0.02)

    async with peer(trickle) as crm:
        with pytest.raises(Failed):
            await posted(poster, target(crm.url(), connect_timeout_s=0.1, read_timeout_s=0.2))


@pytest.mark.parametrize("status", [200, 500])
async def test_of_a_body_without_end_the_beginning_is_read(poster: Poster, status: int) -> None:
    async def endless(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 %d Said\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
        while True:
            await line.say(b"1000\r\n%s\r\n" % (b"x" * 4096))

    async with peer(endless) as crm:
        answer = await posted(poster, target(crm.url()))
        assert (answer.status, answer.body) == (status, b"x" * MAX_ANSWER_BYTES)
        await closed(poster)


def interim() -> bytes:
    return b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100


def header_lines() -> bytes:
    return b"".join(b"X-%d: y\r\n" % number for number in range(100))


def one_line() -> bytes:
    return b"x" * 4096


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"", interim),
        (b"HTTP/1.1 200 OK\r\n", header_lines),
        (b"HTTP/1.1 200 OK\r\nX: ", one_line),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", header_lines),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", one_line),
    ],
)
async def test_a_flood_of_what_is_no_answer_ends_at_its_bound(
    poster: Poster, beginning: bytes, more: Any
) -> None:
    async def flood(line: Line) -> None:
        await line.request()
        await line.say(beginning)
        while True:
            await line.say(more())

    async with peer(flood) as crm:
        with pytest.raises(Failed):
            await posted(poster, target(crm.url()))
        await closed(poster)


async def test_what_nobody_asked_for_on_an_idle_connection_closes_it(poster: Poster) -> None:
    answered = asyncio.Event()

    async def chatter(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await answered.wait()
        while True:
            await line.say(b"x" * 4096)

    async with peer(chatter) as crm:
        assert (await posted(poster, target(crm.url()))).body == b"ok"
        assert poster.open_sockets == 1
        answered.set()
        await closed(poster)


async def test_what_is_compressed_stays_so(poster: Poster) -> None:
    packed = gzip.compress(b"\0" * 10_000_000)
    said = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (
        len(packed),
        packed,
    )
    async with peer(answering(said)) as crm:
        assert (await posted(poster, target(crm.url()))).body == packed


async def test_what_is_no_http_is_the_targets_failure(poster: Poster) -> None:
    async with peer(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as crm:
        with pytest.raises(Failed, match="did not answer in HTTP"):
            await posted(poster, target(crm.url()))


async def test_cookies_and_the_environments_proxy_are_nothing_to_it(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with peer(answering(head(200, {"Set-Cookie": "a=b; Path=/"}))) as crm:
        for _ in range(2):
            await posted(poster, target(crm.url()))
    assert all("cookie" not in received.headers for received in crm.received)


async def test_a_certificate_that_is_not_trusted_is_the_targets_failure(poster: Poster) -> None:
    async with peer(answering(), tls=served_tls()) as crm:
        with pytest.raises(Failed, match="certificate that is not trusted: self"):
            await posted(poster, target(crm.url()))
    assert crm.received == []


async def test_a_trusted_certificate_will_do_for_its_own_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    poster = Poster(resolver=Names(localhost=[["127.0.0.1"]], other=[["127.0.0.1"]]))
    async with peer(answering(), tls=served_tls()) as crm:
        assert (await posted(poster, target(crm.url("localhost")))).body == b"ok"
        with pytest.raises(Failed, match=r"certificate that is not trusted: Hostname mismatch"):
            await posted(poster, target(crm.url("other.example")))
    await poster.close()


async def test_over_tls_an_answer_has_its_bound_too() -> None:
    async def endless(line: Line) -> None:
        await line.request()
        while True:
            await line.say(interim())

    poster = Poster(tls=ssl.create_default_context(cafile=CERTIFICATE))
    async with peer(endless, tls=served_tls()) as crm:
        with pytest.raises(Failed):
            await posted(poster, target(crm.url()))
    await poster.close()
    await closed(poster)


async def test_without_a_socket_to_be_had_it_is_our_own_fault(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exhausted(connecting.BoundedSocket):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(connecting, "BoundedSocket", Exhausted)
    with pytest.raises(Busy, match="Too many open files") as raised:
        await posted(poster, target("http://127.0.0.1:9/"))
    assert raised.value.retry_after_s > 0


async def test_past_so_many_connections_none_is_kept(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_KEPT", 2)
    async with peer(answering()) as crm, peer(answering()) as erp, peer(answering()) as bi:
        for to in (crm, erp, bi, bi):
            await posted(poster, target(to.url()))
        await true(lambda: poster.open_sockets == 2)
    assert bi.connections == 2


async def test_a_post_that_is_given_up_leaves_no_connection(poster: Poster) -> None:
    async with peer(Line.hang) as crm:
        post = asyncio.ensure_future(posted(poster, target(crm.url())))
        await true(lambda: crm.connections)
        post.cancel()
        with pytest.raises(asyncio.CancelledError):
            await post
        await closed(poster)


async def test_f5_targets_that_hang_or_flood_keep_no_other_from_its_posts(poster: Poster) -> None:
    """64 say nothing, or far too much, while another is posted to within its own read timeout."""

    async def flood(line: Line) -> None:
        await line.request()
        while True:
            await line.say(interim())

    async def give_up(to: Target) -> None:
        with pytest.raises(Failed):
            await posted(poster, to)

    async with peer(flood) as mad, peer(Line.hang) as mute, peer(answering()) as crm:
        async with asyncio.TaskGroup() as tasks:
            for number in range(64):
                url = mad.url() if number % 8 == 0 else mute.url()
                tasks.create_task(give_up(target(url, connect_timeout_s=0.1, read_timeout_s=0.5)))
            for _ in range(20):
                assert (await posted(poster, target(crm.url(), read_timeout_s=0.4))).status == 200
        assert poster.open_sockets == 1


async def test_a_post_is_busy_once_the_poster_is_closed(poster: Poster) -> None:
    async with peer(Line.hang) as crm:

        async def close_when_it_is_there() -> None:
            await true(lambda: crm.connections)
            await poster.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(close_when_it_is_there())
            with pytest.raises(Busy, match="stopping"):
                await posted(poster, target(crm.url()))
        with pytest.raises(Busy, match="stopping"):
            await posted(poster, target(crm.url()))
