"""F8: which addresses are taken for public, and how many ways there are to write one."""

from __future__ import annotations

import ipaddress

import pytest

from longwire.courier.addresses import is_public, literal, parsed

PRIVATE = [
    "0.0.0.0",  # noqa: S104  refused, not listened on
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:0:7f00:1",  # translated by SIIT: 127.0.0.1
    "1000::1",
    "4000::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo: the client is 192.0.2.45
    "2001:0:7f00:1:8000:63bf:f7f7:f7f7",  # Teredo: the server is 127.0.0.1
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2001:0:808:808:8000:63bf:f7f7:f7f7",  # Teredo: both ends are 8.8.8.8
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_everybodys_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_the_internets_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.0.1",
        "127.1",
        "2130706433",
        "2130706433.",
        "0x7f000001",
        "0X7F.1",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "127.0x0.00.1",
    ],
)
def test_however_it_is_spelled_an_address_is_known_for_one(host: str) -> None:
    assert literal(host) == ipaddress.ip_address("127.0.0.1")


def test_parts_may_be_empty_in_hex_only() -> None:
    assert literal("0x") == ipaddress.ip_address("0.0.0.0")  # noqa: S104  refused, not listened on


@pytest.mark.parametrize(
    "host",
    ["crm.example", "256.1.1.1", "1.2.3.256", "4294967296", "1.2.3.4.5", "08.1.1.1", "1..2", "", "1a", "a.1"],
)
def test_what_is_no_address_is_a_name(host: str) -> None:
    assert literal(host) is None


def test_what_a_socket_is_given_is_read_as_it_is() -> None:
    assert parsed("::1") == ipaddress.ip_address("::1")
    assert parsed("127.1") is None
