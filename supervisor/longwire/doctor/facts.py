"""What a doctor looks at. `None`: it could not be read, which is a finding of its own, or does not apply."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from longwire_protocol.declaration import Requirement
from longwire_protocol.errors import Problem


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration wants."""

    forked: int = 0
    """Accounts whose process is forked from a template."""
    spawned: int = 0
    templates: int = 0
    couriers: int = 0
    """1 where there are webhooks."""

    @property
    def accounts(self) -> int:
        """All of them."""
        return self.forked + self.spawned

    @property
    def processes(self) -> int:
        """Children, templates and courier, and as many successors as boot at once."""
        return self.accounts + self.templates + self.couriers + _SUCCESSORS


_SUCCESSORS = 4


class Sdk(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector in use needs in an interpreter."""

    connector: str
    python: str
    """The interpreter's path."""
    requirements: tuple[Requirement, ...]


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration and installation."""

    config: str
    """The file's path."""
    problems: tuple[Problem, ...]
    version: tuple[int, int, int]
    """Of the Python that runs this."""
    implementation: str
    longwire: str
    sdks: tuple[Sdk, ...] = ()
    unsigned: tuple[str, ...] = ()
    """Webhooks without a secret."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and abilities. Sizes in bytes; `inf` is no limit."""

    is_linux: bool = True
    is_root: bool = False
    open_files: float | None = None
    """The hard limit: the supervisor raises its own to it."""
    user_tasks_limit: float | None = None
    """Processes and threads that the user may have (RLIMIT_NPROC)."""
    user_tasks: int | None = None
    cgroup_tasks_limit: float | None = None
    cgroup_tasks: int | None = None
    memory_available: float | None = None
    """Of the machine, without swapping."""
    memory_limit: float | None = None
    """What the cgroup leaves, its reclaimable cache included."""
    core_limit: float | None = None
    core_pattern: str | None = None
    has_pidfd: bool = True
    has_setsig: bool = True
    is_proc_readable: bool = True
    """Whether memory and state of our own processes can be read there."""
    unix_time: float | None = None
    suspended_s: float | None = None
    """How long the machine was suspended since it was booted."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The data directory and what is in it."""

    path: str
    exists: bool = True
    is_folder: bool = True
    """Whether what is there is a directory."""
    is_ours: bool = True
    mode: int | None = None
    """Permission bits."""
    is_writable: bool | None = None
    """By this user; of a directory that is not there, whether it can be made."""
    file_system: str | None = None
    free: int | None = None
    """Bytes that this user may fill."""
    journal_bytes: int = 0
    journal_max_bytes: int | None = None
    children_socket_bytes: int = 0
    """Length of the path of the children's own socket."""
    stale_sockets: tuple[str, ...] = ()
    """Socket files where nobody listens."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor of the data directory, if there is one."""

    is_locked: bool | None = None
    """Whether a process holds the directory."""
    holder: str | None = None
    """Its pid, as the lock says."""
    endpoint: str | None = None
    is_ours: bool = True
    """Whether this user may connect."""
    version: str | None = None
    """Of the supervisor that answered; `None` where none did."""
    state: str | None = None
    reason: str | None = None
    not_online: Mapping[str, str] = {}
    """State of each account that is neither online nor stopped."""
    not_delivering: Mapping[str, str] = {}
    """State of each webhook that waits for something."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of trying an account's credentials."""

    account: str
    ok: bool
    is_final: bool
    """Whether it was refused for good."""
    text: str
    user_action: str | None
    clock_ahead_s: float | None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    software: Software
    fleet: Fleet | None
    """`None` where the configuration cannot be used."""
    machine: Machine
    place: Place | None
    running: Running
    proxies: Mapping[str, str]
    """Variables that name proxies, by name as they are written."""
    tried: tuple[Tried, ...] = ()
    unreadable: Mapping[str, str] = {}
    """What could not be read, and why."""
