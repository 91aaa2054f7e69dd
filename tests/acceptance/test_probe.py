"""`longwire check --probe` and `account.check`: credentials tried without taking a connection."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import COMMAND, Program
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import ApiError, ApiHang
from longwire_protocol.errors import CommandError, RetCode

LARK, DING = "cli_00000000000000aa", "dingprobe"
NOBODY = "http://127.0.0.1:1"
"""Where nothing listens."""


async def probe(longwire: Longwire) -> tuple[int, dict[str, Any]]:
    """Run the verb; return its exit code and what it printed."""
    output = longwire.folder / "probe.json"
    program = await Program.start(
        [COMMAND, "-c", str(longwire.config), "check", "--probe", "--json"], output=output
    )
    code = await program.ended(deadline_s=60)
    return code, json.loads(output.read_text())


async def test_every_account_is_tried_and_no_connection_is_taken(
    simulator: Simulator, longwire: Longwire
) -> None:
    await simulator.register("lark", app="cli_bad", secret="another-secret")
    await simulator.fault(
        ApiError(platform="dingtalk", app="dingslow", status=429, code="limit", call="token")
    )
    longwire.configure(
        {
            "good": lark(simulator.url, LARK),
            "ding": dingtalk(simulator.url, DING),
            "bad": lark(simulator.url, "cli_bad"),
            "slow": dingtalk(simulator.url, "dingslow"),
            "lost": lark(NOBODY, "cli_lost"),
            "loop": {"connector": "loopback"},
        }
    )
    code, answer = await probe(longwire)
    assert code == 77, "the operator must act"
    assert not answer["ok"]
    found = {each["account"]: each for each in answer["accounts"]}
    assert [*found] == [*longwire.accounts]
    assert {name: (each["ok"], each["reason"], each["fault"]) for name, each in found.items()} == {
        "good": (True, None, None),
        "ding": (True, None, None),
        "bad": (False, "bad_credentials", "permanent"),
        "slow": (False, "rate_limited", "limited"),
        "lost": (False, "unreachable", "transient"),
        "loop": (True, None, None),
    }
    assert "app_secret" in found["bad"]["user_action"]
    assert not found["loop"]["was_tried"]
    assert abs(found["good"]["clock_ahead_s"]) < 5, "the simulator is on this machine"
    assert abs(found["bad"]["clock_ahead_s"]) < 5
    for platform, app in (("lark", LARK), ("dingtalk", DING), ("lark", "cli_bad")):
        state = await simulator.app_state(platform, app)
        assert (state.discovery_calls, state.connections_total) == (0, 0)
    assert "secret-of-" not in json.dumps(answer)


async def test_a_hundred_accounts_are_tried_by_one_helper(simulator: Simulator, longwire: Longwire) -> None:
    longwire.configure({f"bot-{n}": lark(simulator.url, f"cli_{n:016}") for n in range(100)})
    code, answer = await probe(longwire)
    assert code == 0
    assert sum(each["ok"] for each in answer["accounts"]) == 100


async def test_what_cannot_be_asked_may_be_tried_again(longwire: Longwire) -> None:
    longwire.configure({"lost": dingtalk(NOBODY, DING)})
    code, answer = await probe(longwire)
    assert code == 75
    assert answer["accounts"][0]["reason"] == "discovery_unreachable"


async def test_a_mistake_in_the_file_comes_first(longwire: Longwire) -> None:
    longwire.configure({"bot": {"connector": "lark"}})
    code, answer = await probe(longwire)
    assert code == 78
    assert {problem["place"] for problem in answer["problems"]} == {
        "accounts.bot.app_id",
        "accounts.bot.app_secret",
    }
    assert answer["accounts"] == []


async def test_an_account_of_a_running_supervisor_is_tried_in_whatever_state(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, LARK), "ding": dingtalk(simulator.url, DING)})
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("bot")
    found = await longwire.client.call("account.check", account="bot", deadline_s=30)
    assert (found["ok"], found["connector"], found["reason"]) == (True, "lark", None)
    await simulator.register("dingtalk", app=DING, secret="another-secret")
    await longwire.client.call("account.stop", account="ding")
    await longwire.until_state("ding", "stopped")
    found = await longwire.client.call("account.check", account="ding", deadline_s=30)
    assert (found["ok"], found["reason"], found["error_code"]) == (False, "bad_credentials", "authFailed")
    after = await longwire.account("bot")
    assert (after["state"], after["connection"]) == ("online", before["connection"])
    assert (await simulator.app_state("lark", LARK)).connections_total == 1
    with pytest.raises(CommandError) as refused:
        await longwire.client.call("account.check", account="nobody")
    assert refused.value.retcode == RetCode.UNKNOWN_ACCOUNT


async def test_secrets_reach_the_helper_by_its_stdin_alone_and_a_stop_ends_it(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, LARK)})
    await longwire.start()
    await longwire.until_online()
    await simulator.fault(ApiHang(platform="lark", call="token"))
    checks = [
        asyncio.create_task(longwire.client.call("account.check", account="bot", deadline_s=30))
        for _ in range(4)
    ]

    async def helpers() -> list[psutil.Process]:
        found = [p for p in longwire.program.descendants() if "longwire_connectors.probe" in p.cmdline()]
        return found if len(found) == 4 else []

    for helper in await until(helpers, what="a helper for each"):
        for place in ("cmdline", "environ"):
            content = await asyncio.to_thread(Path(f"/proc/{helper.pid}/{place}").read_bytes)
            assert b"secret-of-" not in content
        helper.suspend()
    with pytest.raises(CommandError) as refused:
        await longwire.client.call("account.check", account="bot")
    assert refused.value.retcode == RetCode.SATURATED
    code, _ = await longwire.stop()  # within 20 s, and what is frozen would be waited for for 27
    assert code == 0
    for check in checks:
        check.cancel()
    await asyncio.wait(checks)
