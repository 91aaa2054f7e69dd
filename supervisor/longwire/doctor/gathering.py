"""Looks at everything and changes nothing. What cannot be read is noted, and is no reason to fail."""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import resource
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil
from msgspec.structs import replace

from longwire.config import Config, Describer, client_endpoint, data_dir, load
from longwire.doctor import cgroups
from longwire.doctor.facts import Facts, Fleet, Machine, Place, Running, Sdk, Software, Tried
from longwire.doctor.network import PROXY_VARIABLES
from longwire.interpreter import program_of
from longwire.lock import JOURNAL
from longwire.nursery import kind_of
from longwire.probe import Checked, Prober
from longwire_protocol.address import ipc_path
from longwire_protocol.client import Client
from longwire_protocol.declaration import ConnectorSpec
from longwire_protocol.errors import ConfigError, LongwireError
from longwire_protocol.link import Fault
from longwire_protocol.version import __version__

T = TypeVar("T")

ANSWER_S: Final = 3.0
"""How long a supervisor may take to answer; one that is well takes milliseconds."""
_CONNECT_S: Final = 1.0

_UNREADABLE: Final = (
    OSError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, psutil.Error
)  # fmt: skip
"""What systems answer that lack something, or show it in another form."""


def gather(config: Path, *, environ: Mapping[str, str], probe: bool = False) -> Facts:
    """Return what there is to know.

    Args:
        config: the configuration's path; it need not be there.
        environ: where `env:` secrets and proxies are.
        probe: whether to try the credentials on the platforms.
    """
    return _Gathering(config.absolute(), environ).facts(probe=probe)


class _Remembering:
    """Asks interpreters for their connectors, and remembers the answers."""

    def __init__(self) -> None:
        self.answers: dict[str | None, Mapping[str, ConnectorSpec]] = {}
        self._describe = Describer()

    def __call__(self, python: str | None) -> Mapping[str, ConnectorSpec]:
        self.answers[python] = found = self._describe(python)
        return found


class _Gathering:
    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self._unreadable: dict[str, str] = {}

    def facts(self, *, probe: bool) -> Facts:
        described = _Remembering()
        found = self._config(described)
        config = found if isinstance(found, Config) else None
        place, running = self._place(config)
        tried = Prober(environ=self._environ)(config.accounts.values()) if probe and config else []
        return Facts(
            software=self._software(found, described),
            fleet=_fleet(config) if config else None,
            machine=self._machine(),
            place=place,
            running=running,
            proxies={k: v for k, v in self._environ.items() if v and k.lower() in PROXY_VARIABLES},
            tried=tuple(map(_tried, tried)),
            unreadable=self._unreadable,
        )

    def _read(self, what: str, look: Callable[[], T]) -> T | None:
        try:
            return look()
        except _UNREADABLE as exc:
            self._unreadable[what] = f"{type(exc).__name__}: {exc}"
            return None

    # Configuration and installation.

    def _config(self, described: _Remembering) -> Config | ConfigError:
        try:
            return load(self._path, specs=described, environ=self._environ)
        except ConfigError as exc:
            return exc

    def _software(self, found: Config | ConfigError, described: _Remembering) -> Software:
        return Software(
            config=str(self._path),
            problems=() if isinstance(found, Config) else found.problems,
            version=sys.version_info[:3],
            implementation=platform.python_implementation(),
            longwire=__version__,
            sdks=_sdks(found, described) if isinstance(found, Config) else (),
            unsigned=_unsigned(found) if isinstance(found, Config) else (),
        )

    # The machine.

    def _machine(self) -> Machine:
        room = self._read("cgroup", cgroups.room) or cgroups.Room()
        return Machine(
            is_linux=sys.platform == "linux",
            is_root=os.geteuid() == 0,
            open_files=_limit(resource.RLIMIT_NOFILE, 1),
            user_tasks_limit=_limit(resource.RLIMIT_NPROC, 0),
            user_tasks=self._read("processes", _user_tasks),
            cgroup_tasks_limit=room.tasks_limit,
            cgroup_tasks=room.tasks,
            memory_available=self._read("memory", lambda: float(psutil.virtual_memory().available)),
            memory_limit=room.memory,
            core_limit=_limit(resource.RLIMIT_CORE, 0),
            core_pattern=self._read("core_pattern", _core_pattern),
            has_pidfd=_works(lambda: os.close(os.pidfd_open(os.getpid()))),
            has_setsig=_works(_set_a_signal),
            is_proc_readable=_works(lambda: Path("/proc/self/smaps_rollup").read_bytes()),
            unix_time=time.time(),
            suspended_s=self._read("suspend", _suspended_s),
        )

    # The data directory and the supervisor.

    def _place(self, config: Config | None) -> tuple[Place | None, Running]:
        try:
            folder = config.supervisor.data_dir if config else data_dir(self._path)
            endpoint = config.supervisor.endpoints[0] if config else client_endpoint(self._path)
        except ConfigError:
            return None, Running()  # a mistake, which is among the configuration's
        running = self._running(folder, endpoint)
        nearest = next((each for each in (folder, *folder.parents) if _is_there(each)), Path("/"))
        info = self._read("data_dir", folder.stat) if nearest == folder else None
        sockets = [path for path in (ipc_path(endpoint), folder / "children.sock") if path is not None]
        place = Place(
            path=str(folder),
            exists=nearest == folder,
            is_ours=info is None or info.st_uid == os.geteuid(),
            mode=None if info is None else stat.S_IMODE(info.st_mode),
            is_folder=nearest != folder or nearest.is_dir(),
            is_writable=nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK),
            file_system=self._read("file_system", lambda: _file_system(nearest)),
            free=self._read("disk", lambda: shutil.disk_usage(nearest).free),
            journal_bytes=self._read("journal", lambda: _size(folder / JOURNAL)) or 0,
            journal_max_bytes=config.supervisor.journal_max_bytes if config else None,
            children_socket_bytes=len(os.fsencode(folder / "children.sock")),
            stale_sockets=tuple(str(path) for path in sockets if _is_stale(path)),
        )
        return place, running

    def _running(self, folder: Path, endpoint: str) -> Running:
        is_locked, holder = self._read("lock", lambda: _lock(folder / "lock")) or (None, None)
        running = Running(is_locked=is_locked, holder=holder, endpoint=endpoint)
        path = ipc_path(endpoint)
        if path is None or not _is_socket(path) or _is_stale(path):
            return running
        if not os.access(path, os.W_OK):
            return replace(running, is_ours=False)
        try:
            data = asyncio.run(_ask(endpoint))
        except LongwireError:
            return running
        known = self._read("supervisor", lambda: _answered(data, running))
        return running if known is None else known


async def _ask(endpoint: str) -> dict[str, Any]:
    async with Client(endpoint, connect_timeout_s=ANSWER_S) as client:
        data: dict[str, Any] = await client.call("status", deadline_s=ANSWER_S)
        return data


def _answered(data: Mapping[str, Any], running: Running) -> Running:
    supervisor = data["supervisor"]
    return replace(
        running,
        version=str(supervisor.get("version")),
        state=str(supervisor.get("state")),
        reason=supervisor.get("reason"),
        not_online={
            each["account"]: each["state"]
            for each in data["accounts"]
            if each["state"] not in {"online", "stopped"}
        },
        not_delivering={
            each["name"]: each["state"]
            for each in data.get("webhooks", ())
            if each["state"] not in {"opening", "delivering"}
        },
    )


def _fleet(config: Config) -> Fleet:
    accounts = config.accounts.values()
    forked = [account for account in accounts if account.settings.isolation == "fork"]
    return Fleet(
        forked=len(forked),
        spawned=len(accounts) - len(forked),
        templates=len({kind_of(account) for account in forked}),
        couriers=1 if config.webhooks else 0,
    )


def _unsigned(config: Config) -> tuple[str, ...]:
    return tuple(name for name, webhook in config.webhooks.items() if not webhook.target.secrets)


def _sdks(config: Config, described: _Remembering) -> tuple[Sdk, ...]:
    used = sorted(
        {(account.connector, account.settings.python or "") for account in config.accounts.values()}
    )
    return tuple(
        Sdk(
            connector=connector,
            python=program_of(python or None),
            requirements=described.answers[python or None][connector].requirements,
        )
        for connector, python in used
    )


def _tried(checked: Checked) -> Tried:
    return Tried(
        account=checked.account,
        ok=checked.ok,
        is_final=checked.fault is Fault.PERMANENT,
        text=str(checked),
        user_action=checked.user_action,
        clock_ahead_s=checked.clock_ahead_s,
    )


def _limit(which: int, index: int) -> float:
    value = resource.getrlimit(which)[index]
    return float("inf") if value == resource.RLIM_INFINITY else float(value)


def _works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (OSError, AttributeError):
        return False
    return True


def _set_a_signal() -> None:
    """Do what a child's lifeline needs, on a pipe that nobody else has; without `O_ASYNC` nothing is sent."""
    ends = os.pipe()
    try:
        fcntl.fcntl(ends[0], fcntl.F_SETSIG, signal.SIGKILL)
    finally:
        for end in ends:
            os.close(end)


def _core_pattern() -> str | None:
    path = Path("/proc/sys/kernel/core_pattern")
    return path.read_text().strip() if sys.platform == "linux" else None


def _suspended_s() -> float | None:
    if sys.platform != "linux":
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _user_tasks() -> int:
    uid, count = os.getuid(), 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids, threads = process.info["uids"], process.info["num_threads"]
        count += (threads or 1) if uids is not None and uids.real == uid else 0
    return count


def _file_system(path: Path) -> str:
    """Return the type of what is mounted nearest above the path."""
    mounts = {partition.mountpoint: partition.fstype for partition in psutil.disk_partitions(all=True)}
    resolved = path.resolve()
    return next(mounts[str(each)] for each in (resolved, *resolved.parents) if str(each) in mounts)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _lock(path: Path) -> tuple[bool, str | None]:
    """Return whether the lock is held, and by whom.

    It is taken for an instant, shared: a supervisor that starts in just this instant is told to try again.
    """
    if not path.exists():
        return False, None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True, os.pread(fd, 32, 0).decode(errors="replace").strip() or None
    else:
        return False, None
    finally:
        os.close(fd)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that this user may not enter
        return False


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _is_stale(path: Path) -> bool:
    """Whether nobody listens at a socket file."""
    if not _is_socket(path):
        return False
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_S)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False  # somebody else's, or too busy to say
    return False
