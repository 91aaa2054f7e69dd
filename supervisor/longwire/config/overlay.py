"""What commands changed: a layer over the file's, as long as the supervisor lives. Pure.

The file's layer is the table as it was written. An account, or a webhook, that was added by command stands
alone; one that was updated is the file's with some keys laid over it; one that was removed is hidden. When
the file no longer has it, what was said about it is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from longwire.config import webhooks
from longwire.config.paths import located
from longwire.config.secrets import Secret
from longwire.config.settings import Config
from longwire_protocol.errors import Problem

Values = Mapping[str, Any]
"""A file, or a table of it, as TOML gives it; a `Secret` may stand where a secret's text may."""

How = Literal["added", "updated", "removed"]


Section = Literal["accounts", "webhooks"]


class Entry(msgspec.Struct, frozen=True):
    """What was said about one account or webhook."""

    table: Values | None
    """Its table, or the keys to lay over the file's, where `None` takes a key away; `None`: it is hidden."""
    is_patch: bool = False
    """Whether the table is laid over the file's."""

    @property
    def how(self) -> How:
        """What became of it."""
        if self.table is None:
            return "removed"
        return "updated" if self.is_patch else "added"


class Overlay(msgspec.Struct, frozen=True):
    """What was said about each of a section. Never changed: each method returns another one."""

    entries: Mapping[str, Entry] = {}
    section: Section = "accounts"

    def added(self, name: str, table: Values) -> Overlay:
        """Have one that is not there."""
        return self._with(name, Entry(_laid_over({}, table)))

    def updated(self, name: str, keys: Values) -> Overlay:
        """Lay keys over one that is there; `None` takes one away, so that its default counts."""
        old = self.entries.get(name)
        if old is None or old.table is None:
            return self._with(name, Entry(keys, is_patch=True))
        merged = {**old.table, **keys} if old.is_patch else _laid_over(old.table, keys)
        return self._with(name, Entry(merged, is_patch=old.is_patch))

    def removed(self, name: str, *, file: Values) -> Overlay:
        """Have one no more: forget what was said about it, and hide it where the file has it."""
        others = {known: entry for known, entry in self.entries.items() if known != name}
        is_hidden = name in tables_of(file, self.section)
        return self._of({**others, name: Entry(None)} if is_hidden else others)

    def kept_over(self, file: Values) -> Overlay:
        """Return what still has a meaning over another file."""
        names = tables_of(file, self.section)
        return self._of(
            {name: entry for name, entry in self.entries.items() if name in names or entry.how == "added"}
        )

    def laid_over(self, file: Values) -> dict[str, Any]:
        """Return the file as it would be with all this; what is added stands behind what the file has."""
        tables = dict(tables_of(file, self.section))
        for name, entry in self.entries.items():
            if entry.table is None:
                tables.pop(name, None)
            elif not entry.is_patch:
                tables[name] = entry.table
            elif isinstance(tables.get(name), Mapping):
                tables[name] = _laid_over(tables[name], entry.table)
        is_wrong = not isinstance(file.get(self.section, {}), Mapping)  # as the checks will say
        return dict(file) if is_wrong else {**file, self.section: tables}

    def blamed(self, problems: Sequence[Problem]) -> list[Problem]:
        """Return problems that say where something is not what the file says."""
        what = self.section.removesuffix("s")
        hows = {f"{self.section}.{name}.": how for name, how in self.hows().items()}

        def blame(problem: Problem) -> Problem:
            how = next((how for at, how in hows.items() if f"{problem.place}.".startswith(at)), None)
            note = f"; this {what} was {how} by command"
            return problem if how is None else Problem(problem.place, problem.message + note)

        return [blame(problem) for problem in problems]

    def foreign_interpreters(self, file: Values, *, base: Path) -> list[Problem]:
        """Return a problem for each interpreter that only a command names: no message may have us run one.

        To be asked before the accounts are checked, because that starts each interpreter that they name.

        Args:
            file: the file's layer.
            base: the folder from which relative paths count.
        """
        named = {_path(written, base) for written in _interpreters(file)}
        message = "a command may only name an interpreter that the file names too"
        return [
            Problem(f"accounts.{name}.python", message)
            for name, entry in self.entries.items()
            if isinstance(written := (entry.table or {}).get("python"), str)
            and _path(written, base) not in named
        ]

    def hows(self) -> dict[str, How]:
        """Return what became of each about which something was said."""
        return {name: entry.how for name, entry in self.entries.items()}

    def _with(self, name: str, entry: Entry) -> Overlay:
        return self._of({**self.entries, name: entry})

    def _of(self, entries: Mapping[str, Entry]) -> Overlay:
        return Overlay(entries, self.section)


def accounts_of(file: Values) -> Values:
    """Return the tables of the accounts by name; none where the file has something else in their place."""
    return tables_of(file, "accounts")


def tables_of(file: Values, section: Section) -> Values:
    """Return the tables of a section by name; none where the file has something else in their place."""
    return _table(file.get(section))


def pinned(values: Values, config: Config, *, except_for: tuple[Section, str]) -> dict[str, Any]:
    """Return the values with the secrets that are in use in the place of where they are kept.

    So the change of one account or webhook reads no other one's secrets again: a file that was changed, or is
    gone, concerns the next reload.
    """
    accounts, targets = dict(accounts_of(values)), dict(tables_of(values, "webhooks"))
    section, but = except_for
    for name in accounts.keys() & config.accounts.keys():
        if (section, but) != ("accounts", name):
            options = config.accounts[name].options
            secrets = {key: value for key, value in options.items() if isinstance(value, Secret)}
            accounts[name] = {**accounts[name], **secrets}
    for name in targets.keys() & config.webhooks.keys():
        if (section, but) != ("webhooks", name):
            targets[name] = webhooks.pinned(targets[name], config.webhooks[name])
    return {**values, "accounts": accounts, **({"webhooks": targets} if targets else {})}


def _table(given: object) -> Values:
    return cast("Values", given) if isinstance(given, Mapping) else {}


def _laid_over(table: Values, keys: Values) -> dict[str, Any]:
    return {key: value for key, value in {**table, **keys}.items() if value is not None}


def _interpreters(file: Values) -> Iterator[str]:
    groups = (_table(file.get("connectors")), accounts_of(file))
    tables = [file.get("defaults"), *(table for group in groups for table in group.values())]
    for table in tables:
        if isinstance(python := _table(table).get("python"), str):
            yield python


def _path(written: str, base: Path) -> Path | None:
    try:
        return located(written, base=base)
    except ValueError:  # reported where the value is checked
        return None
