"""What of the answer to `status` the metrics are about: maps, each of one thing. Pure.

The answer is read as the plain data that it is. So a supervisor of another version has the metrics of the
fields that it sends, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

Record = Mapping[str, Any]
"""Fields of a status, by name."""

_OUTCOMES: Final = ("done", "failed", "expired", "uncertain")

_EPHEMERAL: Final = "~"
"""What the name of a subscription begins with that ends with its client; see docs/protocol.md."""


def at(record: Record, path: str) -> Any:
    """Return the value at a dotted path; `None` where there is none."""
    found: Any = record
    for name in path.split("."):
        found = cast("Record", found).get(name) if isinstance(found, Mapping) else None
    return found


def supervisor(status: Record) -> Iterator[Record]:
    """Yield the supervisor itself."""
    yield from _one(status, "supervisor")


def outcomes(status: Record) -> Iterator[Record]:
    """Yield how many commands came to each of their ends."""
    for outbox in _one(status, "supervisor.outbox"):
        yield from ({"outcome": outcome, "commands": outbox.get(outcome)} for outcome in _OUTCOMES)


def templates(status: Record) -> Iterator[Record]:
    """Yield the templates; several may be of one connector, interpreter and state."""
    yield from ({**template, "templates": 1} for template in _many(status, "supervisor.templates"))


def outages(status: Record) -> Iterator[Record]:
    """Yield the outages that there are."""
    yield from _many(status, "supervisor.outages")


def accounts(status: Record) -> Iterator[Record]:
    """Yield the accounts."""
    yield from _many(status, "accounts")


def layers(status: Record) -> Iterator[Record]:
    """Yield each layer of each account's liveness."""
    for account in accounts(status):
        for name, layer in _items(account, "liveness"):
            yield {**account, **layer, "layer": name}


def counters(status: Record) -> Iterator[Record]:
    """Yield each of the counters that the accounts' processes keep."""
    for account in accounts(status):
        for name, value in _items(account, "counters"):
            yield {**account, "counter": name, "value": value}


def subscriptions(status: Record) -> Iterator[Record]:
    """Yield the durable subscriptions: each `events tail` would be a series more, for ever."""
    for each in _many(status, "subscriptions"):
        if not str(each.get("name")).startswith(_EPHEMERAL):
            yield each


def courier(status: Record) -> Iterator[Record]:
    """Yield the process that posts, if there was ever one."""
    yield from _one(status, "courier")


def webhooks(status: Record) -> Iterator[Record]:
    """Yield the webhooks."""
    yield from _many(status, "webhooks")


def _one(status: Record, path: str) -> Iterator[Record]:
    found = at(status, path)
    if found is not None:
        yield found


def _items(record: Record, path: str) -> Iterator[tuple[str, Any]]:
    found: Record = at(record, path) or {}
    yield from found.items()


def _many(status: Record, path: str) -> Iterator[Record]:
    yield from at(status, path) or ()
