"""The logbook with threads, a loop and a client; and what of it is on disk."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import structlog
import zmq

from harness.waiting import until
from longwire import logs
from longwire.control import Control
from longwire.deliveries import Deliveries
from longwire.logbook import Logbook, LogFile
from longwire.logbook import file as file_module
from longwire.logger import get_logger
from longwire.outbox import Outbox
from longwire.service import Realm, Service
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError, RetCode

RUN = "run1"


class Handler(Service):
    """The service with nothing but a log."""

    def client_gone(self, client: object) -> None:
        del client


class World:
    """A logbook, and a client of a supervisor with two accounts that answers from it."""

    def __init__(self, logbook: Logbook, client: Client) -> None:
        self.logbook = logbook
        self.client = client

    def say(self, event: str, **fields: Any) -> None:
        self.logbook.keep({"event": event, "level": "info", **fields})

    async def tail(self, *, tenant: str | None = None, **params: Any) -> dict[str, Any]:
        reply: dict[str, Any] = await self.client.call("logs.tail", params, tenant=tenant)
        return reply

    async def events(self, **params: Any) -> list[str]:
        return [line["event"] for line in (await self.tail(**params))["lines"]]


@asynccontextmanager
async def served(logbook: Logbook, folder: Path, *, run: str = RUN) -> AsyncIterator[Client]:
    accounts = {
        name: SimpleNamespace(config=SimpleNamespace(tenant=f"{name}-inc"))
        for name in ("acme", "beta", "quiet")
    }
    logbook.tenants = {name: account.config.tenant for name, account in accounts.items()}
    realm = SimpleNamespace(accounts=accounts, supervisor_id=run, logbook=logbook, catch_up=lambda: None)
    service = Handler(cast("Realm", realm), cast("Deliveries", None), cast("Outbox", None))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    endpoint = f"ipc://{folder}/longwire.sock"
    async with asyncio.TaskGroup() as tasks:
        control = Control(context, [endpoint], handler=service, tasks=tasks, supervisor_id=run)
        async with Client(endpoint) as client:
            yield client
        control.close()
    context.term()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    logbook = Logbook()
    async with served(logbook, tmp_path) as client:
        yield World(logbook, client)


# The method.


async def test_the_last_lines_are_maps_with_their_time_and_tenant(world: World) -> None:
    world.say("supervisor_started", pid=7)
    world.say("account_state", account="acme", nested={"list": [1, None]})
    reply = await world.tail()
    first, second = reply["lines"]
    assert (first["event"], first["pid"], "tenant" in first) == ("supervisor_started", 7, False)
    assert (second["account"], second["tenant"], second["nested"]) == (
        "acme",
        "acme-inc",
        {"list": [1, None]},
    )
    assert first["time"] < second["time"]
    assert (reply["supervisor_id"], reply["dropped"]) == (RUN, 0)


async def test_lines_are_chosen_by_account_tenant_level_and_time(world: World) -> None:
    world.say("s")
    world.say("a", account="acme")
    world.say("A", account="acme", source="child", level="error")
    world.say("b", account="beta")
    assert await world.events() == ["s", "a", "A", "b"]
    assert await world.events(lines=2) == ["A", "b"]
    assert await world.events(account="acme") == ["a", "A"]
    assert await world.events(tenant="beta-inc") == ["b"]
    assert [line["event"] for line in (await world.tail(tenant="beta-inc"))["lines"]] == ["b"]
    assert await world.events(level="warning") == ["A"]
    (third,) = (await world.tail(level="error"))["lines"]
    assert await world.events(since=third["time"]) == ["A", "b"]
    assert await world.events(account="quiet") == []


@pytest.mark.parametrize(
    "params",
    [
        {"account": "nobody"},
        {"account": "acme", "tenant": "beta-inc"},
        {"account": "quiet", "tenant": "acme-inc"},
    ],
)
async def test_an_account_that_is_not_there_for_the_tenant_is_unknown(
    world: World, params: dict[str, Any]
) -> None:
    world.say("a", account="acme")
    with pytest.raises(CommandError) as caught:
        await world.tail(**params)
    assert caught.value.retcode == RetCode.UNKNOWN_ACCOUNT


async def test_the_lines_of_an_account_that_was_removed_can_still_be_read(world: World) -> None:
    world.logbook.tenants = {"gone": "gone-inc"}
    world.say("last words", account="gone")
    world.logbook.tenants = {}
    assert await world.events(account="gone") == ["last words"]
    assert await world.events(account="gone", tenant="gone-inc") == ["last words"]


async def test_what_an_account_said_for_its_former_tenant_stays_that_tenants(world: World) -> None:
    world.say("before", account="acme")
    world.logbook.tenants = {"acme": "other-inc"}
    world.say("after", account="acme")
    assert await world.events(tenant="acme-inc") == ["before"]
    assert await world.events(tenant="other-inc") == ["after"]


@pytest.mark.parametrize("params", [{"after": "x"}, {"lines": 10_001}, {"follow": True}, {"level": "loud"}])
async def test_a_wrong_parameter_is_named(world: World, params: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as caught:
        await world.tail(**params)
    assert caught.value.retcode == RetCode.BAD_PARAM
    assert next(iter(params)) in caught.value.message or "cursor" in caught.value.message


# Following.


async def test_a_follower_waits_for_the_next_line_and_misses_none(world: World) -> None:
    cursor = (await world.tail())["cursor"]
    waiting = asyncio.create_task(world.tail(after=cursor, wait_ms=30_000))
    await until(lambda: waits(world), what="the request waits")
    world.say("one")
    reply = await waiting
    world.say("two")
    reply2 = await world.tail(after=reply["cursor"], wait_ms=30_000)
    assert [line["event"] for line in reply["lines"] + reply2["lines"]] == ["one", "two"]


async def test_a_line_of_another_thread_wakes_a_follower(world: World) -> None:
    cursor = (await world.tail())["cursor"]
    waiting = asyncio.create_task(world.tail(after=cursor, wait_ms=30_000))
    await until(lambda: waits(world), what="the request waits")
    thread = threading.Thread(target=world.say, args=("from elsewhere",))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert [line["event"] for line in (await waiting)["lines"]] == ["from elsewhere"]


async def test_lines_that_are_not_wanted_wake_nobody_up(world: World) -> None:
    cursor = (await world.tail(account="beta"))["cursor"]
    waiting = asyncio.create_task(world.tail(account="beta", after=cursor, wait_ms=30_000))
    for n in range(3):
        await until(lambda: waits(world), what="the request waits, again")
        world.say(f"other {n}", account="acme")
    await until(lambda: waits(world), what="the request waits, again")
    assert not waiting.done()
    world.say("wanted", account="beta")
    assert [line["event"] for line in (await waiting)["lines"]] == ["wanted"]


async def test_where_nothing_comes_the_answer_is_empty_and_the_cursor_goes_on(world: World) -> None:
    cursor = (await world.tail())["cursor"]
    reply = await world.tail(after=cursor, wait_ms=1)
    assert reply["lines"] == []
    world.say("one")
    assert await world.events(after=reply["cursor"]) == ["one"]


async def test_a_wait_ends_before_the_deadline_of_its_request(world: World) -> None:
    cursor = (await world.tail())["cursor"]
    reply = await world.client.call("logs.tail", {"after": cursor, "wait_ms": 60_000}, deadline_s=1.0)
    assert reply["lines"] == []


async def test_a_follower_that_goes_away_leaves_nothing_behind(world: World) -> None:
    cursor = (await world.tail())["cursor"]
    async with Client(world.client.endpoint) as other:
        params = {"after": cursor, "wait_ms": 100}
        waiting = asyncio.create_task(other.call("logs.tail", params))
        await until(lambda: waits(world), what="the request waits")
        waiting.cancel()

    async def none_waits() -> bool:
        return not world.logbook._waiters

    await until(none_waits, what="nobody waits")


async def waits(world: World) -> bool:
    return bool(world.logbook._waiters)


def test_a_line_for_a_follower_whose_loop_is_closed_is_kept() -> None:
    logbook = Logbook()
    loop = asyncio.new_event_loop()
    logbook._waiters.add(loop.create_future())
    loop.close()
    logbook.keep({"event": "late", "level": "info"})
    assert len(logbook.behind(0)) == 1


def test_a_line_that_comes_in_the_midst_of_another_is_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    logbook = Logbook()
    real = logbook._ring.put
    finalizers = ["of a finalizer"]

    def interrupted(*line: Any) -> None:
        if finalizers:
            say(logbook, finalizers.pop())
        real(*line)

    monkeypatch.setattr(logbook._ring, "put", interrupted)
    say(logbook, "first")
    assert kept(logbook) == ["first", "of a finalizer"]


def test_a_line_that_comes_while_another_thread_reads_is_taken_in_by_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logbook = Logbook()
    real = logbook._ring.behind

    def slow(*args: Any) -> Any:
        thread = threading.Thread(target=say, args=(logbook, "meanwhile"))
        thread.start()
        thread.join()
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(logbook._ring, "behind", slow)
        assert kept(logbook) == []
    assert logbook._ring.last > logbook.began
    assert kept(logbook) == ["meanwhile"]


# What lines may contain.


@pytest.mark.parametrize(
    "value",
    [10**30, "\ud800", float("nan"), {"a": {1: object()}}, b"\xff", {1, 2}],
    ids=lambda v: type(v).__name__,
)
async def test_no_value_breaks_a_line(world: World, value: Any) -> None:
    world.say("odd", value=value)
    (line,) = (await world.tail())["lines"]
    assert (line["event"], "value" in line) == ("odd", True)


async def test_a_long_text_is_cut(world: World) -> None:
    world.say("long", text="x" * 100_000)
    (line,) = (await world.tail())["lines"]
    assert len(line["text"]) < 17_000
    assert line["text"].endswith("[83616 more]")


async def test_a_child_cannot_give_a_line_another_time(world: World) -> None:
    world.say("odd", time="never", account=["acme"])
    (line,) = (await world.tail())["lines"]
    assert isinstance(line["time"], float)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """What `longwire run` configures is in force for the time of a test alone."""
    yield
    structlog.reset_defaults()
    structlog.configure()


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("format_", ["json", "console"])
async def test_what_is_logged_is_kept_as_far_as_it_is_shown_and_without_secrets(
    world: World,
    format_: logs.Format,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    logs.configure(format_=format_, level="info", logbook=world.logbook, secrets=["hunter2-secret"])
    log = get_logger("test")
    log.debug("not_shown")
    log.info("shown", text="hunter2-secret", deep=[{"hunter2-secret": ("hunter2-secret", None, 1)}])
    log.warning("object", error=OSError("hunter2-secret"), nothing=None)
    logging.getLogger("some.library").warning("it says %s", "hunter2-secret")
    logging.getLogger("some.library").log(35, "a level of its own")
    shown, odd, library, own = (await world.tail())["lines"]
    assert shown["deep"] == [{"[redacted]": ["[redacted]", None, 1]}]
    assert odd["error"] == "OSError('[redacted]')"
    assert "nothing" not in odd
    assert (library["event"], library["logger"]) == ("library", "some.library")
    assert (library["text"], library["level"]) == ("it says [redacted]", "warning")
    assert own["level"] == "warning"
    printed = capsys.readouterr().err
    assert "hunter2" not in printed
    for event in ("shown", "object", "library"):
        assert event in printed


@pytest.mark.usefixtures("own_logging")
async def test_what_is_said_too_often_is_left_out_of_the_log_and_the_logbook_and_counted(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    logs.configure(format_="json", level="debug", logbook=world.logbook)
    log = get_logger("test")
    for _ in range(50):
        log.warning("child_exited", account="acme-lark")
        log.debug("detail", account="acme-lark")
    log.error("child_exited", account="acme-lark")
    logs.sum_up()
    assert "lines_left_out" not in capsys.readouterr().err, "it may go on"
    logs.sum_up(is_last=True)
    lines = (await world.tail())["lines"]
    assert Counter((line["event"], line["level"]) for line in lines) == {
        ("child_exited", "warning"): 20,
        ("detail", "debug"): 50,
        ("child_exited", "error"): 1,
        ("lines_left_out", "info"): 1,
    }
    last = lines[-1]
    assert (last["account"], last["of"], last["left_out"]) == ("acme-lark", "child_exited", 30)
    assert json.loads(capsys.readouterr().err)["left_out"] == 30


# On disk.


def kept(logbook: Logbook) -> list[str]:
    return [json.loads(line.text)["event"] for line in logbook.behind(0)]


def written(path: Path) -> list[str]:
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""  # a write may be under way
    return [msgspec.json.decode(line)["event"] for line in whole.splitlines() if line]


def say(logbook: Logbook, *events: str, **fields: Any) -> None:
    for event in events:
        logbook.keep({"event": event, "level": "info", **fields})


async def until_written(path: Path, *events: str) -> None:
    async def look() -> bool:
        return await asyncio.to_thread(written, path) == [*events]

    await until(look, what=f"{events} are on disk")


@asynccontextmanager
async def on_disk(logbook: Logbook, path: Path, **options: Any) -> AsyncIterator[LogFile]:
    file = LogFile(logbook, path, **options)
    await file.open()
    try:
        yield file
    finally:
        await file.close()
        assert not file._thread.is_alive()


async def test_lines_outlive_the_process_that_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    first = Logbook()
    first.tenants = {"acme": "acme-inc"}
    say(first, "before the file")
    async with on_disk(first, path):
        say(first, "one")
        say(first, "two", account="acme", source="child", level="error")
        await until_written(path, "before the file", "one", "two")
        assert path.stat().st_mode & 0o777 == 0o600
    second = Logbook()
    say(second, "new")
    async with on_disk(second, path):
        assert kept(second) == ["before the file", "one", "two", "new"]
        async with served(second, tmp_path) as client:
            reply = await client.call(
                "logs.tail", {"account": "acme", "tenant": "acme-inc", "level": "error"}
            )
        assert [(line["event"], line["source"]) for line in reply["lines"]] == [("two", "child")]
    assert written(path) == ["before the file", "one", "two", "new"]


async def test_a_follower_goes_on_across_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    first = Logbook()
    async with on_disk(first, path), served(first, tmp_path, run="first") as client:
        say(first, "seen")
        cursor = (await client.call("logs.tail"))["cursor"]
        say(first, "last words")
    second = Logbook()
    async with on_disk(second, path), served(second, tmp_path, run="second") as client:
        say(second, "started")
        reply = await client.call("logs.tail", {"after": cursor, "wait_ms": 1000})
    assert [line["event"] for line in reply["lines"]] == ["last words", "started"]
    assert (reply["supervisor_id"], reply["dropped"]) == ("second", 0)


async def test_the_last_lines_are_on_disk_after_a_close(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    logbook = Logbook()
    async with on_disk(logbook, path):
        say(logbook, *map(str, range(100)))
    assert written(path) == [*map(str, range(100))]


async def test_a_full_file_is_written_anew_without_what_a_flood_pushed_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    logbook = Logbook()
    logbook._ring._max_bytes = 50_000
    async with on_disk(logbook, path, max_bytes=100_000):
        say(logbook, "quiet", account="acme")
        for n in range(40):
            say(logbook, *(f"flood {n}" for _ in range(40)), account="beta", source="child")

            async def is_written(last: str = f"flood {n}") -> bool:
                return (await asyncio.to_thread(written, path))[-1:] == [last]

            await until(is_written, what="the flood is written")
    assert path.stat().st_size <= 100_000
    assert written(path)[0] == "quiet"
    assert written(path)[-1] == "flood 39"
    assert not path.with_name("log.jsonl.new").exists()


async def test_a_file_torn_in_the_middle_of_a_line_loses_that_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    whole = b'{"time":1.5,"level":"info","event":"whole"}\n'
    path.write_bytes(whole + b'[]\n\xff\n{"time":1e300,"event":"x"}\n{"event":"no time"}\n{"time":2,"eve')
    logbook = Logbook()
    async with on_disk(logbook, path):
        say(logbook, "new")
    again = Logbook()
    async with on_disk(again, path):
        assert kept(again) == ["whole", "new"]


async def test_a_disk_that_takes_nothing_is_said_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "_RETRY_S", 0.01)
    folder = tmp_path / "var"
    path = folder / "log.jsonl"
    logbook = Logbook()
    with structlog.testing.capture_logs() as said:
        async with on_disk(logbook, path):
            say(logbook, "one")

            async def complained() -> bool:
                return bool(said)

            await until(complained, what="the trouble is said")
            say(logbook, "two")
            folder.mkdir()
            await until_written(path, "one", "two")

            async def relieved() -> bool:
                return len(said) > 1

            await until(relieved, what="the end of the trouble is said")
    assert [line["event"] for line in said] == ["log_not_on_disk", "log_on_disk_again"]


async def test_a_file_that_cannot_be_read_is_said_and_kept_from_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.mkdir()
    logbook = Logbook()
    with structlog.testing.capture_logs() as said:
        async with on_disk(logbook, path):
            say(logbook, "new")
    assert [line["event"] for line in said][:1] == ["log_not_readable"]
    assert kept(logbook) == ["new"]


async def test_a_line_that_was_written_twice_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    line = b'{"time":1.5,"level":"info","event":"twice"}\n'
    path.write_bytes(line + line)
    logbook = Logbook()
    async with on_disk(logbook, path):
        assert kept(logbook) == ["twice"]
