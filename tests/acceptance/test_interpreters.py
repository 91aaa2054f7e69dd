"""Accounts run by other interpreters, with other versions of the SDKs, beside those of our own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.interpreters import OTHER_VERSIONS, install, script
from harness.longwire import Longwire, about_templates, dingtalk, lark
from harness.processes import COMMAND, memory
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

pytestmark = pytest.mark.timeout(300)

BROKEN_RECIPE = Path(__file__).parent.parent / "plugins" / "broken_recipe"
OF_THE_WHOLE_SDK = {"lark": b"/lark_oapi/api/", "ding": b"/dingtalk_stream/chatbot.py"}
"""What stands in the memory of a process only if the SDK was imported in full: where its code is from."""


def accounts(url: str, *, python: str, isolation: str) -> dict[str, dict[str, Any]]:
    """Return four accounts: two in our own interpreter, two in another."""
    return {
        f"{place}-{platform}": make(url, f"cli_{place}_{platform}", isolation=isolation, **more)
        for place, more in (("our", {}), ("other", {"python": python}))
        for platform, make in (("lark", lark), ("ding", dingtalk))
    }


def files_of(pid: int, package: str) -> set[Path]:
    """Return the files of a package that a process has mapped: its compiled modules."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    paths = [Path(line.split(maxsplit=5)[5]) for line in maps if f"/{package}/" in line]
    return {path for path in paths if path.suffix == ".so"}


@pytest.mark.parametrize("isolation", ["fork", "spawn"])
async def test_two_environments_with_other_versions_are_online_side_by_side(
    simulator: Simulator, longwire: Longwire, other_python: str, isolation: str
) -> None:
    assert version("websockets") != OTHER_VERSIONS["websockets"]
    longwire.configure(accounts(simulator.url, python=other_python, isolation=isolation))
    await longwire.start()
    await longwire.until_online()
    environment = Path(other_python).parents[1]
    templates = {
        template["pid"]: template for template in (await longwire.status())["supervisor"]["templates"]
    }
    assert len(templates) == (4 if isolation == "fork" else 0)
    for name in longwire.accounts:
        account = await longwire.account(name)
        place, platform = name.split("-")
        websockets = files_of(account["pid"], "websockets")
        assert websockets, "its compiled module shows where it comes from"
        assert {path.is_relative_to(environment) for path in websockets} == {place == "other"}
        assert account["isolation"] == isolation
        assert account["python"] == (other_python if place == "other" else None)
        parent = psutil.Process(account["pid"]).ppid()
        assert account["template_pid"] == (parent if isolation == "fork" else None)
        if isolation == "fork":
            template = templates[parent]
            assert (template["state"], template["children"]) == ("ready", 1)
            assert (template["connector"], template["python"]) == (account["connector"], account["python"])
        else:
            assert parent == longwire.program.pid
        sdk = {"lark": "lark-oapi", "ding": "dingtalk-stream"}[platform]
        found = {
            name: OTHER_VERSIONS[name] if place == "other" else version(name) for name in (sdk, "websockets")
        }
        assert account["sdk"] == ", ".join(f"{name} {found[name]}" for name in found)
        content = await asyncio.to_thread(memory, account["pid"])
        assert OF_THE_WHOLE_SDK[platform] not in content, "the lean import was used"
    assert not longwire.log_events("lean_import_failed")
    await say_something_to_each(simulator, longwire)


async def say_something_to_each(simulator: Simulator, longwire: Longwire) -> None:
    """Let an event arrive at each account, be acknowledged, and be answered."""
    subscription = longwire.client.subscribe(start="all", types=["message.created"])
    await subscription.open()
    for name, account in longwire.accounts.items():
        if account["connector"] == "lark":
            await simulator.inject_lark(LarkEvent(app=account["app_id"], text=name))
        else:
            await simulator.inject_dingtalk(DingTalkEvent(app=account["client_id"], text=name))
    async with asyncio.timeout(40):
        for _ in longwire.accounts:
            event = await anext(subscription)
            assert event.text == event.account
            await longwire.client.reply(event, text=f"to {event.text}")
            await event.ack()

    async def acked() -> bool:
        state = await simulator.state()
        return [app.acked for app in (*state.lark.values(), *state.dingtalk.values())] == [1] * len(
            longwire.accounts
        )

    await until(acked, what="every event is acknowledged")


@about_templates
async def test_an_sdk_that_the_lean_import_does_not_suit_is_imported_in_full_with_a_warning(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"lark": lark(simulator.url, "cli_full"), "ding": dingtalk(simulator.url, "full")})
    await longwire.start(env={"PYTHONPATH": str(BROKEN_RECIPE)})
    await longwire.until_online()
    warnings = longwire.log_events("lean_import_failed")
    assert sorted(line["template"] for line in warnings) == ["dingtalk", "lark"]
    for line in warnings:
        assert line["level"] == "warning"
        assert "cannot import name 'something'" in line["error"]
    for platform, mark in OF_THE_WHOLE_SDK.items():
        assert mark in await asyncio.to_thread(memory, (await longwire.account(platform))["pid"])
    await say_something_to_each(simulator, longwire)


@pytest.fixture
def upgradable(other_python: str) -> Iterator[str]:
    """The other interpreter, whose websockets is afterwards what it was."""
    yield other_python
    install(other_python, f"websockets=={OTHER_VERSIONS['websockets']}")


@about_templates
async def test_an_upgrade_under_a_running_supervisor_reaches_each_account_at_its_next_start(
    simulator: Simulator, longwire: Longwire, upgradable: str
) -> None:
    longwire.configure(
        {name: dingtalk(simulator.url, name) for name in ("first", "second")}, defaults={"python": upgradable}
    )
    await longwire.start()
    await longwire.until_online()
    before = {name: await longwire.account(name) for name in longwire.accounts}
    await asyncio.to_thread(install, upgradable, "websockets==14.2")
    assert [(await longwire.account(name))["pid"] for name in before] == [
        account["pid"] for account in before.values()
    ]
    for restarted, retired in (("first", 1), ("second", 0)):
        await longwire.client.call("account.restart", account=restarted)

        async def is_upgraded(name: str = restarted) -> bool:
            account = await longwire.account(name)
            return account["state"] == "online" and account["sdk"].endswith("websockets 14.2")

        await until(is_upgraded, what=f"{restarted} is online with the new version")

        async def are_as_expected(retired: int = retired) -> bool:
            templates = (await longwire.status())["supervisor"]["templates"]
            return [each["state"] for each in templates] == [*["retired"] * retired, "ready"]

        await until(are_as_expected, what="the old template stays as long as it has a child")
    (replaced,) = longwire.log_events("template_replaced")
    assert "websockets" in replaced["text"]


async def test_a_reload_may_name_an_interpreter_and_is_refused_where_it_is_none(
    longwire: Longwire, other_python: str, tmp_path: Path
) -> None:
    loopback = {"connector": "loopback"}
    longwire.configure({"ours": loopback})
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("ours")
    longwire.configure({"ours": loopback, "other": {**loopback, "python": str(tmp_path / "none")}})
    longwire.program.send(signal.SIGHUP)

    async def refused() -> list[dict[str, Any]]:
        return longwire.log_events("reload_refused")

    (line,) = await until(refused, what="the reload is refused")
    assert line["place"] == "accounts.other.python"
    assert "No such file" in line["problem"]
    longwire.configure({"ours": loopback, "other": {**loopback, "python": other_python}})
    longwire.program.send(signal.SIGHUP)

    async def added() -> bool:
        return "other" in {account["account"] for account in (await longwire.status())["accounts"]}

    await until(added, what="the account is there")
    await longwire.until_online()
    assert (await longwire.account("ours"))["pid"] == before["pid"]
    modules = files_of((await longwire.account("other"))["pid"], "msgspec")
    assert modules
    assert all(path.is_relative_to(Path(other_python).parents[1]) for path in modules)


async def test_a_stop_does_not_wait_for_an_interpreter_that_hangs(longwire: Longwire, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    python = script(tmp_path, f"touch {asked}; sleep 600")
    longwire.configure({"ours": {"connector": "loopback"}})
    await longwire.start()
    await longwire.until_online()
    longwire.configure({"ours": {"connector": "loopback", "python": python}})
    longwire.program.send(signal.SIGHUP)

    async def is_asked() -> bool:
        return await asyncio.to_thread(asked.exists)

    await until(is_asked, what="the reload asks it")
    assert (await longwire.account("ours"))["state"] == "online", "the supervisor answers meanwhile"
    code, took_s = await longwire.stop()
    assert code == 0
    assert took_s < 15, "half of what the interpreter is given"


async def test_check_names_the_key_of_an_interpreter_that_cannot_be_used(
    longwire: Longwire, bare_venv: Path
) -> None:
    longwire.configure({"a": {"connector": "loopback"}}, defaults={"python": str(bare_venv)})
    process = await asyncio.create_subprocess_exec(
        COMMAND, "-c", str(longwire.config), "check", "--json", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 78
    (problem,) = json.loads(output)["problems"]
    assert problem["place"] == "defaults.python"
    assert f"{bare_venv} -m pip install" in problem["message"]


async def test_a_missing_sdk_is_to_be_installed_for_the_interpreter_that_lacks_it(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    (tmp_path / "lark_oapi.py").write_text("raise ImportError('not here')")
    longwire.configure({"bot": lark(simulator.url, "cli_missing", isolation="spawn")})
    await longwire.start(env={"PYTHONPATH": str(tmp_path)})
    account = await longwire.until_state("bot", "parked")
    assert account["reason"] == "sdk_missing"
    assert account["user_action"].startswith(str(Path(sys.executable).parent))
    assert account["user_action"].endswith("-m pip install 'longwire[lark]'")
