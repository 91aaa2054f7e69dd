"""The way to the platforms, and what time they have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from longwire.doctor.facts import Tried
from longwire.doctor.findings import Finding, Trouble, error, note, ok, warning

PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy")

_CLOCK_OK_S, _CLOCK_BAD_S = 5.0, 60.0
"""The header that it is compared with is true to a second, and a slow answer adds some. From a minute on
events have wrong times, and signatures that last minutes are refused."""


def judge_proxies(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Return what is to be said of each variable that names a proxy; its password is not shown."""
    for name, value in sorted(variables.items()):
        try:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        except ValueError:
            yield warning("proxy", f"{name} is no URL", f"Correct or unset {name}.")
            continue
        if parts.scheme.startswith("socks"):
            yield warning(
                "proxy",
                f"{name} names {shown}: SOCKS is not understood, and calls to the platforms fail",
                f"Unset {name}, or name an HTTP proxy in HTTPS_PROXY.",
            )
        else:
            yield note("proxy", f"{name}: calls to the platforms go through {shown}")


def judge_tried(tried: tuple[Tried, ...]) -> Iterator[Finding]:
    """Return what is to be said of credentials that were tried, and of our clock."""
    for each in tried:
        if each.ok:
            yield ok("credentials", each.text)
        else:
            trouble = Trouble.NOT_PERMITTED if each.is_final else Trouble.TRY_AGAIN
            action = each.user_action or "Try again; if it lasts, look at network, DNS and proxies."
            yield error("credentials", each.text, action, trouble)
    offsets = [each.clock_ahead_s for each in tried if each.clock_ahead_s is not None]
    if offsets:
        yield _clock(sorted(offsets)[len(offsets) // 2])


def _clock(ahead_s: float) -> Finding:
    """Judge the median of all: one platform's own clock may be wrong."""
    off_s = abs(ahead_s)
    text = f"this machine's clock is {off_s:.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the platforms'"
    if off_s <= _CLOCK_OK_S:
        return ok("clock", "this machine's clock agrees with the platforms'")
    if off_s <= _CLOCK_BAD_S:
        return note("clock", text, "Let a time service keep it: timedatectl set-ntp true")
    return warning("clock", text, "Set it, and let a time service keep it: timedatectl set-ntp true")
