"""A client of the supervisor, for the time of one verb."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from longwire.cli.exits import NotPermitted
from longwire.config import client_endpoint
from longwire_protocol import address
from longwire_protocol.client import Client
from longwire_protocol.errors import AddressError, ConfigError, Problem

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 3.0
"""How long a supervisor may take to answer: one that was just started is waited for, nobody is bored."""

VARIABLE: Final = "LONGWIRE_ENDPOINT"


def ask(config: Path, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, do the work, disconnect, and return what the work returned.

    `config` is the configuration's path, as click's `obj` carries it; the file need not be there.

    Raises:
        LongwireError: no endpoint is known, nobody answers there, or a command was refused.
    """
    where = endpoint(config, os.environ)
    _refuse_foreign(where)
    return asyncio.run(_ask(where, work))


def endpoint(config: Path, environ: Mapping[str, str]) -> str:
    """Return where the supervisor is; of the file, only what that needs is looked at.

    Raises:
        AddressError: `LONGWIRE_ENDPOINT` is none.
        ConfigError: without it, the file gives none.
    """
    try:
        if given := environ.get(VARIABLE):
            return address.resolve(given, base=Path.cwd())
        return client_endpoint(config)
    except (AddressError, RuntimeError) as exc:  # RuntimeError: no home folder for a `~user`
        raise AddressError(f"{VARIABLE}: {exc}") from exc
    except ConfigError as exc:
        hint = Problem("", f"the supervisor is found by {VARIABLE}, or by the file that -c names")
        raise ConfigError([*exc.problems, hint]) from exc


async def _ask(where: str, work: Callable[[Client], Awaitable[T]]) -> T:
    async with Client(where, connect_timeout_s=CONNECT_TIMEOUT_S) as client:
        return await work(client)


def _refuse_foreign(where: str) -> None:
    """Say at once what ZeroMQ would try without end: the socket is another user's."""
    path = address.ipc_path(where)
    if path is None:
        return
    try:
        path.stat()
    except PermissionError:
        is_ours = False
    except OSError:
        return  # not there yet
    else:
        is_ours = os.access(path, os.W_OK)
    if not is_ours:
        raise NotPermitted(f"you may not connect to {where}: only the supervisor's own user may")
