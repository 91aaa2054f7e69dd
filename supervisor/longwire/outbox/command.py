"""A command that was accepted: all that is kept of it, and what of it is on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from longwire.config import AccountConfig
from longwire.journal import CommandRow
from longwire_protocol.errors import CommandError, RetCode

MOST_KEPT_BYTES = 16 * 1024
"""An answer's data up to this size is kept. What sends answers some hundred bytes."""


class State(StrEnum):
    """Where a command is."""

    QUEUED = "queued"  # it waits for its turn, for the link, or for the next try
    UNDER_WAY = "under_way"  # a child was told, or is about to be
    DONE = "done"  # the platform did it
    FAILED = "failed"  # refused; it had no effect, and will have none
    EXPIRED = "expired"  # not carried out by its deadline; it had no effect, and will have none
    UNCERTAIN = "uncertain"  # whether it had an effect is not known, and it is not tried again


class Outcome(msgspec.Struct, frozen=True):
    """What became of a try, or of the command."""

    retcode: int
    message: str = ""
    data: Any = None


class Command(msgspec.Struct, frozen=True, kw_only=True, array_like=True, omit_defaults=True):
    """A command and how far it is. Times are Unix seconds on a clock that does not step within a run.

    On disk it is an array, as there are millions: what is new comes last and has a default.
    """

    number: int
    """In the order in which commands were accepted."""
    receipt: str
    """Names it to clients, and is its key at the platform: unique for ever, at most 50 characters."""
    tenant: str
    account: str
    platform: str
    app: str | None = None
    """On its platform, where its connector has such a thing: no other one carries it out."""
    client: str
    """Who asked for it, as far as fairness needs to know."""
    method: str
    params: dict[str, Any] = {}
    """Empty once it has ended: nobody needs them any more."""
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    """Of the params, where there is a key."""
    chat: str
    """What it keeps its order with."""
    repeat_window_s: float = 0.0
    """For how long after the first try the platform tells a repetition by its key."""
    is_repeatable: bool = False
    """Whether a second time would change nothing more."""
    accepted_at: float
    deadline_at: float
    first_tried_at: float | None = None
    attempts: int = 0
    state: State = State.QUEUED
    is_in_doubt: bool = False
    """Whether an earlier try may have had its effect."""
    outcome: Outcome | None = None
    """Of the last try, if it did not succeed; once it has ended, what became of it."""
    ended_at: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.ended_at is not None

    @property
    def scope(self) -> bytes | None:
        """What its idempotency key is unique in; `None` without one.

        What expired had no effect and gives its key back: asked again, it is another command.
        """
        if self.idempotency_key is None or self.state is State.EXPIRED:
            return None
        return scope_of(self.tenant, self.account, self.method, self.idempotency_key)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command as a client asks for it."""

    client: str
    method: str
    params: dict[str, Any]
    chat: str | None
    """What it keeps its order with; `None` for no order."""
    is_repeatable: bool
    idempotency_key: str | None
    deadline_s: float

    def scope(self, config: AccountConfig) -> bytes | None:
        """Return what its idempotency key is unique in, for an account; `None` without one."""
        if self.idempotency_key is None:
            return None
        return scope_of(config.tenant, config.account, self.method, self.idempotency_key)

    def fingerprint(self) -> bytes:
        """Return what tells other params with the same key; nothing without one.

        Raises:
            CommandError: the params cannot be compared.
        """
        if self.idempotency_key is None:
            return b""
        try:
            return fingerprint_of(self.params)
        except TypeError as exc:
            text = "params: with an idempotency_key, every key must be a text"
            raise CommandError(RetCode.BAD_PARAM, text) from exc


def accepted(
    asked: Asked, config: AccountConfig, *, number: int, receipt: str, fingerprint: bytes, now: float
) -> Command:
    """Return the command of an account that was asked for."""
    return Command(
        number=number,
        receipt=receipt,
        tenant=config.tenant,
        account=config.account,
        platform=config.platform,
        app=config.app,
        client=asked.client,
        method=asked.method,
        params=asked.params,
        idempotency_key=asked.idempotency_key,
        fingerprint=fingerprint,
        chat=asked.chat or f"receipt:{receipt}",
        repeat_window_s=0.0 if asked.method in config.supported.unrepeatable else config.repeat_window_s,
        is_repeatable=asked.is_repeatable,
        accepted_at=now,
        deadline_at=now + asked.deadline_s,
    )


AppName = tuple[str, ...]
"""What a platform limits, and what carries a command out: an app by its platform and id; where there is no
such thing, an account."""

Owner = tuple[str, str]
"""Whose a command is: tenant and account. A name that another tenant has got is another one."""


def app_of(whose: Command | AccountConfig) -> AppName:
    """Return the app of a command or an account."""
    return (*owner_of(whose), "") if whose.app is None else (whose.platform, whose.app)


def owner_of(whose: Command | AccountConfig) -> Owner:
    """Return whose it is."""
    return whose.tenant, whose.account


def scope_of(tenant: str, account: str, method: str, key: str) -> bytes:
    """Return a digest of what an idempotency key is unique in."""
    return hashlib.blake2b(_encode([tenant, account, method, key]), digest_size=16).digest()


def fingerprint_of(params: Mapping[str, Any]) -> bytes:
    """Return a digest that is the same for the same params, in whatever order they were given.

    Raises:
        TypeError: a map in them has keys that are no texts.
    """
    return hashlib.blake2b(_in_order(params), digest_size=16).digest()


def to_row(command: Command) -> CommandRow:
    """Return what is written of a command."""
    return CommandRow(
        number=command.number,
        receipt=command.receipt,
        scope=command.scope,
        ended_at=command.ended_at,
        body=_encode(command),
    )


def from_row(row: CommandRow) -> Command:
    """Return the command that was written."""
    return _decode(row.body)


def facts(command: Command) -> dict[str, Any]:
    """Return what `message.get` tells of a command, and `delivery.updated` as far as it has ended."""
    outcome = command.outcome or Outcome(0)
    return {
        "receipt": command.receipt,
        "method": command.method,
        "state": command.state.value,
        "retcode": outcome.retcode,
        "message": outcome.message,
        "data": outcome.data,
        "idempotency_key": command.idempotency_key,
        "attempts": command.attempts,
        "accepted_at": command.accepted_at,
        "deadline_at": command.deadline_at,
        "first_tried_at": command.first_tried_at,
        "ended_at": command.ended_at,
    }


def without_excess(command: Command) -> Command:
    """Return an ended command without what is too large to be kept of its answer."""
    outcome = command.outcome
    if outcome is None or outcome.data is None or len(_encode(outcome.data)) <= MOST_KEPT_BYTES:
        return command
    told = outcome.message or "the answer was too large to be kept"
    return msgspec.structs.replace(command, outcome=Outcome(outcome.retcode, told))


_encode = msgspec.msgpack.Encoder().encode
_in_order = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Command).decode
