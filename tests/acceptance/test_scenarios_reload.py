"""Scenario G3: the accounts are changed while the supervisor runs, by the file and by command."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire, lark
from harness.processes import COMMAND, Program, is_alive, memory
from harness.simulator import Simulator
from harness.waiting import until
from longwire import CommandError
from longwire_protocol.errors import RetCode

KEPT, CHANGED, REMOVED, ADDED = (f"cli_{n:016x}" for n in range(4))
LOOPBACK = {"connector": "loopback"}
SECRET = "a-secret-that-came-by-command"


async def run(longwire: Longwire, *arguments: str, given: str = "", **env: str) -> tuple[int, str]:
    """Run a verb against the supervisor; return its exit code and all it printed."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "-c",
        str(longwire.config),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", **env},
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate(given.encode())
    assert process.returncode is not None
    return process.returncode, out.decode()


async def names(longwire: Longwire) -> list[str]:
    return [account["account"] for account in (await longwire.status())["accounts"]]


async def by_hangup(longwire: Longwire) -> dict[str, Any]:
    seen = len(longwire.log_events("reloaded"))
    longwire.program.send(signal.SIGHUP)

    async def reloaded() -> dict[str, Any] | None:
        lines = longwire.log_events("reloaded")[seen:]
        return lines[0] if lines else None

    return await until(reloaded, what="the file was read again")


async def by_method(longwire: Longwire) -> dict[str, Any]:
    answer: dict[str, Any] = await longwire.client.call("config.reload")
    return answer


async def by_verb(longwire: Longwire) -> dict[str, Any]:
    code, text = await run(longwire, "reload", "--json")
    assert code == 0, text
    answer: dict[str, Any] = json.loads(text)
    return answer


@pytest.mark.parametrize("reload", [by_hangup, by_method, by_verb])
async def test_g3_a_reload_touches_only_the_accounts_that_changed(
    simulator: Simulator, longwire: Longwire, reload: Callable[[Longwire], Any]
) -> None:
    """One account is changed, one added, one removed: the fourth keeps process and connection.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    accounts = {
        name: lark(simulator.url, app)
        for name, app in {"kept": KEPT, "changed": CHANGED, "removed": REMOVED}.items()
    }
    longwire.configure(accounts)
    await longwire.start()
    await longwire.until_online()
    before = {name: await longwire.account(name) for name in accounts}
    del accounts["removed"]
    accounts["changed"]["link_timeout_s"] = 30.0
    accounts["added"] = lark(simulator.url, ADDED)
    longwire.configure(accounts)
    answer = await reload(longwire)
    assert {key: answer[key] for key in ("added", "removed", "changed")} == {
        "added": ["added"],
        "removed": ["removed"],
        "changed": ["changed"],
    }

    async def settled() -> bool:
        return await names(longwire) == ["kept", "changed", "added"]

    await until(settled, what="the accounts are those of the new file")
    await until(lambda: is_new(longwire, "changed", before["changed"]["pid"]), what="a new process")
    await longwire.until_online()
    kept = await longwire.account("kept")
    same = ("pid", "incarnation", "connection", "restarts")
    assert [kept[key] for key in same] == [before["kept"][key] for key in same]
    assert not is_alive(before["removed"]["pid"])
    state = await simulator.state()
    apps = [state.lark[app] for app in (KEPT, CHANGED, REMOVED, ADDED)]
    assert [app.connections_total for app in apps] == [1, 2, 1, 1]
    assert [app.connections_open for app in apps] == [1, 1, 0, 1]


async def is_new(longwire: Longwire, name: str, pid: int) -> bool:
    return (await longwire.account(name))["pid"] not in {None, pid}


async def test_g3_a_wrong_file_changes_nothing_and_every_mistake_is_told_with_its_place(
    longwire: Longwire,
) -> None:
    """Two mistakes: both are in the answer, in what the verb prints, and in the log of a SIGHUP.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"a": LOOPBACK, "b": LOOPBACK})
    await longwire.start()
    await longwire.until_online()
    before = [(await longwire.account(name))["pid"] for name in "ab"]
    longwire.configure({"a": {**LOOPBACK, "mistake": 1}, "c": {"connector": "telegraph"}})
    places = ["accounts.a.mistake", "accounts.c.connector"]
    with pytest.raises(CommandError, match=r"accounts\.a\.mistake") as refusal:
        await longwire.client.call("config.reload")
    assert refusal.value.retcode == RetCode.CONFIG_REFUSED
    problems: Any = refusal.value.data
    assert [problem["place"] for problem in problems["problems"]] == places
    code, text = await run(longwire, "reload")
    assert (code, [line.split(": ")[1] for line in text.splitlines()]) == (78, places)
    longwire.program.send(signal.SIGHUP)

    async def told() -> bool:
        return [line["place"] for line in longwire.log_events("reload_refused")] == places * 3

    await until(told, what="the log has what a SIGHUP found, too")
    longwire.config.unlink()
    with pytest.raises(CommandError, match="cannot be read"):
        await longwire.client.call("config.reload")
    assert [(await longwire.account(name))["pid"] for name in "ab"] == before
    assert await names(longwire) == ["a", "b"]


async def test_g3_a_change_of_the_supervisors_own_settings_is_said_to_need_a_restart(
    longwire: Longwire,
) -> None:
    """Its accounts are taken over all the same, and what runs goes on with the old settings.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"a": LOOPBACK})
    await longwire.start()
    other = f"ipc://{longwire.folder}/other.sock"
    longwire.configure({"a": LOOPBACK, "b": LOOPBACK}, connect_burst=7, endpoint=other)
    answer = await longwire.client.call("config.reload")
    keys = ["supervisor.endpoint", "supervisor.connect_burst"]
    assert (answer["needs_restart"], answer["added"]) == (keys, ["b"])
    (line,) = longwire.log_events("reload_needs_restart")
    assert line["keys"] == keys
    await longwire.until_online("a", "b")
    again = await longwire.client.call("config.reload")
    nothing: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
    assert again == {**nothing, "webhooks": nothing, "needs_restart": keys}
    assert (await longwire.status())["supervisor"]["endpoints"] == [longwire.endpoint]


async def test_g3_a_second_supervisor_on_the_same_data_says_who_holds_it_and_touches_nothing(
    longwire: Longwire, tmp_path: Path
) -> None:
    """It ends with 75 at once, and the first one's accounts and clients do not notice.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"a": LOOPBACK})
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("a")
    second = await Program.start(
        [COMMAND, "-c", str(longwire.config), "run"], output=tmp_path / "second.log", cwd=tmp_path
    )
    assert await second.ended(deadline_s=60) == 75
    assert f"pid {longwire.program.pid}" in second.text()
    assert str(tmp_path / "var") in second.text()
    after = await longwire.account("a")
    assert (after["pid"], after["state"]) == (before["pid"], "online")
    assert [line["event"] for line in longwire.log_events("child_exited")] == []


async def test_g3_accounts_are_added_changed_and_removed_by_command(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Each command touches its own account, says how long it lasts, and the file is not written.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"kept": lark(simulator.url, KEPT)})
    await longwire.start()
    await longwire.until_online()
    before, text = await longwire.account("kept"), longwire.config.read_text()
    call = longwire.client.call
    config = lark(simulator.url, ADDED)
    secrets = {"app_secret": config.pop("app_secret")}
    added = await call("account.add", {"account": "new", "config": config, "secrets": secrets})
    assert added == {
        "account": "new",
        "added": ["new"],
        "removed": [],
        "changed": [],
        "until": "supervisor restart",
    }
    await longwire.until_online("new")
    pid = (await longwire.account("new"))["pid"]
    updated = await call("account.update", {"account": "new", "config": {"link_timeout_s": 30}})
    assert updated["changed"] == ["new"]
    await until(lambda: is_new(longwire, "new", pid), what="a new process")
    await longwire.until_online("new")
    unchanged = await call("account.update", {"account": "new", "config": {"link_timeout_s": 30}})
    assert unchanged["changed"] == []
    assert (await longwire.status())["supervisor"]["by_command"] == {"new": "added"}
    removed = await call("account.remove", account="new")
    assert (removed["removed"], removed["until"]) == (["new"], None)
    await until(lambda: is_gone(longwire, "new"), what="the account is gone")
    state = await simulator.state()
    assert (state.lark[ADDED].connections_total, state.lark[ADDED].connections_open) == (2, 0)
    assert (await longwire.account("kept"))["pid"] == before["pid"]
    assert longwire.config.read_text() == text


async def is_gone(longwire: Longwire, name: str) -> bool:
    return name not in await names(longwire)


async def test_g3_what_commands_changed_outlives_a_reload_and_ends_with_the_supervisor(
    longwire: Longwire,
) -> None:
    """An overlay over the file: its accounts updated, hidden, and one more; a restart has the file alone.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"updated": LOOPBACK, "hidden": LOOPBACK})
    await longwire.start()
    await longwire.until_online()
    call = longwire.client.call
    await call("account.update", {"config": {"tenant": "by-command"}}, account="updated")
    await call("account.remove", {}, account="hidden")
    await call("account.add", {"config": LOOPBACK}, account="new")
    await until(lambda: is_gone(longwire, "hidden"), what="the account is gone")
    longwire.configure({"updated": {**LOOPBACK, "echo": True}, "hidden": LOOPBACK, "of-the-file": LOOPBACK})
    answer = await call("config.reload")
    assert (answer["added"], answer["changed"], answer["removed"]) == (["of-the-file"], ["updated"], [])
    assert await names(longwire) == ["updated", "of-the-file", "new"]
    assert (await longwire.account("updated"))["tenant"] == "by-command"
    hows = {"updated": "updated", "hidden": "removed", "new": "added"}
    assert (await longwire.status())["supervisor"]["by_command"] == hows
    code, text = await run(longwire, "status")
    assert (code, "new: added by command" in text) == (0, True)
    await longwire.stop()
    await longwire.start()
    assert await names(longwire) == ["updated", "hidden", "of-the-file"]
    assert (await longwire.account("updated"))["tenant"] == "default"
    assert (await longwire.status())["supervisor"]["by_command"] == {}


async def test_g3_commands_that_would_be_mistakes_change_nothing(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Each is refused with its reason: a name that is there, one that is not, wrong keys, another tenant.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"a": lark(simulator.url, KEPT), "b": LOOPBACK})
    await longwire.start()
    await longwire.until_online()
    before = [(await longwire.account(name))["pid"] for name in "ab"]

    async def refused(method: str, params: dict[str, Any], *, tenant: str | None = None) -> tuple[int, Any]:
        with pytest.raises(CommandError) as refusal:
            await longwire.client.call(f"account.{method}", params, tenant=tenant)
        data: Any = refusal.value.data
        places = [problem["place"] for problem in data["problems"]] if data else refusal.value.message
        return refusal.value.retcode, places

    code, _ = await refused("add", {"account": "a", "config": LOOPBACK})
    assert code == RetCode.ACCOUNT_EXISTS
    for method in ("update", "remove"):
        assert (await refused(method, {"account": "c"}))[0] == RetCode.UNKNOWN_ACCOUNT
        assert (await refused(method, {"account": "b"}, tenant="acme"))[0] == RetCode.UNKNOWN_ACCOUNT
    for params in (
        {},
        {"account": 1},
        {"account": "c", "config": []},
        {"account": "c", "secrets": {"x": 1}},
        {"account": "c", "command": "/bin/sh"},
        {"account": "c", "config": {"app_secret": "x"}, "secrets": {"app_secret": "y"}},
    ):
        assert (await refused("add", params))[0] == RetCode.BAD_PARAM
    assert (await refused("remove", {"account": "a", "config": {"nice": 1}}))[0] == RetCode.BAD_PARAM
    same_app = {"connector": "lark", "app_id": KEPT, "app_secret": SECRET, "typo": 1}
    for params, places in (
        ({"account": "c", "config": same_app}, ["c.typo", "a.app_id", "c.app_id"]),
        ({"account": "no name", "config": LOOPBACK}, ["no name"]),
        ({"account": "c", "config": {}}, ["c.connector"]),
        ({"account": "c", "config": {**LOOPBACK, "python": "/bin/sh"}}, ["c.python"]),
        ({"account": "c", "config": LOOPBACK, "secrets": {"chats": SECRET}}, ["c.chats"]),
    ):
        code, found = await refused("add", params)
        assert (code, sorted(found)) == (
            RetCode.CONFIG_REFUSED,
            sorted(f"accounts.{place}" for place in places),
        )
    assert await refused("add", {"account": "c", "config": LOOPBACK}, tenant="acme") == (
        RetCode.CONFIG_REFUSED,
        ["accounts.c.tenant"],
    )
    assert await names(longwire) == ["a", "b"]
    assert [(await longwire.account(name))["pid"] for name in "ab"] == before
    assert (await longwire.status())["supervisor"]["by_command"] == {}


async def test_g3_an_account_that_is_being_removed_can_be_added_again_and_nothing_else(
    longwire: Longwire,
) -> None:
    """Its name is free at once; the new one starts when the old process is gone, never beside it.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    plugins = str(Path(__file__).parent.parent / "plugins")
    slow = {"connector": "misbehaving", "slow_close_s": 1.5}
    longwire.configure({"slow": slow})
    await longwire.start(env={"PYTHONPATH": plugins})
    await longwire.until_online()
    old = (await longwire.account("slow"))["pid"]
    call = longwire.client.call
    await call("account.remove", account="slow")
    assert (await longwire.account("slow"))["state"] == "stopping"
    for method in ("remove", "update"):
        with pytest.raises(CommandError) as refusal:
            await call(f"account.{method}", account="slow")
        assert refusal.value.retcode == RetCode.UNKNOWN_ACCOUNT
    answer = await call("account.add", {"config": slow}, account="slow")
    assert (answer["added"], answer["until"]) == (["slow"], None)
    assert is_alive(old)
    await until(lambda: is_new(longwire, "slow", old), what="a new process")
    assert not is_alive(old)
    await longwire.until_online("slow")


async def test_g3_the_same_change_twice_with_a_key_has_one_effect_and_one_answer(longwire: Longwire) -> None:
    """A client that lost the answer asks again with the same key and learns what became of it.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({})
    await longwire.start()

    async def add(**config: Any) -> Any:
        params = {"account": "a", "config": {**LOOPBACK, **config}}
        return await longwire.client.call("account.add", params, idempotency_key="k1")

    assert await add() == await add()
    with pytest.raises(CommandError) as conflict:
        await add(nice=1)
    assert conflict.value.retcode == RetCode.IDEMPOTENCY_CONFLICT
    assert len(longwire.log_events("account_configured")) == 1


async def test_g3_a_change_of_one_account_reads_no_other_accounts_secret_again(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A secret's file that is gone, or has another content, is the next reload's business.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    file = longwire.folder / "secret"
    file.write_text(f"secret-of-{KEPT}")
    longwire.configure({"kept": lark(simulator.url, KEPT, app_secret=f"file:{file}"), "b": LOOPBACK})
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("kept")
    for content in ("another secret", None):
        file.write_text(content) if content else file.unlink()
        nice = 1 if content else 2
        answer = await longwire.client.call("account.update", {"config": {"nice": nice}}, account="b")
        assert answer["changed"] == ["b"]
    assert (await longwire.account("kept"))["pid"] == before["pid"]
    with pytest.raises(CommandError, match=r"accounts\.kept\.app_secret"):
        await longwire.client.call("config.reload")


async def test_g3_a_secret_by_command_is_nowhere_but_in_memory(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    """From a file, a variable or standard input, never an argument; not on disk, in status, log or answer.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    await simulator.register("lark", app=ADDED, secret=SECRET)
    longwire.configure({})
    await longwire.start()
    secret, table = tmp_path / "secret", tmp_path / "table.toml"
    secret.write_text(f"{SECRET}\n")
    table.write_text(f'connector = "lark"\napp_id = "{ADDED}"\ndomain = "{simulator.url}"\n')
    ways: tuple[tuple[str, str, dict[str, str]], ...] = (
        (f"file:{secret}", "", {}),
        ("env:THE_SECRET", "", {"THE_SECRET": SECRET}),
        ("-", f"{SECRET}\n", {}),
    )
    printed: list[str] = []
    for way, given, env in ways:
        code, text = await run(
            longwire,
            *("accounts", "add", "new", "--from", str(table), "--secret", f"app_secret={way}"),
            given=given,
            **env,
        )
        assert (code, "new: added\nuntil: supervisor restart" in text) == (0, True), text
        await longwire.until_online("new")
        printed += [text, json.dumps(await longwire.status())]
        child = (await longwire.account("new"))["pid"]
        assert SECRET.encode() in memory(child)  # so the needle is the right one
        code, text = await run(longwire, "accounts", "remove", "new")
        assert code == 0, text
        await until(lambda: is_gone(longwire, "new"), what="the account is gone")
    code, text = await run(longwire, "accounts", "add", "new", "--secret", f"app_secret={SECRET}")
    assert (code, SECRET in text) == (64, False)
    printed.append(text)
    await longwire.stop()
    secret.unlink()
    on_disk = [path.read_bytes() for path in longwire.folder.rglob("*") if path.is_file()]
    assert [SECRET in text for text in printed] == [False] * len(printed)
    assert not [each for each in on_disk if SECRET.encode() in each]


async def test_g3_the_verbs_change_accounts_and_print_every_mistake(longwire: Longwire) -> None:
    """As an operator has them: TOML on standard input, a key taken away, exit codes 64 and 78.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"a": LOOPBACK})
    await longwire.start()
    code, text = await run(longwire, "accounts", "add", "b", "--from", "-", given='connector = "loopback"\n')
    assert (code, text.splitlines()[0]) == (0, "b: added")
    code, text = await run(longwire, "accounts", "update", "b", "--from", "-", "--json", given="nice = 3\n")
    assert (code, json.loads(text)["changed"]) == (0, ["b"])
    code, text = await run(longwire, "accounts", "update", "b", "--unset", "nice")
    assert (code, text.splitlines()[0]) == (0, "b: changed")
    code, text = await run(longwire, "accounts", "update", "b", "--from", "-", given="nice = 99\ntypo = 1\n")
    assert code == 78
    assert sorted(line.split(": ")[1] for line in text.splitlines()) == ["accounts.b.nice", "accounts.b.typo"]
    for arguments in (("add", "a"), ("remove", "c"), ("update", "c")):
        assert (await run(longwire, "accounts", *arguments))[0] == 64


async def test_g3_updates_in_quick_succession_are_limited_as_restarts_are(longwire: Longwire) -> None:
    """Each is a new connection for the platform; one that changes nothing costs nothing.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({"a": LOOPBACK})
    await longwire.start()
    await longwire.until_online()

    async def update(**keys: Any) -> Any:
        return await longwire.client.call("account.update", {"config": keys}, account="a")

    for nice in (1, 2, 3):
        for _ in range(2):
            await update(nice=nice)
        await until(lambda nice=nice: has_nice(longwire, nice), what="it is started anew")  # type: ignore[misc]
    with pytest.raises(CommandError) as refusal:
        await update(nice=4)
    assert (refusal.value.retcode, refusal.value.retryable) == (RetCode.SATURATED, True)
    assert refusal.value.retry_after_ms is not None
    assert await has_nice(longwire, 3)
    with pytest.raises(CommandError, match="every tenant"):
        await longwire.client.call("config.reload", tenant="default")


async def has_nice(longwire: Longwire, nice: int) -> bool:
    account = await longwire.account("a")
    return (account["state"], account["limits"]["nice"]) == ("online", nice)
