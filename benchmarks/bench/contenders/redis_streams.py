"""Redis Streams with redis-py: the system's redis-server, the client from the dependency group `bench`."""

from __future__ import annotations

import importlib.util
import shutil
from functools import partial

from bench.contenders.carrying import Carried, Contender, running, through
from bench.stage import Bench
from harness.waiting import until

NAME = "Redis Streams"
_SERVER = "redis-server"
_SETTINGS = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "everysec",
    # In its favour: no snapshots beside the log, and no rewriting of the log while it is measured.
    "save": "",
    "auto-aof-rewrite-percentage": "0",
}
_WRITTEN = "written to its log before the producer's reply, and to the disk (fsync) once a second"


def contender(name: str, *, dedup: str, promise: str) -> Contender:
    """Return one; `dedup` is as `programs/redis_streams.py` takes it."""
    return Contender(
        name=name, promise=f"{_WRITTEN}; {promise}", carry=partial(_carry, dedup=dedup), missing=_missing
    )


def _missing() -> str | None:
    if shutil.which(_SERVER) is None:
        return "redis-server is not installed"
    return None if importlib.util.find_spec("redis") else "redis-py is not installed"


async def _carry(bench: Bench, count: int, *, dedup: str) -> Carried:
    folder = bench.new_folder()
    socket = folder / "redis"
    settings = {**_SETTINGS, "dir": str(folder), "unixsocket": str(socket)}
    command = [_SERVER, *(word for key, value in settings.items() for word in (f"--{key}", value))]
    async with running(command, output=folder / "server.log") as core:

        async def listens() -> bool:
            assert core.returncode is None, core.text()
            return socket.exists()

        await until(listens, what="the Redis server listens")
        return await through(
            core, folder=folder, program="redis_streams", target=str(socket), count=count, more=[dedup]
        )
