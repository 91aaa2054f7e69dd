"""The targets of webhooks that other tests rely on do what their behaviours say."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from harness.processes import Program
from harness.targets.behaviour import (
    Answer,
    Behaviour,
    Drip,
    Endless,
    Flaky,
    InTurn,
    Reset,
    Silent,
    Unaccepting,
)
from harness.targets.client import Targets

TIMEOUTS = aiohttp.ClientTimeout(total=0.5)


@pytest.fixture(name="targets")
async def targets_fixture(tmp_path: Path) -> AsyncIterator[Targets]:
    async with Targets(tmp_path) as its:
        yield its
    assert its.program.returncode == 0


@pytest.fixture(name="http")
async def http_fixture() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=TIMEOUTS) as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, body: str = "x") -> int:
    async with http.post(url, data=body) as answer:
        await answer.read()
        return answer.status


async def test_what_arrived_is_kept_as_it_came(targets: Targets, http: aiohttp.ClientSession) -> None:
    url = await targets.open("crm")
    before = time.time()
    async with http.post(url, data=b"\x00body", headers={"X-Twice": "a b"}) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    (arrival,) = await targets.until_arrived("crm", 1)
    assert (arrival.path, arrival.body, arrival.status, arrival.connection) == ("/hook", b"\x00body", 200, 1)
    assert arrival.header("x-twice") == "a b"
    assert before <= arrival.at <= time.time()
    assert await targets.arrivals("crm", begin=1) == []


async def test_an_answer_is_what_was_asked_for_and_can_change(
    targets: Targets, http: aiohttp.ClientSession
) -> None:
    url = await targets.open("crm", InTurn([Answer(500), Answer(429, {"retry-after": "7"}, "later")]))
    assert await post(http, url) == 500
    for _ in range(2):  # the last step is for ever
        async with http.post(url, data="x") as answer:
            assert (answer.status, answer.headers["retry-after"], await answer.text()) == (429, "7", "later")
    await targets.behave("crm", Answer(delay_s=0.1))
    begun = time.monotonic()
    assert await post(http, url) == 200
    assert time.monotonic() - begun >= 0.1


@pytest.mark.parametrize("behaviour", [Silent(), Drip(0.2), Endless(), Unaccepting()], ids=repr)
async def test_who_waits_for_a_bad_target_waits_in_vain(
    targets: Targets, http: aiohttp.ClientSession, behaviour: Behaviour
) -> None:
    url = await targets.open("bad", behaviour)
    with pytest.raises(TimeoutError):
        await post(http, url)
    tally = await targets.tally("bad")
    assert (tally.arrivals, tally.answered) == (0 if isinstance(behaviour, Unaccepting) else 1, 0)


async def test_a_reset_is_a_reset(targets: Targets, http: aiohttp.ClientSession) -> None:
    url = await targets.open("bad", Reset())
    with pytest.raises(aiohttp.ClientOSError):
        await post(http, url)


async def test_a_flaky_target_fails_the_same_way_each_time(
    targets: Targets, http: aiohttp.ClientSession
) -> None:
    flaky = Flaky(seed=7, failures=0.3, max_delay_s=0.001)
    seen: list[list[int]] = []
    for name in ("one", "two"):
        url = await targets.open(name, flaky)
        seen.append([await post(http, url) for _ in range(50)])
        assert [arrival.status for arrival in await targets.arrivals(name)] == seen[-1]
    assert seen[0] == seen[1]
    assert 5 <= seen[0].count(503) <= 25


async def test_its_connections_can_be_cut(targets: Targets, http: aiohttp.ClientSession) -> None:
    url = await targets.open("crm")
    assert [await post(http, url) for _ in range(2)] == [200, 200]
    assert (await targets.tally("crm")).connections == 1
    await targets.cut("crm")
    assert (await targets.tally("crm")).open == 0
    async with aiohttp.ClientSession(timeout=TIMEOUTS) as another:
        assert await post(another, url) == 200
        tally = await targets.tally("crm")
    assert (tally.connections, tally.open, tally.malformed) == (2, 1, 0)


async def test_the_process_ends_when_its_test_is_gone(tmp_path: Path) -> None:
    targets = Targets(tmp_path)
    await targets.__aenter__()
    program: Program = targets.program
    targets._writer.transport.abort()
    assert await program.ended() == 0
    await targets.__aexit__()
