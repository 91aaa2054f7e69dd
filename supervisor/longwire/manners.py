"""How close together one account may get new connections: pure, with the time as an argument.

A platform's connector declares how many in short order it bears (`link_burst`), whatever they are for: a
start, a restart, a hand-over, a retry. What is too much waits. An operator's restarts are limited on every
platform, and those that are too many are refused: who asks can come again.
"""

from __future__ import annotations

from longwire.config import AccountConfig
from longwire.pacing import Spacing, Spacings

RESTARTS = Spacing(burst=3, every_s=15.0)
"""Restarts that operators may ask of one account. 3: who tries something tries it twice more."""


class Manners:
    """What all accounts have spent. It outlives them, so that neither a restart nor a reload makes room."""

    def __init__(self) -> None:
        self._links = Spacings()
        self._restarts = Spacings()

    def hold_s(self, config: AccountConfig, now: float) -> float:
        """Return the seconds until the platform bears another new connection of the account; 0 for now."""
        return self._links.wait_s(config.account, _links(config), now)

    def connects(self, config: AccountConfig, now: float) -> None:
        """Note a new connection, after `hold_s` was 0."""
        self._links.take(config.account, _links(config), now)

    def restart(self, config: AccountConfig, now: float) -> float:
        """Note a restart that an operator asks for and return 0, or return the seconds to wait for it."""
        return self.hold_s(config, now) or self._restarts.take(config.account, RESTARTS, now)


def _links(config: AccountConfig) -> Spacing:
    if config.link_burst is None:
        return Spacing(burst=1, every_s=0.0)
    return Spacing(burst=config.link_burst, every_s=config.settings.backoff_initial_s)
