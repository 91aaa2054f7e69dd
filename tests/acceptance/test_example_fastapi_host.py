"""The example of a FastAPI host with two tenants, as its own document says to run it."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from harness.processes import Program
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

FOLDER = Path(__file__).parents[2] / "examples" / "fastapi_host"
LARK, DING = "cli_fedcba9876543210", "dingbeta"


@pytest.fixture(name="program")
async def program_fixture(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Program]:
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(FOLDER), "app:app", "--port", "0"]
    env = {"PLATFORM": simulator.url, "DATA_DIR": str(tmp_path / "var")}
    program = await Program.start(command, output=tmp_path / "host.log", env=env, cwd=tmp_path)
    yield program
    children = program.descendants()
    code, _ = await program.stop()
    assert code in {0, -15}, program.text()  # uvicorn ends itself by the signal, after its shutdown
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in program.text()
    assert "secret-" not in program.text()


@pytest.fixture(name="http")
async def http_fixture(program: Program) -> AsyncIterator[aiohttp.ClientSession]:
    async def announced() -> re.Match[str] | None:
        assert program.returncode is None, program.text()
        return re.search(r"running on (http://127\.0\.0\.1:\d+)", program.text())

    found = await until(announced, what="the host listens")
    async with aiohttp.ClientSession(found[1]) as session:
        yield session


async def test_two_tenants_have_their_own_accounts_and_events(
    simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    async def get(path: str) -> Any:
        async with http.get(path) as answer:
            return await answer.json()

    async def is_converged() -> bool:
        return bool((await get("/health"))["is_converged"])

    await until(is_converged, what="both accounts are online")
    await simulator.inject_lark(LarkEvent(app=LARK, chat="oc_1", text="hello"))
    await simulator.inject_dingtalk(DingTalkEvent(app=DING, text="hello"))

    async def are_answered() -> bool:
        state = await simulator.state()
        said = [str(state.lark[LARK].messages), str(state.dingtalk[DING].messages)]
        return "acme heard: hello" in said[0] and "beta heard: hello" in said[1]

    await until(are_answered, what="each tenant has answered its own message")
    (acme,) = await get("/tenants/acme/accounts")
    assert acme["account"] == "acme-lark"
    foreign = {"account": "acme-lark", "chat": "oc_1", "text": "not mine"}
    async with http.post("/tenants/beta/messages", json=foreign) as answer:
        assert answer.status == 400
    async with http.post("/tenants/acme/messages", json=foreign) as answer:
        assert (answer.status, "message_id" in await answer.json()) == (200, True)
    unknown = {"beta-ding": {"connector": "dingtalk", "client_id": "x", "client_secret": "vault:nobody"}}
    async with http.put("/tenants/beta/accounts", json=unknown) as answer:
        assert answer.status == 422
        assert "accounts.beta-ding.client_secret: the host's vault failed" in await answer.text()
    async with http.put("/tenants/beta/accounts", json={}) as answer:
        assert await answer.json() == {"added": [], "changed": [], "removed": ["beta-ding"]}
    await until(is_converged, what="the removed account is gone")
    (same,) = await get("/tenants/acme/accounts")
    assert same["pid"] == acme["pid"], "who is unchanged is not touched"
