"""Endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwire_protocol.address import MAX_IPC_PATH_BYTES, ipc, ipc_path, resolve
from longwire_protocol.errors import AddressError

BASE = Path("/etc/longwire")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ipc://var/longwire.sock", "ipc:///etc/longwire/var/longwire.sock"),
        ("ipc:///run/longwire.sock", "ipc:///run/longwire.sock"),
        ("tcp://127.0.0.1:7788", "tcp://127.0.0.1:7788"),
        ("tcp://[::1]:7788", "tcp://[::1]:7788"),
        ("tcp://host.example:65535", "tcp://host.example:65535"),
    ],
)
def test_a_relative_path_counts_from_the_base_and_the_rest_stays(given: str, expected: str) -> None:
    assert resolve(given, base=BASE) == expected


def test_a_home_directory_may_be_written_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert resolve("ipc://~/l.sock", base=BASE) == "ipc:///home/me/l.sock"


def test_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(AddressError, match="no-such-user"):
        resolve("ipc://~no-such-user/l.sock", base=BASE)


@pytest.mark.parametrize("given", ["ipc://", "ipc://@abstract"])
def test_an_ipc_endpoint_needs_a_path(given: str) -> None:
    with pytest.raises(AddressError, match="needs the path"):
        resolve(given, base=BASE)


@pytest.mark.parametrize(
    "given",
    ["tcp://", "tcp://host", "tcp://:80", "tcp://host:", "tcp://host:0", "tcp://h:65536", "tcp://h:x"],
)
def test_a_tcp_endpoint_needs_host_and_port(given: str) -> None:
    with pytest.raises(AddressError, match="HOST:PORT"):
        resolve(given, base=BASE)


@pytest.mark.parametrize("given", ["", "longwire.sock", "inproc://x", "http://h:1", "IPC://x"])
def test_no_other_kind_is_taken(given: str) -> None:
    with pytest.raises(AddressError, match="ipc:// or tcp://"):
        resolve(given, base=BASE)


def test_a_path_may_fill_the_name_of_a_unix_socket_and_not_a_byte_more() -> None:
    longest = Path("/" + "x" * (MAX_IPC_PATH_BYTES - 1))
    assert ipc(longest) == f"ipc://{longest}"
    with pytest.raises(AddressError, match="108 bytes"):
        ipc(Path(f"{longest}x"))


def test_the_length_is_counted_in_bytes() -> None:
    with pytest.raises(AddressError, match="bytes long"):
        ipc(Path("/" + "线" * 40))


def test_the_socket_file_of_an_ipc_endpoint_is_known() -> None:
    assert ipc_path("ipc:///run/l.sock") == Path("/run/l.sock")
    assert ipc_path("tcp://h:1") is None
