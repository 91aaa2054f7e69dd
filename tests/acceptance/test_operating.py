"""The command as an operator meets it: honcho, Ctrl-C, mistakes, other languages."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import COMMAND, Program, is_alive
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import LarkEvent

ROOT = Path(__file__).parent.parent.parent
APP, DING = "cli_00000000000000aa", "dingoperating"
MISTAKES = """
[supervisor]
data_dir = "var"
endpont = "ipc://var/x.sock"

[defaults]
heartbeat_timeout_s = "five"

[accounts.one]
connector = "lark"
app_id = "cli_0123456789abcdef"

[accounts.two]
connector = "telegraph"

[accounts.three]
connector = "dingtalk"
client_id = "ding1"
client_secret = "env:NO_SUCH_VARIABLE"
"""


async def run(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the command to its end; return exit code and output."""
    output = folder / f"output-{time.monotonic_ns()}"
    program = await Program.start([COMMAND, *arguments], output=output, env=env, cwd=folder)
    return await program.ended(deadline_s=60), program.text()


async def test_five_mistakes_are_reported_at_once_each_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "longwire.toml").write_text(MISTAKES)
    code, text = await run(tmp_path, "check")
    assert code == 78
    for place in (
        "supervisor.endpont",
        "defaults.heartbeat_timeout_s",
        "accounts.one.app_secret",
        "accounts.two.connector",
        "accounts.three.client_secret",
    ):
        assert place in text
    assert len(text.strip().splitlines()) == 5
    code, text = await run(tmp_path, "run")
    assert code == 78
    assert len(text.strip().splitlines()) == 5


async def test_a_tenants_status_is_of_its_own_accounts_and_subscriptions(
    longwire: Longwire, tmp_path: Path
) -> None:
    longwire.configure(
        {"a": {"connector": "loopback", "tenant": "t1"}, "b": {"connector": "loopback", "tenant": "t2"}}
    )
    await longwire.start()
    await longwire.until_online()
    for name, tenant in (("own", "t1"), ("others", "t2"), ("everyones", None)):
        await longwire.client.subscribe(name, tenant=tenant).open()
    code, text = await run(tmp_path, "status", "--tenant", "t1", "--json")
    status = json.loads(text)
    assert (code, status["supervisor"]["subscriptions"]) == (0, 3)
    assert [account["account"] for account in status["accounts"]] == ["a"]
    assert [subscription["name"] for subscription in status["subscriptions"]] == ["own"]


async def test_the_verbs_work_against_a_running_supervisor(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP), "ding": dingtalk(simulator.url, DING)})
    await longwire.start()
    await longwire.until_online()
    code, text = await run(tmp_path, "status", "--json")
    assert (code, [a["state"] for a in json.loads(text)["accounts"]]) == (0, ["online", "online"])
    for account, chat in (("bot", "oc_1"), ("ding", "cid1==")):
        code, text = await run(tmp_path, "send", account, chat, "hello")
        assert code == 0, text
    state = await simulator.state()
    assert [m.target for m in state.lark[APP].messages] == ["oc_1"]
    assert len(state.dingtalk[DING].messages) == 1
    code, text = await run(
        tmp_path, "send", "bot", "oc_1", "later", "--deadline", "60", "--no-wait", "--json"
    )
    assert code == 0, text
    receipt = json.loads(text)["receipt"]

    async def has_gone() -> bool:
        return bool((await longwire.client.call("message.get", {"receipt": receipt}))["state"] == "done")

    await until(has_gone, what="what nobody waited for is sent")
    await simulator.inject_lark(LarkEvent(app=APP, text="for the tail"))
    arguments = ("events", "tail", "--from", "all", "--type", "message.created", "--count", "1", "--json")
    code, text = await run(tmp_path, *arguments)
    assert (code, json.loads(text)["text"]) == (0, "for the tail")
    code, text = await run(tmp_path, "accounts", "stop", "bot")
    assert code == 0, text
    await longwire.until_state("bot", "stopped")
    code, text = await run(tmp_path, "accounts", "show", "nobody")
    assert code == 64
    code, text = await run(tmp_path, "send", "bot", "oc_1", "hello")
    assert code == 75
    elsewhere = {"LONGWIRE_ENDPOINT": f"ipc://{tmp_path}/nobody.sock"}
    code, text = await run(tmp_path, "status", env=elsewhere)
    assert code == 69


async def honcho(simulator: Simulator, folder: Path) -> tuple[Program, Longwire]:
    """Start the repository's own Procfile by honcho, on a configuration of this test."""
    longwire = Longwire(folder)
    longwire.configure({"bot": lark(simulator.url, APP), "ding": dingtalk(simulator.url, DING)})
    env = {
        "LONGWIRE_CONFIG": str(longwire.config),
        "LONGWIRE_ENDPOINT": longwire.endpoint,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "honcho", "-f", str(ROOT / "Procfile"), "-d", str(ROOT), "start"]
    return await Program.start(command, output=folder / "honcho.log", env=env), longwire


async def both_answered(simulator: Simulator) -> bool:
    state = await simulator.state()
    return bool(APP in state.lark and state.lark[APP].messages)


async def online(simulator: Simulator) -> bool:
    state = await simulator.state()
    apps: list[Any] = [*state.lark.values(), *state.dingtalk.values()]
    return len(apps) == 2 and all(app.connections_open == 1 for app in apps)


async def test_honcho_starts_the_procfile_and_ctrl_c_ends_it_cleanly(
    simulator: Simulator, tmp_path: Path
) -> None:
    program, _ = await honcho(simulator, tmp_path)
    await until(lambda: online(simulator), what="both accounts are connected")
    await simulator.inject_lark(LarkEvent(app=APP, text="hi"))
    await until(lambda: both_answered(simulator), what="the echo bot answers")
    below = [process.pid for process in program.descendants()]
    assert len(below) >= 4  # the supervisor, two children, the bot
    begun = time.monotonic()
    os.killpg(program.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
    await program.ended()
    assert time.monotonic() - begun < 5, program.text()
    assert "SIGKILL" not in program.text()
    assert not [pid for pid in below if is_alive(pid)]
    state = await simulator.state()
    for app in (state.lark[APP], state.dingtalk[DING]):
        assert [(c.closed_by, c.close_code) for c in app.connections] == [("client", 1000)]


async def test_a_client_written_from_the_protocol_alone_reads_and_sends(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    await simulator.inject_lark(LarkEvent(app=APP, count=3, text="event {n}"))
    script = str(ROOT / "examples" / "raw_client.py")
    command = [sys.executable, script, longwire.endpoint, "bot", "oc_1", "from elsewhere", "3"]
    program = await Program.start(command, output=tmp_path / "raw.log")
    assert await program.ended() == 0, program.text()
    lines = program.text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines if "event" in line] == ["event 0", "event 1", "event 2"]
    messages = (await simulator.app_state("lark", APP)).messages
    assert [json.loads(str(m.body["content"]))["text"] for m in messages] == ["from elsewhere"]


async def test_the_demo_heals_three_faults_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "demo.log"
    program = await Program.start([COMMAND, "demo", "--json", "--seconds", "25"], output=output)
    below: set[int] = set()

    async def over() -> bool:
        below.update(process.pid for process in program.descendants())
        return program.returncode is not None

    await until(over, what="the demo ends", deadline_s=100)
    assert program.returncode == 0, program.text()
    summary = json.loads(program.text())
    assert len(summary["heals"]) == 3
    assert summary["answered"] >= summary["messages"] > 0
    assert len(below) >= 7  # simulator, supervisor, three children, two replacements
    assert not [pid for pid in below if is_alive(pid)]
