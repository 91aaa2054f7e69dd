"""The supervisor's log: constant event names with fields, redacted, one line each."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog

from longwire.logbook import Logbook
from longwire.logger import blank, get_logger, redaction
from longwire.loglimit import LogLimit, topic

_log = get_logger("longwire.logs")

Format = Literal["console", "json"]


class _Stderr:
    """Standard error, whose reader may be gone: a log line is never worth a crash."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


class _Bound:
    """The processor that leaves out what is said too often, and says how much."""

    def __init__(self) -> None:
        self.limit = LogLimit()

    def __call__(
        self, _logger: Any, _method: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if fields["level"] == "debug":
            return fields  # who asks for these wants them all
        left_out = self.limit.admit(topic(fields), time.monotonic())
        if left_out is None:
            raise structlog.DropEvent
        return {**fields, "left_out": left_out} if left_out else fields


_bound = _Bound()

_SUM_UP_EVERY_S = 10.0


async def keep_count() -> None:
    """Say now and then how many lines were left out of what is said no more; never returns."""
    while True:
        await asyncio.sleep(_SUM_UP_EVERY_S)
        sum_up()


def sum_up(*, is_last: bool = False) -> None:
    """Say how many lines were left out of what is said no more; at the end (`is_last`), of everything."""
    now = time.monotonic()
    for about, left_out in _bound.limit.ended(now, **({"quiet_s": 0.0} if is_last else {})):
        account, event = (about.account, about.event) if about else (None, None)
        _log.info("lines_left_out", account=account, of=event or "other lines", left_out=left_out)


class _Libraries(logging.Handler):
    """Makes lines of what libraries log, asyncio's complaints for example."""

    def emit(self, record: logging.LogRecord) -> None:
        tens = record.levelno // 10 * 10  # levels between them structlog does not know
        level = min(max(logging.DEBUG, tens), logging.CRITICAL)
        _log.log(level, "library", logger=record.name, text=self.format(record))


def configure(*, format_: Format, level: str, logbook: Logbook, secrets: Iterable[str] = ()) -> None:
    """Log to stderr and to a logbook, in a process that is ours: a host that embeds us logs as it likes.

    What is said too often is left out of both (`loglimit`), debug lines apart.

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
            _bound,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redaction,
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
