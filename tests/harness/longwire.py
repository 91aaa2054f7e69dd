"""A supervisor under test: its configuration, its process, its client, its log."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.processes import COMMAND, Program, is_alive
from harness.waiting import DEADLINE_S, until
from longwire import Client

FORBIDDEN = (
    "never retrieved",
    "was destroyed but it is pending",
    "attached to a different loop",
    "Event loop is closed",
    "Traceback",
)
"""Log texts that show a loop misused (scenario A6), or a bug."""

_SECRET_IN_URL = re.compile(r"(?:access_key|ticket)=(?!\[redacted\])[\w-]")

Settings = Mapping[str, Any]

_ISOLATION = {"isolation": os.environ["LONGWIRE_ISOLATION"]} if "LONGWIRE_ISOLATION" in os.environ else {}
"""So the same tests can be run with fresh processes: `LONGWIRE_ISOLATION=spawn`."""

about_templates = pytest.mark.skipif(_ISOLATION.get("isolation") == "spawn", reason="there are no templates")
"""Marks tests that have no meaning without."""


def lark(url: str, app: str, **more: Any) -> dict[str, Any]:
    """Return an account of the `lark` connector on the simulator."""
    return {
        "connector": "lark",
        "tenant": "acme",
        "app_id": app,
        "app_secret": f"secret-of-{app}",
        "domain": url,
        **more,
    }


def dingtalk(url: str, app: str, **more: Any) -> dict[str, Any]:
    """Return an account of the `dingtalk` connector on the simulator, with a backoff fit for a test."""
    return {
        "connector": "dingtalk",
        "tenant": "acme",
        "client_id": app,
        "client_secret": f"secret-of-{app}",
        "api_base": url,
        **more,
    }


class Longwire:
    """One supervisor, started by the installed command in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "longwire.toml"
        self.endpoint = f"ipc://{folder}/var/longwire.sock"
        self.accounts: dict[str, dict[str, Any]] = {}
        self.allowed: set[str] = set()
        """Forbidden log texts that this test provokes."""
        self._program: Program | None = None
        self._client: Client | None = None

    @property
    def program(self) -> Program:
        """The supervisor's process."""
        assert self._program is not None, "not started"
        return self._program

    @property
    def client(self) -> Client:
        """A client of it."""
        assert self._client is not None, "not started"
        return self._client

    @property
    def log_file(self) -> Path:
        """Where its log goes."""
        return self.folder / "longwire.log"

    def configure(
        self,
        accounts: Mapping[str, Settings],
        *,
        defaults: Settings | None = None,
        webhooks: Mapping[str, Settings] | None = None,
        **supervisor: Any,
    ) -> None:
        """Write its configuration; where it says nothing of isolation, the environment may."""
        defaults = {**_ISOLATION, **(defaults or {})}
        self.accounts = {name: dict(account) for name, account in accounts.items()}
        lines = ["[supervisor]", *_toml(supervisor), "[defaults]", *_toml(defaults)]
        for name, account in accounts.items():
            lines += [f"[accounts.{name}]", *_toml(account)]
        for name, target in (webhooks or {}).items():
            lines += [f"[webhooks.{name}]", *_toml(target)]
        self.config.write_text("\n".join(lines) + "\n")

    async def start(self, *, env: Mapping[str, str] | None = None, log_level: str = "debug") -> None:
        """Start it and connect a client."""
        command = [COMMAND, "-c", str(self.config), "run", "--log-format", "json", "--log-level", log_level]
        self._program = await Program.start(command, output=self.log_file, env=env, cwd=self.folder)
        self._client = await Client(self.endpoint, connect_timeout_s=DEADLINE_S).__aenter__()

    async def stop(self) -> tuple[int, float]:
        """Stop it as an operator would; return exit code and seconds."""
        children = [child.pid for child in self.program.descendants()]
        outcome = await self.program.stop()
        await self._disconnect()
        assert not [pid for pid in children if is_alive(pid)]
        return outcome

    async def stop_and_sweep(self) -> None:
        """Stop it and remove what is on disk: a large journal, of which pytest would keep three."""
        code, _ = await self.stop()
        assert code == 0, self.log()[-3000:]
        shutil.rmtree(self.folder / "var")

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self.program.kill()
        await self._disconnect()

    async def close(self) -> None:
        """Bring it down if it still runs, and look at its log."""
        if self._program is not None and self._program.returncode is None:
            code, _ = await self.stop()
            assert code == 0, self.log()[-3000:]
        await self._disconnect()
        self.check_log()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)

    # Looking at it.

    def log(self) -> str:
        """Return its whole log."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the lines of its log."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def log_events(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines with this event name."""
        return [line for line in self.log_lines() if line["event"] == event]

    def check_log(self) -> None:
        """Assert that nothing in it shows a misused loop, a bug or a secret."""
        log = self.log()
        for text in FORBIDDEN:
            assert text in self.allowed or text not in log, _around(log, text)
        for account in self.accounts.values():
            for key in ("app_secret", "client_secret"):
                assert account.get(key) is None or account[key] not in log, f"{key} is in the log"
        found = _SECRET_IN_URL.search(log)
        assert found is None, _around(log, found.group() if found else "")

    async def status(self) -> dict[str, Any]:
        """Return what `status` says."""
        data: dict[str, Any] = await self.client.call("status")
        return data

    async def account(self, name: str) -> dict[str, Any]:
        """Return the status of one account."""
        data: dict[str, Any] = await self.client.call("account.get", account=name)
        return data

    async def until_state(self, name: str, *states: str, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """Wait until an account is in one of these states; return its status."""

        async def look() -> dict[str, Any] | None:
            account = await self.account(name)
            return account if account["state"] in states else None

        return await until(look, what=f"{name} is {' or '.join(states)}", deadline_s=deadline_s)

    async def until_online(self, *names: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until these accounts, or all, are online."""
        for name in names or self.accounts:
            await self.until_state(name, "online", deadline_s=deadline_s)


async def seconds_until(look: Any, *, what: str, deadline_s: float = DEADLINE_S) -> float:
    """Wait for a thing and return how long it took."""
    begun = time.monotonic()
    await until(look, what=what, deadline_s=deadline_s)
    return time.monotonic() - begun


def _toml(values: Settings) -> list[str]:
    """Return lines of TOML; JSON's texts, numbers, booleans and arrays are TOML's, and maps go inside."""
    return [f"{key} = {_inline(value)}" for key, value in values.items()]


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {_inline(each)}" for key, each in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(value)


def _around(log: str, text: str) -> str:
    at = log.find(text)
    return f"{text!r} is in the log: ...{log[max(0, at - 1500) : at + 1500]}"
