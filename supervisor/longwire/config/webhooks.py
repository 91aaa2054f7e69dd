"""`[webhooks]`: the HTTP targets to which events are delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, cast

import msgspec

from longwire.config import secrets
from longwire.config.options import Sources
from longwire.config.secrets import Secret, UnresolvableSecret
from longwire.config.tables import Table
from longwire.courier.target import MAX_TARGETS, MAX_TARGETS_PER_TENANT, Target, problems
from longwire_protocol.errors import Problem

_DAY_S = 86_400.0

_LISTS: Final = ("accounts", "types")
_TARGET_KEYS: Final[Mapping[str, Any]] = {
    "url": str,
    "tenant": str,
    "accounts": list[str],
    "types": list[str],
    "connect_timeout_s": float,
    "read_timeout_s": float,
    "batch_size": int,
    "order": Literal["chat", "none"],
    "latest_wins": str,
    "format": Literal["event", "cloudevents", "cloudevents-batch"],
    "allow_http": bool,
    "allow_private": bool,
    "redirects": int,
    "concurrency": int,
    "breaker_open_s": float,
}
"""Keys that are fields of a target, with the types that TOML gives them; their limits are the target's."""

MaxAttempts = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
RetryDelay = Annotated[float, msgspec.Meta(ge=0.05, le=_DAY_S)]
GiveUpAfter = Annotated[float, msgspec.Meta(ge=0.1, le=7 * _DAY_S)]


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """`[webhooks.NAME]`, complete. Equal means: nothing to do at a reload."""

    target: Target
    """What the courier gets, secrets in the clear; its repr shows none."""

    max_attempts: MaxAttempts = 50
    """After how many failures an event becomes a dead letter. 50: more than fit into a day by the backoff, so
    that the day decides."""

    give_up_after_s: GiveUpAfter = _DAY_S
    """How long a failing event may hold up its chat; its next failure makes it a dead letter. A day: somebody
    has looked at a target that is down by then."""

    retry_initial_s: RetryDelay = 5.0
    """How long after its first failure an event is posted again; each failure doubles it. 5: a restart of the
    target is over by then or soon (Standard Webhooks recommends the same)."""

    retry_max_s: RetryDelay = 3_600.0
    """The longest such delay. 3,600: a target that was down over night gets its events within the hour."""

    @property
    def tenant(self) -> str | None:
        """Whose it is; `None` for the operator's, who gets everybody's events."""
        return self.target.tenant

    def secret_values(self) -> tuple[str, ...]:
        """Return the secrets in the clear, and what stands in headers that carry credentials."""
        return (*self.target.secrets, *_credentials(self.target.headers))


_OWN: Final[Mapping[str, Any]] = {
    "max_attempts": MaxAttempts,
    "give_up_after_s": GiveUpAfter,
    "retry_initial_s": RetryDelay,
    "retry_max_s": RetryDelay,
}
_KEYS: Final = (*_TARGET_KEYS, "secret", "headers", *_OWN)

_PLACES: Final[Mapping[str, str | None]] = {"secrets": "secret", "name": None}
"""Where the file has what a target calls otherwise."""

_HARMLESS_CHARS: Final = 8
"""A header's value up to this length is no credential, and blanking it would make logs unreadable."""


def webhooks(table: Table, *, sources: Sources) -> dict[str, Webhook]:
    """Return the targets by name, in the order of the file; what is wrong is reported, and left out."""
    found = {name: _webhook(name, each, sources) for name, each in _tables(table)}
    if len(found) > MAX_TARGETS:
        table.problem(None, f"{len(found)} targets; {MAX_TARGETS} are possible")
    owners = Counter(each.tenant for each in found.values() if each is not None and each.tenant is not None)
    for tenant, count in owners.items():
        if count > MAX_TARGETS_PER_TENANT:
            table.problem(None, f"{count} targets of {tenant!r}; a tenant may have {MAX_TARGETS_PER_TENANT}")
    return {name: each for name, each in found.items() if each is not None}


def references(tables: object) -> Iterator[str]:
    """Yield the texts in `[webhooks]` that may stand for a secret, unchecked."""
    for table in _maps(tables):
        yield from _strings(table.get("secret"))
        yield from _strings(table.get("headers"))


def pinned(table: Mapping[str, Any], webhook: Webhook) -> dict[str, Any]:
    """Return a target's table with what its secrets are in the place of where they are kept."""
    headers = {name: Secret(value) for name, value in webhook.target.headers.items()}
    own = [Secret(value) for value in webhook.target.secrets]
    return {**table, **({"secret": own} if own else {}), **({"headers": headers} if headers else {})}


def _tables(table: Table) -> Iterator[tuple[str, Table]]:
    for name in table:
        each = table.table_or_none(name)
        if each is not None:
            yield name, each


def _webhook(name: str, table: Table, sources: Sources) -> Webhook | None:
    table.refuse_unknown(_KEYS)
    fields = {key: table.get(key, kind) for key, kind in _TARGET_KEYS.items() if key in table}
    given: dict[str, Any] = {"url": "https://missing.invalid"}
    for key, value in fields.items():
        if value is not None:
            given[key] = tuple(value) if key in _LISTS else value
    if "url" not in table:
        table.problem("url", "missing: where events are posted, as https://crm.example/hook")
    target = Target(
        name=name,
        **given,
        secrets=_secrets(table, sources),
        headers=_headers(table, sources),
    )
    wrong = problems(target)
    _report(wrong, table)
    own = {key: value for key, kind in _OWN.items() if (value := table.get(key, kind)) is not None}
    webhook = Webhook(target=target, **own)
    if webhook.retry_max_s < webhook.retry_initial_s:
        table.problem("retry_max_s", f"must not be under retry_initial_s, {webhook.retry_initial_s:g}")
    return webhook


def _report(wrong: Iterable[Problem], table: Table) -> None:
    for problem in wrong:
        table.problem(_PLACES.get(problem.place, problem.place), problem.message)


def _secrets(table: Table, sources: Sources) -> tuple[str, ...]:
    """Return the value of `secret`, one or several, resolved."""
    raw = table.raw("secret")
    if raw is None:
        return ()
    written = cast("list[object]", raw) if isinstance(raw, list) else [raw]
    return tuple(
        value for each in written if (value := _resolved(table, "secret", each, sources)) is not None
    )


def _headers(table: Table, sources: Sources) -> dict[str, str]:
    raw = table.raw("headers")
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        table.problem("headers", "expected a table, got something else")
        return {}
    found: dict[str, str] = {}
    for name, each in cast("Mapping[str, object]", raw).items():
        value = _resolved(table, f"headers.{name}", each, sources)
        if value is not None:
            found[name] = value
    return found


def _resolved(table: Table, place: str, written: object, sources: Sources) -> str | None:
    if not isinstance(written, str | Secret):
        table.problem(place, "expected a string")
        return None
    try:
        return secrets.resolve(
            written,
            base=sources.base,
            environ=sources.environ,
            read_file=sources.read_file,
            fetched=sources.fetched,
        ).reveal()
    except UnresolvableSecret as exc:
        table.problem(place, str(exc))
        return None


def _credentials(headers: Mapping[str, str]) -> Iterator[str]:
    for value in headers.values():  # also what is in `Bearer ...`; each word may be hundreds
        parts = {value, value.rpartition(" ")[2]}
        yield from (part for part in parts if len(part) > _HARMLESS_CHARS)


def _maps(tables: object) -> Iterator[Mapping[str, object]]:
    if isinstance(tables, Mapping):
        for table in cast("Mapping[str, object]", tables).values():
            if isinstance(table, Mapping):
                yield cast("Mapping[str, object]", table)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (each for each in cast("Mapping[str, object]", value).values() if isinstance(each, str))
    elif isinstance(value, list):
        yield from (each for each in cast("list[object]", value) if isinstance(each, str))
