"""The supervisor's log: constant event names with fields, redacted, one line each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog

from longwire.logbook import Logbook
from longwire_protocol.redaction import Redactor

_log = structlog.get_logger("longwire.logs")

Format = Literal["console", "json"]


class _Redaction:
    """The processor that blanks secrets and leaves out what is not applicable."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._redact = Redactor()

    def blank(self, secrets: Iterable[str]) -> None:
        self._secrets.update(secrets)
        self._redact = Redactor(self._secrets)

    def __call__(
        self, _logger: Any, _method: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        return {key: self._cleaned(value) for key, value in fields.items() if value is not None}

    def _cleaned(self, value: Any) -> Any:
        """Return plain data, every text of it redacted."""
        match value:
            case str():
                return self._redact(value)
            case None | bool() | int() | float():
                return value
            case dict():
                known = cast("dict[object, object]", value)
                return {self._redact(str(key)): self._cleaned(each) for key, each in known.items()}
            case list() | tuple():
                return [self._cleaned(each) for each in cast("list[object]", value)]
            case _:
                return self._redact(repr(value))


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


class _Libraries(logging.Handler):
    """Makes lines of what libraries log, asyncio's complaints for example."""

    def emit(self, record: logging.LogRecord) -> None:
        tens = record.levelno // 10 * 10  # levels between them structlog does not know
        level = min(max(logging.DEBUG, tens), logging.CRITICAL)
        _log.log(level, "library", logger=record.name, text=self.format(record))


def configure(*, format_: Format, level: str, logbook: Logbook, secrets: Iterable[str] = ()) -> None:
    """Log to stderr and to a logbook, in a process that is ours: a host that embeds us logs as it likes.

    Args:
        format_: `console` for people, `json` for machines.
        level: the least level shown, e.g. `info`.
        logbook: keeps what is shown.
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
            _keeper(logbook),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Stderr())),
        cache_logger_on_first_use=False,
    )
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper in a process of ours
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Libraries()])


def _keeper(logbook: Logbook) -> structlog.typing.Processor:
    def keep(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        logbook.keep(fields)
        return fields

    return keep
