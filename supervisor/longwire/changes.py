"""Changes of the accounts while the supervisor runs: the file read again, or commands over it.

One after the other, each as a whole or not at all; what an account does then is the fleet's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from longwire.config import Config, Overlay, Secret, SupervisorSettings
from longwire.configuration import Candidate, Configuration
from longwire.fleet import Changes
from longwire.logger import get_logger
from longwire_protocol.errors import CommandError, ConfigError, Problem, RetCode
from longwire_protocol.messages import Request

_log = get_logger("longwire.changes")

T = TypeVar("T")


class Keys(Protocol):
    """Params that lay keys over something, plain ones and secret ones."""

    @property
    def config(self) -> Mapping[str, Any]:
        """As the file would have them."""
        ...

    @property
    def secrets(self) -> Mapping[str, Any]:
        """The others."""
        ...


Given = TypeVar("Given", bound=Keys)

UNTIL = "supervisor restart"
"""How long a change by command lasts: then the file alone counts."""

_MAX_NAMED = 5
"""Mistakes that a message names; all of them are in the data."""


class Taken(msgspec.Struct, frozen=True):
    """What another configuration changed."""

    accounts: Changes
    webhooks: Changes


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload changed, by names of accounts."""

    added: list[str]
    removed: list[str]
    changed: list[str]
    webhooks: Changes
    """The same of webhooks."""
    needs_restart: list[str]
    """Keys of `[supervisor]`, as `supervisor.data_dir`, that count at the supervisor's next start only."""


class Applied(msgspec.Struct, frozen=True):
    """What it took to have the accounts that a host wants, by their names."""

    added: list[str]
    removed: list[str]
    changed: list[str]
    unchanged: list[str]


class Changed(msgspec.Struct, frozen=True):
    """What a command changed, by names of accounts."""

    account: str
    added: list[str]
    removed: list[str]
    changed: list[str]
    until: str | None
    """`None`: the file says the same of this account."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The params of `account.add` and `account.update`."""

    account: str
    config: dict[str, Any] = {}
    secrets: dict[str, str] = {}

    def table(self) -> dict[str, Any]:
        """Return the account's keys, those of `secrets` as `Secret`."""
        return {**self.config, **{key: Secret(value) for key, value in self.secrets.items()}}


class Changer:
    """Carries out changes of a configuration.

    Args:
        configuration: what the accounts are made of.
        take_over: has the accounts and webhooks of a configuration, and the webhook of this name tried again
            if it is disabled. Raises CommandError.
        running: `[supervisor]` as it was at the start.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        take_over: Callable[[Config, str | None], Awaitable[Taken]],
        running: SupervisorSettings,
    ) -> None:
        self._configuration = configuration
        self._take_over = take_over
        self._running = running
        self.turn = asyncio.Lock()
        """Held by each change."""

    async def reload(self) -> Reloaded:
        """Read the file again and touch only the accounts that differ; for SIGHUP and `config.reload`.

        Raises:
            ConfigError: with every mistake found, which are logged, too; nothing was changed.
            CommandError: there is no file, or the supervisor stops.
        """
        if not self._configuration.has_file:
            raise CommandError(RetCode.BAD_REQUEST, "the supervisor was not started from a file")
        async with self.turn:
            try:
                candidate = await self._configuration.reread()
            except ConfigError as exc:
                for problem in exc.problems:
                    _log.error("reload_refused", place=problem.place, problem=problem.message)
                raise
            taken = await self.adopt(candidate)
        changes, webhooks = taken.accounts, taken.webhooks
        needs_restart = _differing(self._running, candidate.config.supervisor)
        if needs_restart:
            _log.warning("reload_needs_restart", keys=needs_restart)
        _log.info("reloaded", added=changes.added, removed=changes.removed, changed=changes.changed)
        if webhooks.added or webhooks.removed or webhooks.changed:
            _log.info("webhooks_reloaded", **msgspec.structs.asdict(webhooks))
        return Reloaded(changes.added, changes.removed, changes.changed, webhooks, needs_restart)

    async def apply(self, accounts: Mapping[str, Any]) -> Applied:
        """Have these accounts and no others, by the least change; for a host.

        Args:
            accounts: their tables by name, as the file would have them; a `Secret` for one that is known.

        Raises:
            ConfigError: with every mistake found; nothing was changed.
            CommandError: the supervisor stops.
        """
        async with self.turn:
            candidate = await self._configuration.replaced(accounts)
            changes = (await self.adopt(candidate)).accounts
        touched = {*changes.added, *changes.changed}
        unchanged = [name for name in candidate.config.accounts if name not in touched]
        _log.info("accounts_applied", **msgspec.structs.asdict(changes), unchanged=len(unchanged))
        return Applied(changes.added, changes.removed, changes.changed, unchanged)

    async def add(self, request: Request) -> Changed:
        """Have one account more, by the request's params `account`, `config` and `secrets`.

        Raises:
            ConfigError: with every mistake found; nothing was changed.
            CommandError: there is one of that name, or the params are no such.
        """
        wanted = _wanted(request)
        async with self.turn:
            if wanted.account in self._configuration.config.accounts:
                text = f"there is an account {wanted.account!r}; account.update changes it"
                raise CommandError(RetCode.ACCOUNT_EXISTS, text)
            overlay = self._configuration.overlay.added(wanted.account, wanted.table())
            return await self._change(request, wanted.account, overlay)

    async def update(self, request: Request, *, before_restart: Callable[[str], None]) -> Changed:
        """Lay keys over an account, by the same params; a key that is `None` goes.

        Args:
            request: see there.
            before_restart: told the account if it differs, before it is started anew. Raises CommandError.

        Raises:
            ConfigError: with every mistake found; nothing was changed.
            CommandError: there is none of that name, or the params are no such.
        """
        wanted = _wanted(request)
        async with self.turn:
            self._refuse_unknown(wanted.account, request.tenant)
            overlay = self._configuration.overlay.updated(wanted.account, wanted.table())
            return await self._change(request, wanted.account, overlay, before_restart=before_restart)

    async def remove(self, request: Request) -> Changed:
        """Have an account no more; it is stopped, and gone from `status` when its process is.

        Raises:
            CommandError: there is none of that name.
        """
        wanted = _wanted(request)
        if wanted.config or wanted.secrets:
            raise CommandError(RetCode.BAD_PARAM, "account.remove takes nothing but `account`")
        async with self.turn:
            self._refuse_unknown(wanted.account, request.tenant)
            return await self._change(request, wanted.account, self._configuration.without(wanted.account))

    async def _change(
        self,
        request: Request,
        name: str,
        overlay: Overlay,
        *,
        before_restart: Callable[[str], None] | None = None,
    ) -> Changed:
        candidate = await self._configuration.changed(name, overlay)
        account = candidate.config.accounts.get(name)
        if account is not None and request.tenant not in {None, account.tenant}:
            text = f"the request is of the tenant {request.tenant!r}, so the account must be, too"
            raise ConfigError([Problem(f"accounts.{name}.tenant", text)])
        if before_restart is not None and account != self._configuration.config.accounts[name]:
            before_restart(name)
        changes = (await self.adopt(candidate)).accounts
        _log.info(
            "account_configured",
            account=name,
            method=request.method,
            added=changes.added,
            removed=changes.removed,
            changed=changes.changed,
        )
        until = None if self._configuration.is_as_in_the_file("accounts", name) else UNTIL
        return Changed(name, changes.added, changes.removed, changes.changed, until)

    async def adopt(self, candidate: Candidate, *, enable: str | None = None) -> Taken:
        """Have a configuration that was checked; for who holds the turn.

        Raises:
            CommandError: the supervisor stops, or the journal is closing.
        """
        taken = await self._take_over(candidate.config, enable)
        self._configuration.adopt(candidate)
        return taken

    def _refuse_unknown(self, name: str, tenant: str | None) -> None:
        account = self._configuration.config.accounts.get(name)
        if account is None or tenant not in {None, account.tenant}:
            text = f"no account {name!r} in the configuration"
            raise CommandError(RetCode.UNKNOWN_ACCOUNT, text)


async def explained(work: Awaitable[T]) -> T:
    """Return what `work` returns; mistakes become a refusal with every one of them in its data.

    Raises:
        CommandError: it was refused.
    """
    try:
        return await work
    except ConfigError as exc:
        named = "; ".join(map(str, exc.problems[:_MAX_NAMED]))
        more = len(exc.problems) - _MAX_NAMED
        text = f"nothing was changed: {named}" + (f"; and {more} more" if more > 0 else "")
        data = {"problems": exc.problems}
        raise CommandError(RetCode.CONFIG_REFUSED, text, data=data) from exc


def _wanted(request: Request) -> Wanted:
    params: Mapping[str, Any] = request.params
    if request.account is not None:
        params = {**params, "account": request.account}
    return convert_wanted(params, Wanted)


def convert_wanted(params: Mapping[str, Any], kind: type[Given]) -> Given:
    """Return the params of a change.

    Raises:
        CommandError: they are no such, or name a key in `config` and in `secrets`.
    """
    try:
        wanted = msgspec.convert(params, kind)
    except msgspec.ValidationError as exc:  # its text names types and places, never values
        raise CommandError(RetCode.BAD_PARAM, f"params: {exc}") from None
    if twice := sorted(wanted.config.keys() & wanted.secrets.keys()):
        text = f"{', '.join(twice)}: in `config` and in `secrets`"
        raise CommandError(RetCode.BAD_PARAM, text)
    return wanted


def _differing(running: SupervisorSettings, wanted: SupervisorSettings) -> list[str]:
    """Return the keys of the file that differ."""
    fields = [field.name for field in msgspec.structs.fields(SupervisorSettings)]
    return [
        f"supervisor.{name.replace('endpoints', 'endpoint')}"
        for name in fields
        if getattr(running, name) != getattr(wanted, name)
    ]
