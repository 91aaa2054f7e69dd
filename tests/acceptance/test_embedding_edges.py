"""A supervisor in this very process, used as it should not be, and by code of the host that misbehaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.waiting import DEADLINE_S, until
from longwire import (
    ClientClosed,
    CommandError,
    ConfigError,
    RetCode,
    Supervisor,
    SupervisorUnreachable,
    WouldDeadlock,
)
from longwire_protocol.errors import AlreadyRunning

LOOPBACK = {"connector": "loopback", "echo": True}


def config(folder: Path, **supervisor: Any) -> dict[str, Any]:
    return {
        "supervisor": {"data_dir": str(folder / "var"), **supervisor},
        "accounts": {"acme": LOOPBACK},
    }


@pytest.fixture(name="supervisor")
async def supervisor_fixture(tmp_path: Path) -> AsyncIterator[Supervisor]:
    async with Supervisor(config(tmp_path)) as supervisor:
        assert (await supervisor.converged(timeout_s=DEADLINE_S)).is_converged
        yield supervisor


async def test_a_client_of_a_block_that_is_over_says_so_each_time(tmp_path: Path) -> None:
    async with Supervisor(config(tmp_path)) as supervisor:
        client = supervisor.client()
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(2):
            with pytest.raises(ClientClosed, match="block"):
                await client.call("status")
        with pytest.raises(ClientClosed, match="block"):
            await client.subscribe("late").open()


async def test_a_client_of_a_block_is_refused_on_another_loop(supervisor: Supervisor) -> None:
    client = supervisor.client()

    def elsewhere() -> None:
        with pytest.raises(ClientClosed, match="another loop"):
            asyncio.run(client.call("status"))

    await asyncio.to_thread(elsewhere)
    assert await client.call("hello")


def test_an_endpoint_that_cannot_be_is_a_mistake_with_its_place(tmp_path: Path) -> None:
    wrong = Supervisor(config(tmp_path, endpoint="ipc:///proc/none/of/these.sock"))
    with pytest.raises(ConfigError) as caught:
        wrong.start()
    assert [problem.place for problem in caught.value.problems] == ["supervisor.endpoint"]
    wrong.stop()


def test_who_gave_up_waiting_for_a_stop_can_wait_on(tmp_path: Path) -> None:
    supervisor = Supervisor(config(tmp_path))
    supervisor.start()
    with pytest.raises(TimeoutError):
        supervisor.stop(timeout_s=0)
    with pytest.raises(AlreadyRunning):
        supervisor.start()
    supervisor.stop()
    assert psutil.Process().children(recursive=True) == []
    supervisor.start()
    supervisor.stop()


def test_what_the_host_changes_after_a_call_is_not_what_was_asked(tmp_path: Path) -> None:
    with Supervisor(config(tmp_path)) as supervisor:
        supervisor.converged(timeout_s=DEADLINE_S).result()
        params, under_way = {"chat": "c", "text": ""}, []
        for n in range(20):
            params["text"] = str(n)
            under_way.append(supervisor.call("message.create", params, account="acme"))
        for outcome in under_way:
            outcome.result()
        with supervisor.sync_client() as client:
            events = client.subscribe("reader", start="all", types=["message.created"])
            texts = [events.get(timeout_s=DEADLINE_S).text for _ in under_way]
    assert texts == [str(n) for n in range(20)]


async def test_what_is_asked_for_while_a_client_connects_keeps_its_order(tmp_path: Path) -> None:
    async with Supervisor(config(tmp_path)) as supervisor, asyncio.TaskGroup() as tasks:
        await supervisor.converged(timeout_s=DEADLINE_S)
        client, under_way = supervisor.client(), list[asyncio.Task[Any]]()
        for n in range(20):
            asked = client.call("message.create", {"chat": "c", "text": str(n)}, account="acme")
            under_way.append(tasks.create_task(asked))
            await asyncio.sleep(0)  # one more in each turn of the loop
        await asyncio.wait(under_way)
        async with client.subscribe(start="all", types=["message.created"]) as events:
            texts = [(await anext(events)).text for _ in under_way]
    assert texts == [str(n) for n in range(20)]


def test_plain_code_iterates_answers_and_acks(tmp_path: Path) -> None:
    texts: list[str | None] = []
    with Supervisor(config(tmp_path)) as supervisor:
        supervisor.converged(timeout_s=DEADLINE_S).result()
        with supervisor.sync_client() as client:
            client.send("acme", "c", "first")
            for event in client.subscribe("bot", start="all", types=["message.created"]):
                texts.append(event.text)
                if len(texts) == 1:
                    event.nack(delay_s=0)
                    continue
                event.ack()
                if event.text == "first":
                    client.reply(event, text="second")
                else:
                    break
        again = supervisor.sync_client()
        with pytest.raises(TimeoutError):
            again.subscribe("bot", types=["message.created"]).get(timeout_s=0.2)
    assert texts == ["first", "first", "second"]
    with pytest.raises(SupervisorUnreachable):
        again.call("status")
    with pytest.raises(SupervisorUnreachable):
        supervisor.sync_client()
    again.close()


def test_threads_that_wait_for_events_learn_of_the_end(tmp_path: Path) -> None:
    ends: list[str] = []
    is_open = threading.Barrier(3)
    with Supervisor(config(tmp_path)) as supervisor:
        client = supervisor.sync_client()

        def read(name: str) -> None:
            events = client.subscribe(name)
            events.open()
            is_open.wait(DEADLINE_S)
            try:
                for event in events:
                    event.ack()
            except SupervisorUnreachable as exc:
                ends.append(str(exc))

        readers = [threading.Thread(target=read, args=(name,)) for name in ("one", "other")]
        for reader in readers:
            reader.start()
        is_open.wait(DEADLINE_S)
    for reader in readers:
        reader.join(DEADLINE_S)
    client.close()
    assert ends == ["the supervisor in this process has ended"] * 2


async def test_code_of_the_host_on_the_supervisors_own_thread_cannot_wait_for_it(
    supervisor: Supervisor,
) -> None:
    """As a handler of log lines is called there."""

    async def as_a_log_handler(_core: object) -> list[str]:
        refused: list[str] = []
        for wait in (supervisor.stop, supervisor.status().result):
            try:
                wait()
            except WouldDeadlock as exc:
                refused.append(str(exc))
        return refused

    async with asyncio.timeout(DEADLINE_S):
        assert len(await supervisor._running.ask(as_a_log_handler)) == 2
    assert (await supervisor.status())["supervisor"]["state"] == "ok"


async def test_hooks_that_block_raise_or_call_back_harm_nothing(supervisor: Supervisor) -> None:
    gate, asked = threading.Event(), threading.Event()
    seen: list[Any] = []

    def blocks(*_: object) -> None:
        gate.wait(2 * DEADLINE_S)

    def raises(*_: object) -> None:
        raise LookupError("a host's mistake")

    def calls_back(_account: str, _old: str, new: str, _reason: str | None) -> None:
        seen.append(supervisor.status().result(DEADLINE_S))
        if new == "online":
            seen.append(supervisor.apply({"acme": LOOPBACK, "beta": LOOPBACK}).result(DEADLINE_S))
            remove()
            asked.set()

    def register() -> Any:
        supervisor.on_state(blocks)
        supervisor.on_state(raises)
        return supervisor.on_state(calls_back)

    remove = await asyncio.to_thread(register)
    try:
        await supervisor.call("account.restart", account="acme")
        assert await asyncio.to_thread(asked.wait, DEADLINE_S)
        assert (await supervisor.converged(timeout_s=DEADLINE_S)).accounts.keys() == {"acme", "beta"}
        assert seen[-1].added == ["beta"]
    finally:
        gate.set()

    async def is_quiet() -> bool:
        return all(thread.name != "longwire hook" for thread in threading.enumerate())

    await until(is_quiet, what="no hook has a thread")


async def test_a_vault_that_calls_back_gets_an_answer_and_a_deadline(tmp_path: Path) -> None:
    seen: list[Any] = []

    def vault(name: str) -> str:
        if name == "asks":
            seen.append(supervisor.status().result(DEADLINE_S)["supervisor"]["state"])
        if name == "waits":  # for itself: a change is made one at a time
            supervisor.apply({}).result(DEADLINE_S)
        return "s3cret-of-the-host"

    def lark(name: str) -> dict[str, Any]:
        secret = f"vault:{name}"
        return {"connector": "lark", "app_id": "cli_v", "app_secret": secret, "domain": "http://127.0.0.1:9"}

    supervisor = Supervisor(config(tmp_path), secrets={"vault": vault}, secret_timeout_s=1)
    async with supervisor:
        assert (await supervisor.apply({"acme": LOOPBACK, "bot": lark("asks")})).added == ["bot"]
        assert seen == ["ok"]
        with pytest.raises(ConfigError, match="no answer within 1 s"):
            await supervisor.apply({"acme": LOOPBACK, "bot": lark("waits")})
        assert (await supervisor.status())["supervisor"]["state"] == "ok"


async def test_commands_that_wait_for_a_deaf_account_keep_nobody_from_the_others(
    supervisor: Supervisor,
) -> None:
    """All calls of a host are one client's, whose requests under way are bounded: for each account."""
    deaf = {"connector": "lark", "app_id": "cli_v", "app_secret": "s3cret", "domain": "http://127.0.0.1:9"}
    await supervisor.add("deaf", deaf)
    text = {"chat": "c", "text": "t"}
    waiting = [supervisor.call("message.create", text, account="deaf", deadline_s=2) for _ in range(257)]
    assert (await supervisor.status())["supervisor"]["state"] == "ok"
    assert await supervisor.call("message.create", text, account="acme")
    assert (await supervisor.remove("deaf"))["removed"] == ["deaf"]
    refusals = [await refusal_of(each) for each in waiting]
    assert refusals.count(RetCode.SATURATED) == 1


async def refusal_of(outcome: Any) -> int:
    with pytest.raises(CommandError) as caught:
        await outcome
    return caught.value.retcode
