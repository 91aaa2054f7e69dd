"""All accounts: brought to what the configuration says, by the least change, and down together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from longwire.account import Account, Premises
from longwire.config import AccountConfig
from longwire.lifecycle import State
from longwire.logger import get_logger
from longwire.memory import Memories, Memory

_log = get_logger("longwire.fleet")

_STOP_MARGIN_S = 1.0
"""Beyond the longest stop timeout, before whatever is left is left to the kernel."""


class Changes(msgspec.Struct, frozen=True):
    """What a new configuration changed, by account names."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class Fleet:
    """Owns the accounts.

    Args:
        make_premises: returns what every account needs, given whom to tell of a change of state.
        memories: what earlier supervisors left, by state key.
        report: told after each change of an account's state.
    """

    def __init__(
        self,
        make_premises: Callable[[Callable[[Account], None]], Premises],
        memories: Mapping[str, Memory],
        *,
        report: Callable[[Account], None],
    ) -> None:
        self.accounts: dict[str, Account] = {}
        self._premises = make_premises(self._account_changed)
        self._memories = Memories(memories, keeper=self._premises.states)
        self._report = report
        self._replacements: dict[str, AccountConfig | None] = {}
        self._left: set[str] | None = None
        """Whose process is still there while everything is taken down; `None` before that."""
        self._is_down = asyncio.Event()

    def apply(self, wanted: Mapping[str, AccountConfig]) -> Changes:
        """Touch only what differs: new accounts start, others stop, changed ones stop and start anew.

        While everything is being taken down, nothing changes any more.
        """
        if self._left is not None:
            return Changes(added=[], removed=[], changed=[])
        present = {
            name: self._replacements.get(name, account.config) for name, account in self.accounts.items()
        }
        changes = Changes(
            added=[name for name in wanted if present.get(name) is None],
            removed=[name for name, config in present.items() if config is not None and name not in wanted],
            changed=[
                name
                for name, config in wanted.items()
                if present.get(name) is not None and present[name] != config
            ],
        )
        for name in (*changes.removed, *changes.changed):
            self._retire(self.accounts[name], wanted.get(name))
        for name in changes.added:
            if name in self.accounts:  # it is still leaving, from an earlier change
                self._replacements[name] = wanted[name]
                self.accounts[name].is_called_for = True  # as for any that is added
            else:
                self._make(wanted[name]).start()
        self._arrange(wanted)
        self._memories.trim()
        return changes

    async def wind_down(self) -> None:
        """Stop every account at once, and wait for the slowest stop timeout."""
        self._left = set(self.accounts)
        self._replacements.clear()
        longest_s = max((a.config.settings.stop_timeout_s for a in self.accounts.values()), default=0.0)
        if not self._left:
            self._is_down.set()
        for account in tuple(self.accounts.values()):
            account.retire()
            self._note_down(account)
        try:
            async with asyncio.timeout(longest_s + _STOP_MARGIN_S):
                await self._is_down.wait()
        except TimeoutError:
            _log.error("accounts_did_not_stop", accounts=sorted(self._left))

    def _arrange(self, wanted: Mapping[str, AccountConfig]) -> None:
        """Bring the accounts into the order of the configuration, those that leave behind them."""
        leaving = [name for name in self.accounts if name not in wanted]
        for name in (*wanted, *leaving):
            self.accounts[name] = self.accounts.pop(name)

    def _make(self, config: AccountConfig) -> Account:
        memory = self._memories.take(config.account)
        account = self.accounts[config.account] = Account(config, self._premises, memory)
        return account

    def _retire(self, account: Account, replacement: AccountConfig | None) -> None:
        if account.state is State.STOPPED:
            self._replace(account, replacement)
            return
        self._replacements[account.name] = replacement
        account.retire()
        self._settle(account)

    def _account_changed(self, account: Account) -> None:
        self._report(account)
        self._settle(account)
        self._note_down(account)

    def _note_down(self, account: Account) -> None:
        if self._left is not None and account.state is State.STOPPED:
            self._left.discard(account.name)
            if not self._left:
                self._is_down.set()

    def _settle(self, account: Account) -> None:
        if account.state is State.STOPPED and account.name in self._replacements:
            self._replace(account, self._replacements.pop(account.name))

    def _replace(self, old: Account, config: AccountConfig | None) -> None:
        """Put an account with the new configuration in the place of one that is stopped.

        It starts unless the operator wants it stopped, whether he said so before the change or since.
        """
        self._memories.keep(old.name, old.memory)
        if config is None:
            del self.accounts[old.name]
            self._memories.trim()
            return
        account = self._make(config)
        if old.is_called_for:
            account.start()
