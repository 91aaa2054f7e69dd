"""Limits and abilities of the machine, against what the accounts need. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from longwire.doctor.facts import Fleet, Machine
from longwire.doctor.findings import Finding, Trouble, error, note, ok, warning

MB: Final = 1_000_000

SUPERVISOR_BYTES: Final = 60 * MB
"""The bound that the supervisor keeps with 100 accounts (T6 of the design's figures)."""
TEMPLATE_BYTES: Final = 40 * MB
FORKED_BYTES: Final = 8_500_000
SPAWNED_BYTES: Final = 32 * MB
"""Of a connected child's own, by docs/benchmarks.md: one that a template was forked for, and a fresh one."""

FILES_PER_ACCOUNT: Final = 5
FILES_BESIDES: Final = 128
"""Descriptors of the supervisor: 432 with 100 accounts (measured), all others among them."""

TASKS_PER_PROCESS: Final = 4
"""Threads of a child: 3 with each of the SDKs (measured), and one for a call that blocks."""

_ENOUGH: Final = 0.8
"""What is used beyond this share is no room for trouble."""
_EARLIEST_TIME: Final = 1_750_000_000
"""June 2025: a clock that shows less was never set."""


def judge(machine: Machine, fleet: Fleet | None, *, is_running: bool) -> Iterator[Finding]:
    """Return what is to be said of it.

    Args:
        machine: what it is.
        fleet: what is to run on it; `None`: not known.
        is_running: whether that runs already, and what it takes is taken.
    """
    if fleet is not None:
        yield from _open_files(machine, fleet)
        if not is_running:
            yield from _tasks(machine, fleet)
            yield from _memory(machine, fleet)
    yield from _cores(machine)
    yield from _abilities(machine)
    yield from _clocks(machine)


def _open_files(machine: Machine, fleet: Fleet) -> Iterator[Finding]:
    if machine.open_files is None:
        return
    need, limit = FILES_PER_ACCOUNT * fleet.accounts + FILES_BESIDES, machine.open_files
    text = f"{_count(limit)} descriptors allowed, {need} needed for {fleet.accounts} accounts"
    action = f"Raise the hard limit to {2 * need}: LimitNOFILE= of systemd, or ulimit -Hn."
    if limit < need:
        yield error("open_files", text, action, Trouble.TRY_AGAIN)
    elif limit * _ENOUGH < need:
        yield warning("open_files", text, action)
    else:
        yield ok("open_files", text)


def _tasks(machine: Machine, fleet: Fleet) -> Iterator[Finding]:
    need = TASKS_PER_PROCESS * fleet.processes
    limits = (
        ("processes", None if machine.is_root else machine.user_tasks_limit, machine.user_tasks, "ulimit -u"),
        ("pids", machine.cgroup_tasks_limit, machine.cgroup_tasks, "TasksMax= of systemd, or pids.max"),
    )
    for check, limit, used, where in limits:
        if limit is None:
            continue
        room = max(0.0, limit - (used or 0))
        text = f"room for {_count(room)} processes and threads, {need} needed"
        action = f"Raise the limit ({where}) by {2 * need}."
        if room < need:
            yield error(check, text, action, Trouble.TRY_AGAIN)
        elif room * _ENOUGH < need:
            yield warning(check, text, action)
        else:
            yield ok(check, text)


def _memory(machine: Machine, fleet: Fleet) -> Iterator[Finding]:
    rooms = [room for room in (machine.memory_available, machine.memory_limit) if room is not None]
    if not rooms:
        return
    room = min(rooms)
    need = (
        SUPERVISOR_BYTES
        + TEMPLATE_BYTES * fleet.templates
        + FORKED_BYTES * fleet.forked
        + SPAWNED_BYTES * fleet.spawned
    )
    text = (
        f"{room / MB:.0f} MB of memory free, some {need / MB:.0f} MB needed: {fleet.forked} accounts forked, "
        f"{FORKED_BYTES / MB:g} MB each, {fleet.spawned} spawned, {SPAWNED_BYTES / MB:g} MB each "
        f"(docs/benchmarks.md)"
    )
    action = (
        'Give it more memory (MemoryMax= of systemd, memory.max), or isolation = "fork" where it is spawn.'
    )
    if room < need:
        yield error("memory", text, action, Trouble.TRY_AGAIN)
    elif room * _ENOUGH < need:
        yield warning("memory", text, action)
    else:
        yield ok("memory", text)


def _cores(machine: Machine) -> Iterator[Finding]:
    pattern = machine.core_pattern or ""
    if pattern.startswith("|"):
        program = pattern[1:].split()[0] if pattern[1:].split() else "a program"
        yield note(
            "core_dumps",
            f"a process that crashes hands its memory, which holds secrets, to {program}, whatever the limit",
            "See to it that what it keeps is private.",
        )
    elif machine.core_limit:
        yield note(
            "core_dumps",
            "a process that crashes may write its memory, which holds secrets, to a file",
            "Set ulimit -c 0, or LimitCORE=0 of systemd.",
        )
    elif machine.core_limit is not None:
        yield ok("core_dumps", "no process writes its memory to a file")


def _abilities(machine: Machine) -> Iterator[Finding]:
    if not machine.is_linux:
        yield note("system", "not Linux: no pidfd and no F_SETSIG; accounts are spawned, not forked")
        return
    if machine.has_pidfd:
        yield ok("pidfd", "processes are addressed by descriptors")
    else:
        yield warning(
            "pidfd",
            "there is no pidfd_open: processes are signalled by their numbers, and a thread waits for each",
            'Use Linux 5.3 or newer, and allow pidfd_open in the sandbox; till then: isolation = "spawn".',
        )
    if not machine.has_setsig:
        yield warning(
            "lifeline",
            "F_SETSIG does not work: children that hang would outlive a supervisor that was killed",
            "Run it where the kernel has it; in a container that ends with the supervisor nothing is lost.",
        )
    if not machine.is_proc_readable:
        yield warning(
            "proc",
            "/proc does not show our own processes: memory limits and the state of hung children are lost",
            "Mount /proc, with hidepid at most 2.",
        )


def _clocks(machine: Machine) -> Iterator[Finding]:
    if machine.unix_time is not None and machine.unix_time < _EARLIEST_TIME:
        yield error(
            "clock",
            "the clock was never set: no certificate is valid yet",
            "Set it, and let a time service keep it: timedatectl set-ntp true",
            Trouble.TRY_AGAIN,
        )
    if machine.suspended_s is not None and machine.suspended_s >= 1:
        yield note(
            "suspend",
            f"the machine was suspended for {machine.suspended_s:.0f} s since it was booted; connections die "
            "of that",
        )


def _count(number: float) -> str:
    return "any number of" if number == float("inf") else f"{number:.0f}"
