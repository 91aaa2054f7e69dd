"""Who has a process for an app, and who waits for it: pure.

One app may be in two accounts for a moment: its account got another name, two accounts changed their apps, or
one was removed and another added. Where the platform bears no two connections of an app, the second one's
process is not started before the first one's is gone.
"""

from __future__ import annotations

from collections.abc import Callable

from longwire.config import AccountConfig
from longwire.pacing import Turn


class Claim:
    """A process's hold on its account's app, or its place in the line for it.

    Args:
        config: of the account.
        go: called when it may start.
    """

    def __init__(self, config: AccountConfig, go: Callable[[], None]) -> None:
        self.account = config.account
        self.app = None if config.is_overlap_allowed or config.app is None else (config.connector, config.app)
        """`None` if there is nothing to wait for."""
        self.turn = Turn(go)
        self.is_held = False
        self._is_shared = config.allow_shared_app

    def bears(self, other: Claim) -> bool:
        """Return whether both may be there at a time: the operator said so of both."""
        return self._is_shared and other._is_shared


class Apps:
    """The claims of all accounts."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, str], list[Claim]] = {}
        """Of each app those that hold it, and behind them those that wait, in their order."""

    def claim(self, config: AccountConfig, go: Callable[[], None]) -> Claim:
        """Call `go` when the account's app is free: perhaps at once. Whoever claims releases, gone or not."""
        claim = Claim(config, go)
        if claim.app is None:
            claim.turn.take()
            return claim
        self._claims.setdefault(claim.app, []).append(claim)
        self._pump(claim.app)
        return claim

    def release(self, claim: Claim) -> None:
        """Let go of an app, or of a place in its line; a second time it is nothing."""
        claims = self._claims.get(claim.app, []) if claim.app else []
        if claim.app and claim in claims:
            claims.remove(claim)
            self._pump(claim.app)

    def in_the_way(self, claim: Claim) -> str | None:
        """Return the account for which this one waits, if it waits."""
        if claim.app is None or claim.is_held:
            return None
        return next((it.account for it in self._claims.get(claim.app, []) if it is not claim), None)

    def _pump(self, app: tuple[str, str]) -> None:
        """Let those go that may, but nobody before who came earlier."""
        claims = self._claims[app]
        held = [claim for claim in claims if claim.is_held]
        for claim in [claim for claim in claims if not claim.is_held]:
            if not all(claim.bears(other) for other in held):
                break
            claim.is_held = True
            held.append(claim)
            claim.turn.take()
        if not claims:
            del self._claims[app]
