"""The data directory, its sockets, and the supervisor that uses it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from longwire.doctor.facts import Place, Running
from longwire.doctor.findings import Finding, Trouble, error, note, ok, warning
from longwire_protocol.address import MAX_IPC_PATH_BYTES

MIB: Final = 1 << 20

NETWORK: Final = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "glusterfs", "fuse.glusterfs",
        "fuse.sshfs", "fuse.s3fs", "ocfs2", "gfs2", "beegfs", "gpfs", "9p", "virtiofs",
    }
)  # fmt: skip
"""Where locks or shared memory do not hold between machines, or not at all (sqlite.org/wal.html)."""
VOLATILE: Final = frozenset({"tmpfs", "ramfs"})
LAYERED: Final = frozenset({"overlay", "overlayfs", "aufs"})

_LEAST_FREE: Final = 64 * MIB
_OTHERS: Final = 0o077
_NAMED: Final = 5


def judge(place: Place, running: Running) -> Iterator[Finding]:
    """Return what is to be said of them."""
    yield _directory(place)
    yield from _file_system(place)
    yield from _disk(place)
    yield from _sockets(place, running)


def _directory(place: Place) -> Finding:
    check, path = "data_dir", place.path
    if not place.exists:
        return _to_be_made(place)
    if not place.is_folder:
        return error(check, f"{path} is no directory", "Set data_dir to one.", Trouble.CONFIGURATION)
    if not place.is_ours:
        action = "Run this as its owner; or chown it to the user that runs longwire."
        return error(check, f"{path} belongs to another user", action, Trouble.NOT_PERMITTED)
    if place.is_writable is False:
        return error(check, f"{path} cannot be written", f"chmod 0700 {path}", Trouble.NOT_PERMITTED)
    if place.mode is not None and place.mode & _OTHERS:
        text = f"{path} has mode {place.mode:04o}: others can look into it; the next start makes it 0700"
        return warning(check, text, f"chmod 0700 {path}")
    return ok(check, f"{path} is ours alone")


def _to_be_made(place: Place) -> Finding:
    check, path = "data_dir", place.path
    if place.is_writable is False:
        action = "Make it, owned by the user that runs longwire, with mode 0700; or set data_dir."
        return error(check, f"{path} is not there and cannot be made", action, Trouble.NOT_PERMITTED)
    return ok(check, f"{path} is not there; the first start makes it")


def _file_system(place: Place) -> Iterator[Finding]:
    kind = place.file_system
    if kind is None:
        return
    if kind in NETWORK:
        yield error(
            "file_system",
            f"{place.path} is on {kind}: SQLite's write-ahead log and our locks do not hold there",
            "Set data_dir to a folder on a disk of this machine.",
            Trouble.CONFIGURATION,
        )
    elif kind in VOLATILE:
        yield warning(
            "file_system",
            f"{place.path} is on {kind}: after a reboot the journal is gone, with what was acknowledged",
            "Set data_dir to a folder on a disk.",
        )
    elif kind in LAYERED:
        yield warning(
            "file_system",
            f"{place.path} is in the container's own layer ({kind}): it is gone with the container",
            "Put data_dir on a volume.",
        )
    else:
        yield ok("file_system", f"{place.path} is on {kind}")


def _disk(place: Place) -> Iterator[Finding]:
    if place.free is None:
        return
    text = f"{place.free / MIB:.0f} MiB free on the disk of {place.path}"
    if place.free < _LEAST_FREE:
        action = "Make room: with a full disk nothing is acknowledged any more."
        yield error("disk", text, action, Trouble.TRY_AGAIN)
        return
    to_come = (place.journal_max_bytes or 0) - place.journal_bytes
    if place.free < to_come:
        text = f"{text}, and the journal may grow by {to_come / MIB:.0f} MiB"
        yield warning("disk", text, "Make room, or set journal_max_bytes to less.")
    else:
        yield ok("disk", text)


def _sockets(place: Place, running: Running) -> Iterator[Finding]:
    if place.children_socket_bytes > MAX_IPC_PATH_BYTES:
        yield note(
            "sockets",
            f"the path of the data directory is long ({place.children_socket_bytes} bytes for the children's "
            f"socket, {MAX_IPC_PATH_BYTES} are possible): that socket is in the system's temporary folder",
        )
    if place.stale_sockets and running.is_locked is False:
        yield note(
            "sockets",
            f"left by a supervisor that was killed: {', '.join(place.stale_sockets)}",
            "Nothing: the next start replaces them.",
        )


def judge_supervisor(running: Running, *, longwire: str) -> Iterator[Finding]:
    """Return what is to be said of the supervisor; `longwire` is the version of this command."""
    check, holder = "supervisor", f"pid {running.holder or 'unknown'}"
    if not running.is_ours:
        text = f"the socket {running.endpoint} belongs to another user"
        yield error(check, text, "Run this as the supervisor's own user.", Trouble.NOT_PERMITTED)
    elif running.version is None and running.is_locked:
        yield error(
            check,
            f"{holder} holds the data directory, and nobody answers at {running.endpoint}",
            "It starts, stops or hangs: look at longwire logs, or log.jsonl of the data directory.",
            Trouble.UNREACHABLE,
        )
    elif running.version is None:
        yield ok(check, "none runs with this configuration")
    else:
        yield from _answering(running, longwire)


def _answering(running: Running, longwire: str) -> Iterator[Finding]:
    check, who = "supervisor", f"longwire {running.version} at {running.endpoint}"
    if running.is_locked is False:
        yield warning(
            check,
            f"{who} answers, but holds another data directory than this configuration names",
            "Look which file each was started with; each needs an endpoint of its own.",
        )
    if running.version != longwire:
        text = f"{who} runs, and this command is {longwire}"
        yield warning(check, text, "Restart the supervisor: its files were replaced under it.")
    if running.state != "ok":
        text = f"{who} is {running.state}: {running.reason or 'it stops'}"
        yield warning(check, text, "See docs/operations.md, the supervisor's own states.")
    for state, text in _by_state(running.not_online):
        level = warning if state == "parked" else note
        yield level("accounts", text, "longwire status says why, and what to do.")
    for state, text in _by_state(running.not_delivering):
        say = warning if state in {"disabled", "refused"} else note
        yield say("webhooks", text, "longwire webhooks list says why.")
    if running.is_locked is not False and running.version == longwire and running.state == "ok":
        yield ok(check, f"{who} runs (pid {running.holder or 'unknown'})")


def _by_state(states: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give each state with who is in it, by name."""
    for state in sorted({*states.values()}):
        names = [name for name, its in states.items() if its == state]
        text = f"{len(names)} in {state}: {', '.join(names[:_NAMED])}"
        yield state, text + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
