"""What clients may say in the requests that read events; unknown parameters are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from longwire.delivery import Filters
from longwire.subscriptions import AckTimeout, ChatBlockMax, Limits, MaxAttempts
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Request

P = TypeVar("P")

_Credit = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
_Seq = Annotated[int, msgspec.Meta(ge=1)]


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `events.subscribe` and `events.replay` have in common."""

    types: list[str] | None = None
    accounts: list[str] | None = None
    tenant: str | None = None
    credit: _Credit = 100

    def filters(self, request: Request) -> Filters:
        """Return which events are asked for."""
        return Filters(
            accounts=None if self.accounts is None else frozenset(self.accounts),
            types=None if self.types is None else frozenset(self.types),
            tenant=self.tenant or request.tenant,
        )


class SubscribeParams(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `events.subscribe` takes."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[^~\s][^\s]{0,127}$")] | None = None
    start: Literal["new", "all"] | _Seq = "new"
    ack_timeout_s: AckTimeout | None = None
    max_attempts: MaxAttempts | None = None
    chat_block_max_s: ChatBlockMax | None = None
    order: Literal["chat", "none"] | None = None
    key: str | None = None
    """What opens a name that is reserved."""

    def limits(self) -> Limits:
        """Return the limits that are given."""
        return Limits(
            ack_timeout_s=self.ack_timeout_s,
            max_attempts=self.max_attempts,
            chat_block_max_s=self.chat_block_max_s,
            order=self.order,
        )


class ReplayParams(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `events.replay` takes."""

    first: _Seq = msgspec.field(name="from", default=1)
    last: _Seq | None = msgspec.field(name="to", default=None)
    since: float | None = None


class UnsubscribeParams(msgspec.Struct, frozen=True, kw_only=True):
    """What `events.unsubscribe` takes."""

    subscription: str | None = None
    name: str | None = None
    forget: bool = False


def parameters(params: dict[str, Any], kind: type[P]) -> P:
    """Return a request's parameters.

    Raises:
        CommandError: one is unknown, or cannot be so.
    """
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError as exc:
        raise CommandError(RetCode.BAD_PARAM, str(exc)) from exc
