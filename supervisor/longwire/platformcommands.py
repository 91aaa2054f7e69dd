"""Commands to a platform: which way each goes, and how its outcome is told to the client.

Those with an effect go through the outbox (`longwire.outbox`), the others straight to the account's process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from longwire.account import Account
from longwire.control import Accepted, ClientPeer
from longwire.journal import JournalError
from longwire.outbox import Asked, Command, Outbox, State, facts
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import CommandResult
from longwire_protocol.messages import Request
from longwire_protocol.methods import Course, chat_of, course

ABOUT_RECEIPTS = "message.get"
"""With a `receipt` it is ours and asks no platform, whether or not that has such a method."""
_MAX_WAIT_MS = 600_000


class PlatformCommands:
    """Carries out requests that concern a platform.

    Args:
        outbox: has what must have one effect carried out.
        account_of: returns the account that a request names; raises CommandError.
    """

    def __init__(self, outbox: Outbox, account_of: Callable[[Request], Account]) -> None:
        self._outbox = outbox
        self._account_of = account_of

    async def carry_out(self, client: ClientPeer, request: Request, *, deadline_s: float) -> Any:
        """Return the data of the reply, or `Accepted`.

        Raises:
            CommandError: refused, by us or by the platform.
            TimeoutError: it could not even be written down by its deadline.
        """
        account = self._account_of(request)
        if (reason := account.config.supported.missing.get(request.method)) is not None:
            raise CommandError(
                RetCode.UNSUPPORTED, f"{account.config.platform} has no {request.method}: {reason}"
            )
        if request.method not in account.config.methods:
            raise CommandError(
                RetCode.UNKNOWN_METHOD,
                f"{account.config.connector} has no {request.method}; see get_supported",
            )
        params = {key: value for key, value in request.params.items() if key != "account"}
        way = course(request.method, params, has_key=request.idempotency_key is not None)
        if way is Course.DIRECT:
            return data_of(await account.command(request.method, params, deadline_s=deadline_s))
        asked = Asked(
            client=client.id,
            method=request.method,
            params=params,
            chat=chat_of(params),
            is_repeatable=way is Course.REPEATABLE,
            idempotency_key=request.idempotency_key,
            deadline_s=deadline_s,
        )
        return await self._durably(account, asked, wait_s=_wait_s(request))

    def is_about_receipt(self, request: Request) -> bool:
        """Return whether this asks what became of a command, and not for a message of the platform."""
        return request.method == ABOUT_RECEIPTS and "receipt" in request.params

    async def get(self, request: Request) -> dict[str, Any]:
        """Return what is known of a command.

        Raises:
            CommandError: there is none with this receipt, or not of this account and tenant.
        """
        receipt = request.params["receipt"]
        try:
            command = await self._outbox.find(receipt) if isinstance(receipt, str) else None
        except JournalError as exc:
            raise CommandError(RetCode.JOURNAL_UNAVAILABLE, str(exc), retryable=True) from exc
        if command is None or not _may_see(request, command):
            raise CommandError(RetCode.BAD_PARAM, "receipt: not known; it is kept for 24 h after its end")
        return {"account": command.account, **facts(command)}

    async def _durably(self, account: Account, asked: Asked, *, wait_s: float | None) -> Any:
        try:
            command = await self._outbox.carry_out(account, asked, wait_s=wait_s)
        except JournalError as exc:
            raise CommandError(RetCode.JOURNAL_UNAVAILABLE, str(exc), retryable=True) from exc
        return told(command)


def told(command: Command) -> Any:
    """Return the data of the reply that tells what became of a command, or that it was accepted.

    Raises:
        CommandError: it did not succeed.
    """
    if not command.has_ended or command.outcome is None:
        return Accepted(command.receipt)
    outcome = command.outcome
    if command.state is State.DONE:
        return outcome.data
    raise CommandError(
        outcome.retcode,
        outcome.message,
        retryable=command.state is State.EXPIRED,
        data={**_map(outcome.data), "receipt": command.receipt, "state": command.state.value},
    )


def data_of(result: CommandResult) -> Any:
    """Return the data of a result; raise CommandError if it is a refusal."""
    if result.retcode == RetCode.OK:
        return result.data
    raise CommandError(
        result.retcode,
        result.message,
        retryable=result.retryable,
        retry_after_ms=result.retry_after_ms,
        data=result.data,
    )


def _map(data: Any) -> dict[str, Any]:
    """Return what a refusal brings, as the platform's own code, if that has names."""
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _wait_s(request: Request) -> float | None:
    if request.wait_ms is None:
        return None
    return min(max(0, request.wait_ms), _MAX_WAIT_MS) / 1000


def _may_see(request: Request, command: Command) -> bool:
    account = request.account or request.params.get("account")
    return request.tenant in {None, command.tenant} and account in {None, command.account}
