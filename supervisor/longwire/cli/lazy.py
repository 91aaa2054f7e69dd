"""A group whose verbs are imported when they are called, so that each starts as fast as it can."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple, cast

import click


class Verb(NamedTuple):
    """Where a verb is, and what the group's help says of it."""

    target: str
    """`module:attribute` of the click command."""
    summary: str
    without: str = ""
    """A package that is kept out while the module is imported: a library would import it for nothing."""


class LazyGroup(click.Group):
    """A click group of `Verb`s; its help imports none of them."""

    def __init__(self, *args: Any, verbs: Mapping[str, Verb], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they were given."""
        del ctx
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb and return it."""
        del ctx
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        module, _, attribute = verb.target.partition(":")
        with _kept_out(verb.without):
            return cast("click.Command", getattr(import_module(module), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in self._verbs.items()])


@contextmanager
def _kept_out(package: str) -> Generator[None]:
    """Have whoever imports the package now find that there is none; nothing for one that is imported."""
    if not package or package in sys.modules:
        yield
        return
    modules: dict[str, object] = cast("dict[str, object]", sys.modules)
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]
