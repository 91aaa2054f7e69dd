"""`longwire doctor`: what is wrong, and what to do; it changes nothing and does not crash."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import COMMAND, Program
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import LarkDiscoveryCode

APP = "cli_00000000000000aa"
NOBODY = "http://127.0.0.1:1"
"""Where nothing listens; without --probe nobody asks."""

Findings = dict[str, list[dict[str, Any]]]


async def doctor(
    longwire: Longwire, *arguments: str, env: Mapping[str, str] | None = None
) -> tuple[int, Findings]:
    """Run the verb; return its exit code, and its findings by what was looked at."""
    output = longwire.folder / "doctor.json"
    output.unlink(missing_ok=True)
    command = [COMMAND, "-c", str(longwire.config), "doctor", "--json", *arguments]
    code = await (await Program.start(command, output=output, env=env)).ended(deadline_s=60)
    text = output.read_text()
    assert "secret-of-" not in text
    assert "hunter2" not in text
    answer = json.loads(text)
    assert answer["ok"] == (code == 0)
    found: Findings = {}
    for finding in answer["findings"]:
        assert finding["action"] or finding["level"] in {"ok", "note"}
        found.setdefault(finding["check"], []).append(finding)
    return code, found


def levels(found: Findings, check: str) -> list[str]:
    return [finding["level"] for finding in found.get(check, [])]


async def test_a_healthy_installation_that_does_not_run_yet(longwire: Longwire) -> None:
    longwire.configure({"bot": lark(NOBODY, APP), "ding": dingtalk(NOBODY, "ding", isolation="spawn")})
    code, found = await doctor(longwire)
    assert code == 0, found
    for check in ("configuration", "python", "supervisor", "data_dir", "open_files"):
        assert levels(found, check) == ["ok"], found[check]
    sdks = {finding["message"].split()[0] for finding in found["sdk"]}
    assert sdks >= {"lark-oapi", "dingtalk-stream", "websockets"}
    assert set(levels(found, "sdk")) == {"ok"}
    assert not (longwire.folder / "var").exists(), "it changes nothing"


async def test_mistakes_are_named_and_the_rest_is_looked_at_all_the_same(longwire: Longwire) -> None:
    longwire.configure({"bot": {"connector": "lark", "app_id": APP, "colour": "red"}, "other": {}})
    code, found = await doctor(longwire)
    assert code == 78
    places = {finding["message"].partition(":")[0] for finding in found["configuration"]}
    assert places == {"accounts.bot.app_secret", "accounts.bot.colour", "accounts.other.connector"}
    assert levels(found, "data_dir") == ["ok"]
    longwire.config.unlink()
    code, found = await doctor(longwire)
    assert code == 78
    assert "cannot be read" in found["configuration"][0]["message"]


async def test_an_interpreter_without_longwire_is_named_with_what_to_install(
    longwire: Longwire, bare_venv: Path
) -> None:
    longwire.configure({"bot": lark(NOBODY, APP, python=str(bare_venv))})
    code, found = await doctor(longwire)
    assert code == 78
    assert f"{bare_venv} -m pip install" in found["configuration"][0]["message"]


async def test_the_running_supervisor_and_what_it_says_of_its_accounts(
    simulator: Simulator, longwire: Longwire
) -> None:
    await simulator.fault(LarkDiscoveryCode(platform="lark", app="cli_bad", code=1000040346))
    longwire.configure({"bot": lark(simulator.url, APP), "bad": lark(simulator.url, "cli_bad")})
    await longwire.start()
    await longwire.until_online("bot")
    await longwire.until_state("bad", "parked")
    code, found = await doctor(longwire)
    assert code == 0, "a parked account is a warning"
    assert levels(found, "supervisor") == ["ok"]
    assert f"pid {longwire.program.pid}" in found["supervisor"][0]["message"]
    (account,) = found["accounts"]
    assert (account["level"], account["message"]) == ("warning", "1 in parked: bad")


async def test_a_supervisor_that_hangs_is_named_and_what_it_leaves_when_killed_is_no_trouble(
    longwire: Longwire,
) -> None:
    longwire.configure({"loop": {"connector": "loopback"}})
    await longwire.start()
    await longwire.until_online()
    longwire.program.send(signal.SIGSTOP)
    code, found = await doctor(longwire)
    assert code == 69
    assert levels(found, "supervisor") == ["error"]
    assert f"pid {longwire.program.pid} holds" in found["supervisor"][0]["message"]
    await longwire.kill()

    async def diagnosed() -> Findings | None:
        found = (await doctor(longwire))[1]
        return found if levels(found, "supervisor") == ["ok"] else None

    found = await until(diagnosed, what="the lock is let go of", every_s=0.2)
    (sockets,) = found["sockets"]
    assert sockets["level"] == "note"
    assert "longwire.sock" in sockets["message"]


async def test_rights_and_proxies(longwire: Longwire) -> None:
    longwire.configure({"loop": {"connector": "loopback"}})
    (longwire.folder / "var").mkdir(mode=0o755)
    await asyncio.to_thread(os.chmod, longwire.folder / "var", 0o755)  # whatever the umask
    proxies = {"HTTPS_PROXY": "http://me:hunter2@127.0.0.1:3128", "ALL_PROXY": "socks5://127.0.0.1:1080"}
    code, found = await doctor(longwire, env=proxies)
    assert code == 0
    assert levels(found, "data_dir") == ["warning"]
    by_level = {finding["level"]: finding["message"] for finding in found["proxy"]}
    assert "http://127.0.0.1:3128" in by_level["note"]
    assert "SOCKS is not understood" in by_level["warning"]
    assert (longwire.folder / "var").stat().st_mode & 0o777 == 0o755, "it changes nothing"


async def test_credentials_are_tried_where_that_is_asked_for(
    simulator: Simulator, longwire: Longwire
) -> None:
    await simulator.register("dingtalk", app="dingbad", secret="another-secret")
    longwire.configure({"bot": lark(simulator.url, APP), "ding": dingtalk(simulator.url, "dingbad")})
    code, found = await doctor(longwire, "--probe")
    assert code == 77
    assert levels(found, "credentials") == ["ok", "error"]
    assert "client_secret" in found["credentials"][1]["action"]
    assert levels(found, "clock") == ["ok"]
