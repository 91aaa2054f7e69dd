"""The supervisor's log: constant event names with fields, redacted, one line each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog

from longwire_protocol.redaction import Redactor

Format = Literal["console", "json"]


class _Redaction:
    """The processor that blanks secrets and leaves out what is not applicable."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._redact = Redactor()

    def blank(self, secrets: Iterable[str]) -> None:
        self._secrets.update(secrets)
        self._redact = Redactor(self._secrets)

    def text(self, text: str) -> str:
        return self._redact(text)

    def __call__(
        self, _logger: Any, _method: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        redact = self._redact
        return {
            key: redact(value) if isinstance(value, str) else value
            for key, value in fields.items()
            if value is not None
        }


class _Stderr:
    """Standard error, whose reader may be gone: a log line is never worth a crash."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


_redaction = _Redaction()


def blank(secrets: Iterable[str]) -> None:
    """Blank these values in the log from now on, beside those known before."""
    _redaction.blank(secrets)


class _RedactingFormatter(logging.Formatter):
    """For what libraries log."""

    def format(self, record: logging.LogRecord) -> str:
        return _redaction.text(super().format(record))


def configure(*, format_: Format, level: str, secrets: Iterable[str] = ()) -> None:
    """Log to stderr, for a process that is ours: an embedding host keeps its own configuration.

    Args:
        format_: `console` for people, `json` for machines.
        level: the least level shown, e.g. `info`.
        secrets: values to blank wherever they turn up.
    """
    blank(secrets)
    render: Any
    if format_ == "json":
        render = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redaction,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Stderr())),
        cache_logger_on_first_use=False,
    )
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper in a process of ours
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
