"""Scenario G3: what an operator wants of an account holds over the changes that are made to it meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire
from harness.processes import is_alive
from harness.waiting import until
from longwire import CommandError

PLUGINS = str(Path(__file__).parent.parent / "plugins")
SLOW = {"connector": "misbehaving", "slow_close_s": 1.5}
"""One whose end takes long enough to say something meanwhile."""


async def stop(longwire: Longwire) -> None:
    await longwire.client.call("account.stop", account="slow")


async def update(longwire: Longwire) -> None:
    answer = await longwire.client.call("account.update", {"config": {"nice": 1}}, account="slow")
    assert answer["changed"] == ["slow"]


async def reload(longwire: Longwire) -> None:
    longwire.configure({"slow": {**SLOW, "nice": 1}})
    assert (await longwire.client.call("config.reload"))["changed"] == ["slow"]


async def until_changed(longwire: Longwire, *states: str) -> dict[str, Any]:
    """Wait until the account is what the change made of it, and in one of these states."""

    async def look() -> dict[str, Any] | None:
        account = await longwire.account("slow")
        is_changed = account["limits"]["nice"] == 1
        return account if is_changed and account["state"] in states else None

    return await until(look, what=f"changed, and {' or '.join(states)}")


@pytest.mark.parametrize("acts", [(stop, update), (update, stop), (stop, reload)])
async def test_g3_what_is_stopped_stays_stopped_through_a_change(longwire: Longwire, acts: Any) -> None:
    """Stopped before the change or after it, its old process still there: the new account does not start.

    Alone: there is no configuration, and nothing that stays stopped but a program that nobody starts.
    """
    longwire.configure({"slow": SLOW})
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    for act in acts:
        await act(longwire)
    assert (await longwire.account("slow"))["state"] in {
        "stopping",
        "stopped",
    }  # on a busy machine it is over
    account = await until_changed(longwire, "stopped", "starting", "connecting", "online")
    assert (account["state"], account["pid"], account["restarts"]) == ("stopped", None, 0)
    await longwire.client.call("account.update", {"config": {"nice": 2}}, account="slow")
    assert (await longwire.account("slow"))["state"] == "stopped"
    await longwire.client.call("account.start", account="slow")
    await longwire.until_online()


async def test_g3_what_is_removed_and_added_again_starts_though_it_was_stopped(longwire: Longwire) -> None:
    """Who adds an account wants it to run, whatever was wanted of the one that had its name.

    Alone: there is no configuration, and nothing that stays stopped but a program that nobody starts.
    """
    longwire.configure({"slow": SLOW})
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    await stop(longwire)
    await longwire.client.call("account.remove", account="slow")
    await longwire.client.call("account.add", {"config": {**SLOW, "nice": 1}}, account="slow")
    assert (await longwire.account("slow"))["state"] == "stopping"
    await until_changed(longwire, "online")


async def test_g3_a_renamed_account_starts_when_its_old_process_is_gone_and_not_before(
    longwire: Longwire,
) -> None:
    """Two accounts never have one app at a time: the new one waits, says for whom, and can be stopped.

    Alone: the program under its new name connects at once, and the platform deals the events out to both.
    """
    config = {**SLOW, "app": "the app", "slow_close_s": 3.0, "stop_timeout_s": 9}
    longwire.configure({"old": config})
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    pid = (await longwire.account("old"))["pid"]
    longwire.configure({"new": config, "other": {**SLOW, "app": "another app"}})
    answer = await longwire.client.call("config.reload")
    assert (answer["added"], answer["removed"]) == (["new", "other"], ["old"])
    waiting = await longwire.account("new")
    assert (waiting["state"], waiting["reason"], waiting["pid"]) == ("starting", "app_in_use", None)
    assert "old" in waiting["message"]
    assert (await longwire.account("other"))["reason"] is None
    await longwire.client.call("account.stop", account="new")
    await longwire.until_state("new", "stopped")
    await longwire.client.call("account.start", account="new")
    assert (await longwire.account("new"))["reason"] == "app_in_use"
    assert is_alive(pid)
    await longwire.until_online("new", "other")
    told = [(line["event"], line["account"]) for line in longwire.log_lines() if "account" in line]
    assert told.index(("child_exited", "old")) < told.index(("child_started", "new"))
    assert [line["for_account"] for line in longwire.log_events("start_waits")] == ["old", "old"]


async def until_read(fifo: Path) -> int:
    """Wait until somebody wants to read it; return the end to write to."""

    async def look() -> int | None:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody yet
            return None

    return await until(look, what=f"{fifo.name} is read")


async def test_g3_a_hangup_while_it_starts_is_a_reload_and_not_its_end(longwire: Longwire) -> None:
    """A deployment writes the file and sends SIGHUP, whatever the supervisor is doing at that moment.

    Alone: there is no configuration, and SIGHUP ends a program that says nothing of it.
    """
    longwire.configure({"a": {"connector": "loopback"}})
    first = longwire.config.read_text()
    longwire.config.unlink()
    os.mkfifo(longwire.config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(longwire.start(), name="start")
        end = await until_read(longwire.config)
        longwire.program.send(signal.SIGHUP)
        longwire.config.unlink()
        longwire.configure({"a": {"connector": "loopback"}, "b": {"connector": "loopback"}})
        os.write(end, first.encode())
        os.close(end)
    await longwire.until_online("a", "b")
    assert len(longwire.log_events("reloaded")) == 1


async def test_g3_a_secret_that_is_a_fifo_is_refused_at_its_key_and_holds_up_nothing(
    longwire: Longwire,
) -> None:
    """Asked for more often than there are threads to wait in: others change and restart as ever.

    Alone: a program reads its own secrets, and one that opens a FIFO waits until somebody writes.
    """
    longwire.configure({"a": {"connector": "loopback"}})
    await longwire.start()
    await longwire.until_online()
    os.mkfifo(longwire.folder / "fifo")
    config = {"connector": "lark", "app_id": "cli_1", "app_secret": "file:fifo"}
    for _ in range(8):
        with pytest.raises(CommandError, match=r"accounts\.l\.app_secret: .*no regular file"):
            await longwire.client.call("account.add", {"account": "l", "config": config})
    os.kill((await longwire.account("a"))["pid"], signal.SIGKILL)
    await until_restarted(longwire, 1)
    answer = await longwire.client.call("account.update", {"account": "a", "config": {"nice": 1}})
    assert answer["changed"] == ["a"]
    await longwire.until_online()


async def until_restarted(longwire: Longwire, times: int) -> None:
    async def look() -> bool:
        account = await longwire.account("a")
        return (account["state"], account["restarts"]) == ("online", times)

    await until(look, what="it is online again")


async def test_g3_a_file_that_does_not_answer_holds_up_neither_a_restart_nor_the_end(
    longwire: Longwire,
) -> None:
    """The configuration is on a mount that is gone: here a FIFO into which nobody writes.

    Alone: a program reads its own files, and waits for them.
    """
    longwire.configure({"a": {"connector": "loopback"}})
    await longwire.start()
    await longwire.until_online()
    longwire.config.unlink()
    os.mkfifo(longwire.config)
    longwire.program.send(signal.SIGHUP)
    end = await until_read(longwire.config)
    try:
        os.kill((await longwire.account("a"))["pid"], signal.SIGKILL)
        await until_restarted(longwire, 1)
        code, _ = await longwire.stop()
        assert code == 0
    finally:
        os.close(end)
