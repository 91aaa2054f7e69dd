"""Secrets: read from where the operator keeps them, and wrapped so that no repr, dump or log shows them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from longwire.config.paths import located
from longwire_protocol.redaction import REDACTED

ENV = "env:"
FILE = "file:"
MAX_FILE_BYTES = 64 * 1024
"""Far over any platform's secret: a wrong path, as that of a device or a log, must not fill the memory."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A secret value. It prints as `[redacted]` and msgspec refuses to encode it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value in the clear."""
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class UnresolvableSecret(ValueError):
    """The secret is not where the configuration says; the text tells what to do and holds no value."""


def is_variable(text: str) -> bool:
    """Say whether the text is `env:NAME` with a possible name."""
    return text.startswith(ENV) and _VARIABLE.fullmatch(text.removeprefix(ENV)) is not None


Fetched = Secret | UnresolvableSecret
"""What a reference into a host's vault stands for, or why that is not known."""


def resolve(
    written: str | Secret,
    *,
    base: Path,
    environ: Mapping[str, str],
    read_file: Callable[[Path], str],
    fetched: Mapping[str, Fetched],
) -> Secret:
    """Return the secret that `env:NAME`, `file:PATH` (relative to `base`) or the text itself stands for.

    A `Secret` stands for itself, whatever its text looks like; a text that is a key of `fetched` for what is
    there.

    The newlines at a file's end are no part of it.

    Raises:
        UnresolvableSecret: the variable is not set, the file cannot be read, or there is nothing in it.
    """
    if isinstance(written, Secret):
        value, where = written.reveal(), "the secret"
    elif (found := fetched.get(written)) is not None:
        value, where = _of_vault(found), f"the secret {written}"
    elif written.startswith(ENV):
        value, where = _from_environment(written, environ)
    elif written.startswith(FILE):
        value, where = _from_file(written.removeprefix(FILE), base, read_file)
    else:
        value, where = written, "the secret"
    if not value.strip():
        raise UnresolvableSecret(f"{where} is empty")
    return Secret(value)


def _of_vault(found: Fetched) -> str:
    if isinstance(found, UnresolvableSecret):
        raise found
    return found.reveal()


def _from_environment(written: str, environ: Mapping[str, str]) -> tuple[str, str]:
    if not is_variable(written):  # not repeated: it may be the secret itself
        raise UnresolvableSecret(f"{ENV} must be followed by the name of an environment variable")
    name = written.removeprefix(ENV)
    if name not in environ:
        raise UnresolvableSecret(f"the environment variable {name} is not set")
    return environ[name], f"the environment variable {name}"


def _from_file(name: str, base: Path, read_file: Callable[[Path], str]) -> tuple[str, str]:
    if not name:
        raise UnresolvableSecret(f"{FILE} must be followed by a path")
    try:
        path = located(name, base=base)
        return read_file(path).rstrip("\r\n"), f"the file {path}"
    except UnicodeDecodeError:  # it knows the bytes, so neither its text nor it as a cause goes on
        raise UnresolvableSecret(f"the file {name} is not UTF-8 text") from None
    except OSError as exc:
        raise UnresolvableSecret(f"the file {name} cannot be read: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise UnresolvableSecret(f"{FILE} needs a usable path: {exc}") from None


def read_secret_file(path: Path) -> str:
    """Return a small text file's content.

    Raises:
        OSError: unreadable, no regular file, or larger than `MAX_FILE_BYTES`.
        UnicodeDecodeError: not UTF-8.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is no regular file")
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"it is larger than {MAX_FILE_BYTES} bytes")
    return data.decode()


def _at_once(name: str, flags: int) -> int:
    """Open it without waiting: for a FIFO that would be until somebody writes."""
    return os.open(name, flags | os.O_NONBLOCK)
