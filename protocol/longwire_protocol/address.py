"""Endpoints: `ipc://PATH` and `tcp://HOST:PORT`, checked before ZeroMQ sees them."""

from __future__ import annotations

import os
from pathlib import Path

from longwire_protocol.errors import AddressError

MAX_IPC_PATH_BYTES = 107
"""`sun_path` of Linux is 108 bytes with its terminating zero (unix(7)); ZeroMQ cuts longer ones."""

IPC = "ipc://"
TCP = "tcp://"


def ipc(path: Path) -> str:
    """Return the endpoint of a socket file.

    Raises:
        AddressError: the path is longer than a Unix socket's name may be.
    """
    length = len(str(path).encode())
    if length > MAX_IPC_PATH_BYTES:
        raise AddressError(
            f"the socket path is {length} bytes long and the system allows {MAX_IPC_PATH_BYTES}: {path}"
        )
    return f"{IPC}{path}"


def resolve(endpoint: str, *, base: Path) -> str:
    """Return `endpoint` with a relative ipc path counted from `base`.

    Raises:
        AddressError: neither ipc nor tcp, without a path or port, or with too long a path.
    """
    if endpoint.startswith(IPC):
        path = endpoint.removeprefix(IPC)
        if not path or path.startswith("@"):
            raise AddressError(f"an ipc endpoint needs the path of a socket file: {endpoint!r}")
        try:
            return ipc(Path(os.path.normpath(base / Path(path).expanduser())))
        except RuntimeError as exc:
            raise AddressError(f"{endpoint!r} names a home folder that is not known") from exc
    if endpoint.startswith(TCP):
        host, _, port = endpoint.removeprefix(TCP).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) <= 0xFFFF:  # noqa: PLR2004
            raise AddressError(f"a tcp endpoint is tcp://HOST:PORT: {endpoint!r}")
        return endpoint
    raise AddressError(f"an endpoint begins with ipc:// or tcp://: {endpoint!r}")


def ipc_path(endpoint: str) -> Path | None:
    """Return the socket file of an ipc endpoint, `None` for another kind."""
    return Path(endpoint.removeprefix(IPC)) if endpoint.startswith(IPC) else None
