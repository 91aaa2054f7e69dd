"""A target: where events are posted, which, and how. And everything that can be wrong with one. Pure.

Targets are given by tenants, so every field is bounded, and nothing of one can end up in a place that it was
not meant for: no header but its own, no host but the URL's.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from longwire.courier import urls
from longwire_protocol.errors import Problem

MAX_TARGETS: Final = 1000
"""In all: each costs the parent a window of its subscription and the courier a lane."""
MAX_TARGETS_PER_TENANT: Final = 100
"""So that ten tenants cannot use up everybody's."""

MAX_HEADERS: Final = 32
MAX_HEADERS_BYTES: Final = 4096
"""Names and values: half of what common servers take for all headers, ours included."""
MAX_SECRETS: Final = 2
"""The one that is, and the one that was or will be: a rotation."""
MAX_ENTRIES: Final = 1000
"""Of `accounts` and of `types`."""
MAX_ENTRY_CHARS: Final = 128
MAX_BATCH: Final = 1000
MAX_REDIRECTS: Final = 5
MAX_CONCURRENCY: Final = 64
"""A quarter of what the courier posts at once."""
CONNECT_S: Final = (0.1, 30.0)
READ_S: Final = (0.1, 300.0)
BREAKER_S: Final = (0.1, 3600.0)
"""Least and most seconds."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  what secrets begin with, not one
SECRET_BYTES: Final = (24, 64)
"""Least and most of the key (Standard Webhooks 1.0, «Signature scheme»)."""

LEAST_CREDIT: Final = 32
MOST_CREDIT: Final = 1000

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE: Final = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
"""Of a header (RFC 9110, 5.5), without what is not ASCII, which servers read differently."""
_OURS: Final = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "accept-encoding", "expect", "date"}
)
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""RFC 9110, 7.6.1. `proxy-` is refused as a prefix."""
_RESERVED: Final = ("webhook-", "proxy-")
_OPERATORS: Final = "only an operator may allow this, in the configuration"

Format = Literal["event", "cloudevents", "cloudevents-batch"]
Order = Literal["chat", "none"]


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One target, as it goes to the courier: secrets are there in the clear, and in no repr."""

    name: str
    url: str
    tenant: str | None = None
    """Whose events; `None` for everybody's, which only an operator may say."""
    accounts: tuple[str, ...] | None = None
    """Narrows it further; `None` for all."""
    types: tuple[str, ...] | None = None
    """Likewise, by the event's type."""
    secrets: tuple[str, ...] = ()
    """`whsec_` and the key in base64: none, and posts are not signed; or two, while they are rotated."""
    headers: Mapping[str, str] = {}
    """Sent with every post, as an `Authorization`."""
    connect_timeout_s: float = 2.0
    """For the host's address, TCP and TLS. A host that takes longer is down, or far from here."""
    read_timeout_s: float = 30.0
    """From then to the last byte of the answer: Standard Webhooks recommends 15 to 30."""
    batch_size: int = 1
    """The most events of a post. Above 1 the body is an array, also of one event."""
    order: Order = "chat"
    """`chat`: one post with events of a chat at a time, in their order. `none`: all side by side."""
    latest_wins: str | None = None
    """A dotted path into the event, as `message.id`: of those waiting with the same type, account and value
    there, only the newest is posted."""
    format: Format = "event"
    """The body: our own event; CloudEvents 1.0 in structured mode, or in batched mode."""
    allow_http: bool = False
    """Whether `http://` will do, over which anybody on the way can read along."""
    allow_private: bool = False
    """Whether it may have an address that is not public."""
    redirects: int = 0
    """How many are followed, 307 and 308 only: each is somebody else's word on where events go."""
    concurrency: int = 8
    """Posts under way at once."""
    breaker_open_s: float = 30.0
    """How long it is left alone after five failures in a row, before one post may try."""

    def __repr__(self) -> str:
        return f"Target({self.name!r}, {urls.origin(self.url)!r})"


def key_of(secret: str) -> bytes | None:
    """Return the key in a `whsec_...`, `None` where it is none or has not 24 to 64 bytes."""
    if not secret.startswith(SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1] else None


def credit_of(target: Target) -> int:
    """Return how many events may be on their way to a target's lane at once, and again wait in it.

    Some turns of the line to the supervisor, or two batches for each post; at most what the window of its
    subscription holds.
    """
    return min(max(LEAST_CREDIT, 2 * target.batch_size * target.concurrency), MOST_CREDIT)


def problems(target: Target) -> tuple[Problem, ...]:
    """Return everything that is wrong with a target, each at its field; no text holds a secret."""
    return tuple(Problem(place, message) for place, message in _problems(target))


def overreach(target: Target) -> tuple[Problem, ...]:
    """Return what a tenant may not give its own target, whatever else is wrong with it."""
    allowances = ("allow_http", "allow_private")
    found = [(field, _OPERATORS) for field in allowances if getattr(target, field)]
    if target.tenant is None:
        found.append(("tenant", "missing: only an operator may ask for every tenant's events"))
    return tuple(Problem(place, message) for place, message in found)


def _problems(target: Target) -> Iterator[tuple[str, str]]:
    if _NAME.fullmatch(target.name) is None:
        yield "name", "1 to 63 of a-z A-Z 0-9 . _ -, the first a letter or digit"
    url_problem = urls.problem(target.url, allow_http=target.allow_http, allow_private=target.allow_private)
    if url_problem is not None:
        yield "url", url_problem
    yield from _secret_problems(target.secrets)
    yield from header_problems(target.headers)
    for field in ("accounts", "types"):
        yield from _entry_problems(field, getattr(target, field))
    if target.tenant is not None and not 1 <= len(target.tenant) <= MAX_ENTRY_CHARS:
        yield "tenant", f"1 to {MAX_ENTRY_CHARS} characters"
    if target.latest_wins is not None and _PATH.fullmatch(target.latest_wins) is None:
        yield "latest_wins", "up to 8 names of fields with dots between them, as message.id"
    yield from _number_problems(target)
    if target.format == "cloudevents" and target.batch_size > 1:
        yield "batch_size", 'must be 1 with format "cloudevents"; "cloudevents-batch" takes more'


def _number_problems(target: Target) -> Iterator[tuple[str, str]]:
    ranges: Mapping[str, tuple[float, float]] = {
        "connect_timeout_s": CONNECT_S,
        "read_timeout_s": READ_S,
        "batch_size": (1, MAX_BATCH),
        "redirects": (0, MAX_REDIRECTS),
        "concurrency": (1, MAX_CONCURRENCY),
        "breaker_open_s": BREAKER_S,
    }
    for field, (least, most) in ranges.items():
        if not least <= getattr(target, field) <= most:  # nan is in no range
            yield field, f"must be from {least:g} to {most:g}"


def _entry_problems(field: str, entries: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    if entries is None:
        return
    if not 1 <= len(entries) <= MAX_ENTRIES:
        yield field, f"1 to {MAX_ENTRIES} entries; leave it out for all"
    if not all(1 <= len(entry) <= MAX_ENTRY_CHARS for entry in entries):
        yield field, f"each entry has 1 to {MAX_ENTRY_CHARS} characters"


def _secret_problems(secrets: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(secrets) > MAX_SECRETS:
        yield "secrets", f"at most {MAX_SECRETS}: one, and another while they are rotated"
    if any(key_of(secret) is None for secret in secrets):
        least, most = SECRET_BYTES
        yield "secrets", f"{SECRET_PREFIX} and {least} to {most} random bytes in base64"


def header_problems(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with headers that somebody wants sent with each post: the place, and the words."""
    if len(headers) > MAX_HEADERS:
        yield "headers", f"at most {MAX_HEADERS}"
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADERS_BYTES:
        yield "headers", f"at most {MAX_HEADERS_BYTES} bytes in all"
    if len({name.lower() for name in headers}) < len(headers):
        yield "headers", "the same name twice, in other capitals"
    for name, value in headers.items():
        if _TOKEN.fullmatch(name) is None:  # not repeated: it may hold anything
            yield "headers", "a name is 1 to 128 of the characters of an HTTP token"
        elif _is_ours(name.lower()):
            yield f"headers.{name}", "is not a target's to set"
        elif _VALUE.fullmatch(value) is None:
            yield f"headers.{name}", "printable ASCII, with spaces only inside; no line breaks"


def _is_ours(name: str) -> bool:
    return name in _OURS or name in _HOP_BY_HOP or name.startswith(_RESERVED)
