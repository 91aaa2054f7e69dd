"""Whether the accounts are what the host asked for, and if not, why: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from longwire.lifecycle import State
from longwire.status import AccountStatus

AT_REST = frozenset({State.ONLINE, State.PARKED, State.STOPPED})
"""States that last until somebody does something."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an account stands; the fields are those of `status`."""

    account: str
    is_wanted: bool
    """Whether it is in the desired set; one that is not is on its way out."""
    is_converged: bool
    state: str
    reason: str | None
    message: str | None
    user_action: str | None
    next_retry_at: float | None
    """Unix seconds; `None` where nothing is to be tried again."""


class Convergence(msgspec.Struct, frozen=True):
    """How the whole set stands."""

    accounts: dict[str, Standing]
    """By name, also those that are on their way out."""

    @property
    def is_converged(self) -> bool:
        """Whether every wanted account is online, and no other one is there."""
        return all(standing.is_converged for standing in self.accounts.values())

    @property
    def is_settled(self) -> bool:
        """Whether it stays like this: what is not online waits for somebody to act."""
        return all(s.is_wanted and s.state in AT_REST for s in self.accounts.values())

    @property
    def behind(self) -> dict[str, Standing]:
        """Those that are not what they are wanted to be."""
        return {name: standing for name, standing in self.accounts.items() if not standing.is_converged}


def judge(statuses: Iterable[AccountStatus], *, wanted: Collection[str]) -> Convergence:
    """Return how accounts stand, compared with the names that are wanted."""
    return Convergence({status.account: _standing(status, wanted=wanted) for status in statuses})


def _standing(status: AccountStatus, *, wanted: Collection[str]) -> Standing:
    is_wanted = status.account in wanted
    return Standing(
        account=status.account,
        is_wanted=is_wanted,
        is_converged=is_wanted and status.state is State.ONLINE,
        state=status.state.value,
        reason=status.reason,
        message=status.message,
        user_action=status.user_action,
        next_retry_at=status.next_retry_at,
    )
