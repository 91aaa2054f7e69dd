"""What verbs share that change the accounts of a running supervisor: answers, refusals, secrets."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from longwire.cli.connection import ask
from longwire.cli.output import print_json
from longwire.config.secrets import ENV, FILE, UnresolvableSecret, read_secret_file, resolve
from longwire_protocol.errors import CommandError, ConfigError, Problem, RetCode

STDIN = "-"

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Refusal(msgspec.Struct):
    problems: list[Problem]


def table_option(what: str) -> Callable[[_Command], _Command]:
    """Return the option `--from` of what is to be read: the table of an account, or of a webhook."""
    return click.option(
        "--from",
        "source",
        metavar="FILE",
        help=f"TOML with the keys of the {what}, as [{what}s.NAME] would hold them; - reads standard input.",
    )


def ask_for_change(config: Path, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the supervisor answers.

    Raises:
        ConfigError: the change would be a mistake, with every one of them.
        LongwireError: see `ask`.
    """
    try:
        answer: dict[str, Any] = ask(config, lambda client: client.call(method, dict(params)))
    except CommandError as exc:
        if exc.retcode == RetCode.CONFIG_REFUSED:
            raise ConfigError(msgspec.convert(exc.data, _Refusal).problems) from exc
        raise
    return answer


def show_changes(answer: Mapping[str, Any], *, as_json: bool, what: str = "account") -> None:
    """Print which accounts, or webhooks, were touched, and what else there is to know."""
    if as_json:
        print_json(answer)
        return
    _show_names(answer, what)
    _show_names(answer.get("webhooks", {}), "webhook", is_other=True)
    if answer.get("until"):
        click.echo(f"until: {answer['until']}; then the file counts")
    for key in answer.get("needs_restart", ()):
        click.echo(f"{key}: counts after a restart of the supervisor only")


def _show_names(answer: Mapping[str, Any], what: str, *, is_other: bool = False) -> None:
    hows = [how for how in ("added", "changed", "removed") if answer.get(how)]
    for how in hows:
        for name in answer[how]:
            click.echo(f"{what} {name}: {how}" if is_other else f"{name}: {how}")
    if not hows and not is_other:
        click.echo(f"no {what} differs")


def refuse_two_readers(source: str | None, secrets: Sequence[str]) -> None:
    """Raise click.UsageError where two options would read standard input."""
    readers = [source, *(each.partition("=")[2] for each in secrets)]
    if readers.count(STDIN) > 1:
        raise click.UsageError("standard input can be read once only")


def read_table(source: str | None) -> dict[str, Any]:
    """Return the keys of an account from a TOML file, or from standard input.

    Raises:
        click.UsageError: it cannot be read, or is no TOML.
    """
    if source is None:
        return {}
    try:
        return tomllib.loads(_stdin() if source == STDIN else Path(source).read_text(encoding="utf-8"))
    except OSError as exc:
        raise click.UsageError(f"--from: {source} cannot be read: {exc.strerror or exc}") from None
    except ValueError as exc:  # not TOML, not UTF-8; the texts quote no values
        raise click.UsageError(f"--from: {source} is not valid TOML: {exc}") from None


def read_secrets(given: Sequence[str]) -> dict[str, str]:
    """Return secrets by key, each given as `KEY=env:NAME`, `KEY=file:PATH` or `KEY=-`.

    Never the secret itself: others see the arguments of a process.

    Raises:
        click.UsageError: it is none of these, or there is no secret.
    """
    return dict(_read_secret(each) for each in given)


def _read_secret(given: str) -> tuple[str, str]:
    key, _, source = given.partition("=")
    if not key or not (source == STDIN or source.startswith((ENV, FILE))):
        raise click.UsageError("--secret: expected KEY=env:NAME, KEY=file:PATH or KEY=- for standard input")
    if source == STDIN:
        return key, _stdin().rstrip("\r\n")
    try:
        secret = resolve(source, base=Path.cwd(), environ=os.environ, read_file=read_secret_file, fetched={})
    except UnresolvableSecret as exc:
        raise click.UsageError(f"--secret: {key}: {exc}") from None
    return key, secret.reveal()


def _stdin() -> str:
    return sys.stdin.read()
