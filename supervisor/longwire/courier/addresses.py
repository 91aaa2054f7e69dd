"""Whether an address may be one that anybody on the internet has. Pure.

Also by its content: an IPv6 address that carries an IPv4 one is as public as that, because somewhere on its
way it becomes it. What may be public is what the standard library's `is_global` says after IANA's registries
of special addresses, without the ranges below.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # «this network»: Linux takes it for the machine itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # CGNAT; Alibaba Cloud's metadata (100.100.100.200) are in it
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services of a host; public by its looks
        "169.254.0.0/16",  # link-local; the clouds' metadata (169.254.169.254) are in it
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle Cloud's metadata (192.0.0.192) are in it
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4, given up
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001:db8::/32",
        "3fff::/20",
    )
)
_GIVEN_OUT: Final = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is anybody's (IANA, «IPv6 Global Unicast Address Assignments»). The rest is for special
purposes: loopback, local ones as fd00:ec2::254, AWS's metadata, and what stands for IPv4 addresses."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NUMBERS: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
_BYTE: Final = 256
_PARTS: Final = 4
_IPV4_BITS: Final = 32


def is_public(address: Address) -> bool:
    """Return whether the address is one of the internet's, and everything inside it is, too."""
    if any(address in network for network in _REFUSED):
        return False
    carried = _carried(address) if isinstance(address, ipaddress.IPv6Address) else ()
    if carried:
        return all(map(is_public, carried))
    return address.is_global and (address.version == 4 or address in _GIVEN_OUT)  # noqa: PLR2004  IPv4


def _carried(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses in an IPv6 address: mapped, of 6to4, Teredo (server, client) or NAT64."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64:
        return (ipaddress.IPv4Address(int(address) % 2**_IPV4_BITS),)
    return ()


def parsed(text: str) -> Address | None:
    """Return the address that a socket was given as text, as `127.0.0.1` or `fe80::1%eth0`; else `None`."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def literal(host: str) -> Address | None:
    """Return the address that a URL's host is, however it is spelled; `None` for a name.

    `127.1`, `0x7f000001`, `017700000001` and `2130706433` are all 127.0.0.1 to the system's resolver and to
    browsers (WHATWG URL, «IPv4 parser»), so they are here. Numbers that are no address are a name, which no
    registry has.
    """
    address = parsed(host.removesuffix("."))
    if address is not None or _NUMBERS.fullmatch(host) is None:
        return address
    try:
        numbers = [_number(part) for part in host.removesuffix(".").split(".")]
    except ValueError:
        return None
    *front, last = numbers
    if any(number >= _BYTE for number in front) or last >= _BYTE ** (_PARTS - len(front)):
        return None
    value = last + sum(number * _BYTE ** (3 - index) for index, number in enumerate(front))
    return ipaddress.IPv4Address(value)


def _number(text: str) -> int:
    """Return what C's `strtoul` makes of it; raises ValueError."""
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)
