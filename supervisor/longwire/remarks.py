"""What is said of an account's state: pure."""

from __future__ import annotations

import msgspec

from longwire.lifecycle import Life, State
from longwire.limits import Excess
from longwire_protocol.link import LinkFailure

_TRYING = {State.STARTING, State.CONNECTING, State.BACKOFF}


class Remarks(msgspec.Struct, frozen=True, kw_only=True):
    """The words of a status; `AccountStatus` says what each is."""

    state: State = State.STOPPED
    reason: str | None = None
    error_code: str | None = None
    message: str | None = None
    user_action: str | None = None
    user_action_zh: str | None = None


def remarks(
    life: Life,
    *,
    is_starved: bool,
    is_proven: bool,
    in_outage: int,
    excess: Excess | None,
    in_vain: LinkFailure | None,
    waits_for: str | None = None,
) -> Remarks:
    """Return what is to be said.

    Args:
        life: the account's.
        is_starved: whether its process wants the CPU and gets none.
        is_proven: whether no proof of its link is older than it may get; else it is not called online.
        in_outage: how many accounts are in the outage that it is in; 0 if it is in none.
        excess: over which limit its process is left.
        in_vain: why the successor failed that was to replace it for that.
        waits_for: the account that has its app, and has to go first.
    """
    said = Remarks() if excess is None else _of_excess(excess, in_vain)
    if life.why is not None:
        said = _of_failure(life.why)
    if in_outage and life.why is not None and life.state in _TRYING:
        said = _of_outage(life.why, in_outage)
    if waits_for is not None and life.state is State.STARTING:
        said = _of_app(waits_for)
    state, reason = life.state, said.reason
    if state is State.DEGRADED:
        reason = "starved" if is_starved else "heartbeats_missing"
    elif state is State.ONLINE and not is_proven:
        state, reason = State.DEGRADED, "proof_too_old"
    return msgspec.structs.replace(said, state=state, reason=reason)


def _of_failure(why: LinkFailure) -> Remarks:
    return Remarks(
        reason=why.reason,
        error_code=why.error_code,
        message=why.message,
        user_action=why.user_action,
        user_action_zh=why.user_action_zh,
    )


def _of_outage(why: LinkFailure, accounts: int) -> Remarks:
    """Say that it is hardly this account's own trouble; what to do if it is, stays."""
    text = f"the platform or the network fails {accounts} accounts at once; they are tried by turns"
    return msgspec.structs.replace(
        _of_failure(why),
        reason="platform_outage",
        message=f"{text}. This one: {why.reason}, {why.message}",
    )


def _of_app(account: str) -> Remarks:
    text = f"{account} has the same app and is not gone yet; the platform bears no two connections of it"
    return Remarks(reason="app_in_use", message=text)


def _of_excess(excess: Excess, in_vain: LinkFailure | None) -> Remarks:
    failed = f"; its successor failed: {in_vain.message}" if in_vain else ""
    return Remarks(
        message=excess.message + failed,
        user_action=excess.user_action,
        user_action_zh=excess.user_action_zh,
    )
