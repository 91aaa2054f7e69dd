"""Where the accounts of a running supervisor come from: a file that can be read again, and commands over it.

What is read and checked becomes a `Candidate`; only one that is adopted counts. So a mistake changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from longwire.config import Config, Describer, Overlay, from_mapping, parsed
from longwire.config.files import Files
from longwire.config.loading import read_config_file
from longwire.config.overlay import Section, pinned, tables_of
from longwire.config.secrets import Fetched, read_secret_file
from longwire_protocol.declaration import ConnectorSpec
from longwire_protocol.errors import ConfigError, Problem
from longwire_protocol.threads import in_thread

Specs = Mapping[str, ConnectorSpec]
Fetch = Callable[[Mapping[str, Any]], Mapping[str, Fetched]]

_CHECK_S = 120.0
"""How long a check may take in all. Its files (`Files`) and interpreters (`Describer`) have shorter bounds of
their own; this is for what has none, as the start of an interpreter that is on a mount that is gone."""

_MOST_CHECKS = 4
"""Threads that may be left behind in such checks, before another one is refused."""


_NO_WEBHOOKS = Overlay(section="webhooks")


class Asker(Protocol):
    """Asks interpreters for their connectors; see `Describer`."""

    def __call__(self, python: str | None = None) -> Specs:
        """Return them by name. Raises ConfigError."""
        ...

    def interrupt(self) -> None:
        """Have all questions fail."""
        ...


class Candidate(msgspec.Struct, frozen=True):
    """A configuration that passed every check, and what it was made of."""

    config: Config
    file: Mapping[str, Any]
    overlay: Overlay
    webhooks: Overlay
    """What commands changed of these."""
    specs: dict[str | None, Specs]


class Configuration:
    """The file's layer, and over it what commands changed.

    Args:
        file: what the file holds, or a host's mapping of the same shape; not checked.
        base: the folder from which relative paths count.
        environ: where `env:` secrets are.
        read: reads the file again; `None` where there is none.
        asker: makes who asks interpreters for their connectors.
        files: reads the files that it names.
        fetch: asks the host's vaults for what the accounts of a configuration refer to; blocks.

    Raises:
        ConfigError: with every mistake found.
    """

    def __init__(
        self,
        file: Mapping[str, Any],
        *,
        base: Path,
        environ: Mapping[str, str],
        read: Callable[[], Mapping[str, Any]] | None = None,
        asker: Callable[[], Asker] = Describer,
        files: Files | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._base = base.absolute()
        self._environ = environ
        self._read = read
        self._asker = asker
        self._files = files or Files()
        self._fetch = fetch
        self._checks: set[object] = set()
        """Under way, those too for which nobody waits any more."""
        self._present = self._checked(file, Overlay(), _NO_WEBHOOKS, asker(), {})

    @classmethod
    def of_file(cls, path: Path, *, environ: Mapping[str, str], fetch: Fetch | None = None) -> Configuration:
        """Return that of a TOML file; blocks. Raises ConfigError."""
        files = Files()
        again = partial(parsed, path.absolute(), partial(files.read, read=read_config_file))
        values = parsed(path.absolute())  # by whom it is started, and may be kept waiting
        base = path.absolute().parent
        return cls(values, base=base, environ=environ, read=again, files=files, fetch=fetch)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._present.config

    @property
    def overlay(self) -> Overlay:
        """What commands changed of the accounts."""
        return self._present.overlay

    @property
    def webhooks(self) -> Overlay:
        """What commands changed of the webhooks."""
        return self._present.webhooks

    @property
    def has_file(self) -> bool:
        """Whether there is a file that can be read again."""
        return self._read is not None

    def is_as_in_the_file(self, section: Section, name: str) -> bool:
        """Say whether an account or webhook is what it would be after a restart of the supervisor."""
        present = self._present
        overlay = present.overlay if section == "accounts" else present.webhooks
        effective = tables_of(overlay.laid_over(present.file), section)
        return effective.get(name) == tables_of(present.file, section).get(name)

    def without(self, name: str) -> Overlay:
        """Return what commands changed if this account is removed, too."""
        return self._present.overlay.removed(name, file=self._present.file)

    def without_webhook(self, name: str) -> Overlay:
        """Return what commands changed if this webhook is removed, too."""
        return self._present.webhooks.removed(name, file=self._present.file)

    async def reread(self) -> Candidate:
        """Read the file again, secrets and connectors too, and lay over it what commands changed.

        Raises:
            ConfigError: with every mistake found.
        """
        read = self._read
        if read is None:
            raise RuntimeError("there is no file to read again")
        overlay, webhooks = self._present.overlay, self._present.webhooks

        def work(ask: Asker) -> Candidate:
            file = read()
            kept, kept_webhooks = overlay.kept_over(file), webhooks.kept_over(file)
            try:
                return self._checked(file, kept, kept_webhooks, ask, {})
            except ConfigError as exc:
                raise ConfigError(kept_webhooks.blamed(kept.blamed(exc.problems))) from exc

        return await self._in_thread(work)

    async def changed(self, name: str, overlay: Overlay) -> Candidate:
        """Look at another overlay, in which only the account or webhook `name` differs; no other is read.

        Raises:
            ConfigError: with every mistake found.
        """
        present, section = self._present, overlay.section
        accounts = overlay if section == "accounts" else present.overlay
        webhooks = overlay if section == "webhooks" else present.webhooks
        specs = dict(present.specs)
        return await self._in_thread(
            lambda ask: self._checked(present.file, accounts, webhooks, ask, specs, only=(section, name))
        )

    async def replaced(self, accounts: Mapping[str, Any]) -> Candidate:
        """Look at these accounts in place of all there are, secrets read again; the rest is as it is.

        Raises:
            ConfigError: with every mistake found.
        """
        present = self._present
        file = {**present.file, "accounts": accounts}
        specs = dict(present.specs)
        return await self._in_thread(lambda ask: self._checked(file, Overlay(), present.webhooks, ask, specs))

    def adopt(self, candidate: Candidate) -> None:
        """Have it count."""
        self._present = candidate

    def _checked(
        self,
        file: Mapping[str, Any],
        overlay: Overlay,
        webhooks: Overlay,
        ask: Asker,
        specs: dict[str | None, Specs],
        *,
        only: tuple[Section, str] | None = None,
    ) -> Candidate:
        """Return the configuration; `specs` is what is known of interpreters, and becomes more."""
        problems = overlay.foreign_interpreters(file, base=self._base)
        if problems:
            raise ConfigError(problems)
        values = overlay.laid_over(file)
        if webhooks.entries:
            values = webhooks.laid_over(values)
        if only is not None:
            values = pinned(values, self.config, except_for=only)

        def describe(python: str | None) -> Specs:
            if python not in specs:
                specs[python] = ask(python)
            return specs[python]

        config = from_mapping(
            values,
            base=self._base,
            specs=describe,
            environ=self._environ,
            read_secret=partial(self._files.read, read=read_secret_file),
            fetched=None if self._fetch is None else self._fetch(values),
        )
        return Candidate(config, file, overlay, webhooks, specs)

    async def _in_thread(self, work: Callable[[Asker], Candidate]) -> Candidate:
        """Do what blocks on a thread of its own, which nobody has to wait for; one at a time.

        Raises:
            ConfigError: it was not done in time, or earlier ones never were.
        """
        if len(self._checks) >= _MOST_CHECKS:
            raise _not_checked("earlier checks of it still hang; see what mounts and interpreters it names")
        ask = self._asker()
        self._checks.add(ask)

        def check() -> Candidate:
            try:
                return work(ask)
            finally:
                self._checks.discard(ask)

        try:
            return await in_thread(check, name="configuration", timeout_s=_CHECK_S)
        except TimeoutError:
            ask.interrupt()
            raise _not_checked(f"it could not be checked within {_CHECK_S:g} s") from None
        except asyncio.CancelledError:
            ask.interrupt()
            raise


def _not_checked(why: str) -> ConfigError:
    return ConfigError([Problem("", why)])
