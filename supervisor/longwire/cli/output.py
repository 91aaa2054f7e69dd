"""What all verbs share in printing: `--json`, and texts of strangers on a terminal."""

from __future__ import annotations

import os
import unicodedata

import click
import msgspec

json_option = click.option("--json", "as_json", is_flag=True, help="Print the data as JSON.")
"""The flag of every verb that prints data; its parameter is `as_json`."""


def print_json(data: object) -> None:
    """Print the data as one line of JSON."""
    click.echo(msgspec.json.encode(data))


def in_readers_words(text: str, chinese: str | None) -> str:
    """Return the text, or the Chinese one for whom the locale says so.

    The first of the variables that is set decides (locale(7)).
    """
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    is_chinese = next(filter(None, map(os.environ.get, names)), "").startswith("zh")
    return chinese if is_chinese and chinese else text


def printable(text: str) -> str:
    """Return the text with control characters made visible: a chat must not steer the operator's terminal."""
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in {"Cc", "Cf", "Cs"} else char for char in text
    )
