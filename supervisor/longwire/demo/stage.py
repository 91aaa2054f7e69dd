"""The demo's programs: a simulator, a supervisor, and the admin plane that makes things happen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from longwire_protocol.errors import LongwireError

LARK_APPS = {"acme-lark": "cli_00000000000000a1", "beta-lark": "cli_00000000000000b2"}
DING_APPS = {"acme-ding": "dingdemo"}

_SCALE = "--time-scale=5"
"""Lark repeats what was not acknowledged after 15 s; nobody wants to wait for that in a demo."""

_ANNOUNCE_S = 30.0
_STOP_S = 8.0
_HTTP_S = 10.0


class StageError(LongwireError):
    """A program of the demo did not do what it should; the text says where its log is."""


class Stage:
    """What the demo plays on: the simulator's admin plane and the supervisor's endpoint."""

    def __init__(self, folder: Path, url: str, session: aiohttp.ClientSession) -> None:
        self.endpoint = f"ipc://{folder}/var/longwire.sock"
        self.log = folder / "longwire.log"
        self._url = url
        self._session = session

    async def say(self, account: str, text: str, *, user: int) -> None:
        """Let a user write to the bot of an account, in a chat of the two."""
        if account in LARK_APPS:
            event = {"app": LARK_APPS[account], "text": text, "chat": f"oc_demo_{user}"}
            await self._post("lark/events", event)
        else:
            event = {"app": DING_APPS[account], "text": text, "conversation": f"cidDemo{user}=="}
            await self._post("dingtalk/events", event)

    async def fault(self, name: str, account: str, **fields: Any) -> str:
        """Put a fault of the Lark platform in force for an account; return its id."""
        body = {"name": name, "platform": "lark", "app": LARK_APPS[account], **fields}
        return str((await self._post("faults", body))["id"])

    async def clear(self, fault: str) -> None:
        """End a fault."""
        async with self._session.delete(f"{self._url}/_sim/faults/{fault}") as response:
            response.raise_for_status()

    async def drop(self, account: str) -> None:
        """Cut the connection of a Lark account."""
        await self._post("drop", {"platform": "lark", "app": LARK_APPS[account], "how": "abort"})

    async def counts(self) -> dict[str, dict[str, Any]]:
        """Return what the simulator counted, by account."""
        async with self._session.get(f"{self._url}/_sim/state") as response:
            response.raise_for_status()
            state = msgspec.json.decode(await response.read())
        lark = {name: state["lark"].get(app, {}) for name, app in LARK_APPS.items()}
        return lark | {name: state["dingtalk"].get(app, {}) for name, app in DING_APPS.items()}

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._session.post(f"{self._url}/_sim/{path}", data=msgspec.json.encode(body)) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read())


@asynccontextmanager
async def stage(folder: Path) -> AsyncGenerator[Stage, None]:
    """Start simulator and supervisor in `folder`; both are gone when this is left.

    Raises:
        StageError: one of them did not start.
    """
    async with _program(folder / "simulator.log", "simulate", "--json", _SCALE, pipe=True) as simulator:
        url = await _announced(simulator, folder)
        config = folder / "longwire.toml"
        config.write_text(_config(url))
        timeout = aiohttp.ClientTimeout(total=_HTTP_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            _program(folder / "longwire.log", "-c", str(config), "run", "--log-format", "json"),
        ):
            yield Stage(folder, url, session)


@asynccontextmanager
async def _program(
    log: Path, *arguments: str, pipe: bool = False
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "longwire.cli",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if pipe else file,
            stderr=file,
            env={k: v for k, v in os.environ.items() if k not in {"LONGWIRE_ENDPOINT", "LONGWIRE_CONFIG"}},
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _announced(simulator: asyncio.subprocess.Process, folder: Path) -> str:
    assert simulator.stdout is not None  # noqa: S101  # it was asked for
    try:
        async with asyncio.timeout(_ANNOUNCE_S):
            line = await simulator.stdout.readline()
        return str(msgspec.json.decode(line)["url"])
    except (TimeoutError, msgspec.DecodeError) as exc:
        raise StageError(f"the simulator did not start; see {folder / 'simulator.log'}") from exc


def _config(url: str) -> str:
    """Return a configuration with the defaults of the product: what heals here heals so in the wild."""
    lines = ["[supervisor]", 'data_dir = "var"']
    for name, app in LARK_APPS.items():
        lines += [
            f"[accounts.{name}]",
            'connector = "lark"',
            f'tenant = "{name.split("-")[0]}"',
            f'app_id = "{app}"',
            'app_secret = "demo-secret"',
            f'domain = "{url}"',
        ]
    for name, app in DING_APPS.items():
        lines += [
            f"[accounts.{name}]",
            'connector = "dingtalk"',
            f'tenant = "{name.split("-")[0]}"',
            f'client_id = "{app}"',
            'client_secret = "demo-secret"',
            f'api_base = "{url}"',
        ]
    return "\n".join(lines) + "\n"
