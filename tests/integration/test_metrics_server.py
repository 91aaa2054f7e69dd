"""The metrics over HTTP: real sockets, and a supervisor that is made up."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NoReturn

import pytest

from longwire.metrics import server as server_module
from longwire.metrics.families import families
from longwire.metrics.server import Page, Server

DEADLINE_S = 30.0
STATUS = {"supervisor": {"state": "ok", "clients": 1}}


def until(look: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not look():
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.005)


@contextmanager
def serving(page: Page, host: str = "127.0.0.1") -> Generator[Server]:
    with Server(host, 0, page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Generator[Server]:
    with serving(Page(lambda: STATUS)) as server:
        yield server


def get(server: Server, path: str = "/metrics", **headers: str) -> tuple[int, str, str]:
    connection = HTTPConnection(server.server_name, server.server_port, timeout=DEADLINE_S)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()


def connected(server: Server) -> socket.socket:
    return socket.create_connection((server.server_name, server.server_port), timeout=DEADLINE_S)


def is_answered(server: Server) -> bool:
    try:
        return get(server)[0] == 200
    except OSError:
        return False


def fail(*_: object) -> NoReturn:
    raise ZeroDivisionError


def test_the_metrics_are_served_in_the_format_that_is_asked_for(server: Server) -> None:
    plain, strict = get(server), get(server, Accept="application/openmetrics-text; version=1.0.0")

    assert plain[0] == strict[0] == 200
    assert plain[1].startswith("text/plain")
    assert strict[1].startswith("application/openmetrics-text")
    assert "longwire_up 1.0" in plain[2]
    assert "longwire_up 1.0" in strict[2]
    assert server.url == f"http://127.0.0.1:{server.server_port}/metrics"


def test_some_can_be_asked_for_by_name(server: Server) -> None:
    lines = get(server, "/metrics?name[]=longwire_clients&name[]=longwire_none")[2].splitlines()

    assert [line for line in lines if not line.startswith("#")] == ["longwire_clients 1.0"]


def test_each_scrape_asks_anew() -> None:
    answers = iter([STATUS, None])
    with serving(Page(lambda: next(answers))) as server:
        assert "longwire_up 1.0" in get(server)[2]
        assert "longwire_up 0.0" in get(server)[2]


def test_scrapes_at_the_same_time_ask_once() -> None:
    asked, may_answer = threading.Semaphore(0), threading.Event()
    questions: list[int] = []
    seen: list[Any] = []

    def ask() -> dict[str, Any]:
        questions.append(threading.get_ident())
        asked.release()
        assert may_answer.wait(DEADLINE_S)
        return STATUS

    page = Page(ask)
    first, second = (threading.Thread(target=lambda: seen.append(page.collect())) for _ in range(2))
    first.start()
    assert asked.acquire(timeout=DEADLINE_S)
    second.start()
    until(lambda: len(questions) > 1 or is_waiting(second), "the second waits, for whomever")
    may_answer.set()
    for thread in (first, second):
        thread.join()

    assert questions == [first.ident]
    assert seen == [families(STATUS)] * 2


def is_waiting(thread: threading.Thread) -> bool:
    """Whether it waits for somebody else's answer."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "result":
            return True
        frame = frame.f_back
    return False


def test_a_bug_is_answered_with_500_and_the_next_scrape_is_answered_well(
    capfd: pytest.CaptureFixture[str],
) -> None:
    calls = iter([fail, dict[str, Any]])

    def ask() -> dict[str, Any]:
        return next(calls)()

    with serving(Page(ask)) as server:
        assert get(server)[0] == 500
        assert get(server)[0] == 200
    assert "Traceback" in capfd.readouterr().err


def test_a_failure_of_asking_is_everybodys_and_is_over_with_the_next() -> None:
    page = Page(fail)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            page.collect()


# Those who connect and do not scrape.


def test_more_than_there_is_room_for_are_turned_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_MAX_CONNECTIONS", 1)
    with connected(server), connected(server) as second:
        second.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert said_to(second) == b""

    until(lambda: is_answered(server), "there is room again")


def test_who_says_nothing_is_cut_off(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert server_module._Handler.timeout == server_module._SILENCE_S
    monkeypatch.setattr(server_module._Handler, "timeout", 0.05)
    with connected(server) as silent:
        assert said_to(silent) == b""
    assert capfd.readouterr().err == ""


def test_who_says_a_byte_now_and_then_is_cut_off_as_well(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_CONNECTION_S", 0.05)
    with connected(server) as slow:

        def is_cut() -> bool:
            try:
                slow.sendall(b"G")
            except OSError:
                return True
            return False

        until(is_cut, "it is cut off")


def said_to(peer: socket.socket) -> bytes:
    try:
        return peer.recv(1)
    except ConnectionResetError:
        return b""


# The address.


def test_no_name_is_looked_up_for_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", fail)
    monkeypatch.setattr(socket, "gethostbyaddr", fail)
    with Server("127.0.0.1", 0, Page(lambda: None)) as server:
        assert server.server_name == "127.0.0.1"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_it_can_be_an_ipv6_one() -> None:
    with serving(Page(lambda: STATUS), "::1") as server:
        assert server.url == f"http://[::1]:{server.server_port}/metrics"
        assert get(server)[0] == 200
