"""What all verbs share in printing: `--json`, and texts of strangers on a terminal."""

from __future__ import annotations

import unicodedata

import click
import msgspec

json_option = click.option("--json", "as_json", is_flag=True, help="Print the data as JSON.")
"""The flag of every verb that prints data; its parameter is `as_json`."""


def print_json(data: object) -> None:
    """Print the data as one line of JSON."""
    click.echo(msgspec.json.encode(data))


def printable(text: str) -> str:
    """Return the text with control characters made visible: a chat must not steer the operator's terminal."""
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in {"Cc", "Cf", "Cs"} else char for char in text
    )
