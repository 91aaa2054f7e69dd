"""The method `logs.tail`: from a request to the data of its reply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from longwire.logbook.book import Logbook
from longwire.logbook.ring import Line, Wanted
from longwire.logbook.tail import Mark, TailParams
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Request

_WAIT_SHARE = 0.9
"""Of the request's deadline: an answer without lines is better than none."""


async def answer(
    book: Logbook, request: Request, *, run: str, deadline_s: float, is_account: Callable[[Wanted], bool]
) -> dict[str, Any]:
    """Return the data of the reply.

    Args:
        book: the lines.
        request: of a client.
        run: the supervisor's id.
        deadline_s: when the client wants its answer.
        is_account: whether there is the account that is wanted, for the tenant that is wanted.

    Raises:
        CommandError: a parameter is wrong, or there is no such account.
    """
    try:
        params = msgspec.convert(request.params, TailParams)
        after = None if params.after is None else Mark.parse(params.after)
    except ValueError as exc:
        raise CommandError(RetCode.BAD_PARAM, str(exc)) from exc
    wanted = Wanted(
        account=request.account or params.account,
        tenant=params.tenant or request.tenant,
        level=logging.getLevelNamesMapping()[params.level.upper()],
        since=round(params.since * 1_000_000),
    )
    if wanted.account is not None and not is_account(wanted) and not book.has(wanted):
        raise CommandError(RetCode.UNKNOWN_ACCOUNT, f"no account {wanted.account!r}")
    wait_s = min(params.wait_ms / 1000, deadline_s * _WAIT_SHARE)
    found = await book.tail(wanted, run=run, limit=params.lines, after=after, wait_s=wait_s)
    return {
        "supervisor_id": run,
        "cursor": str(found.mark),
        "dropped": found.dropped,
        "left_out": found.left_out,
        "lines": await asyncio.to_thread(_packed, found.lines),  # some milliseconds for thousands
    }


def _packed(lines: list[Line]) -> list[msgspec.Raw]:
    """Return each line as a map in MessagePack."""
    return [msgspec.Raw(_pack(msgspec.json.decode(line.text))) for line in lines]


def _pack(fields: dict[str, Any]) -> bytes:
    try:
        return msgspec.msgpack.encode(fields)
    except OverflowError:  # JSON has larger numbers; a child may log them
        plain = {name: value if isinstance(value, float) else str(value) for name, value in fields.items()}
        return msgspec.msgpack.encode(plain)
