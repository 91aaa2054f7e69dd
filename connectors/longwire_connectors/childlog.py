"""What a child logs: one JSON object a line on its stderr, without secrets. The parent adds the account."""

from __future__ import annotations

import faulthandler
import logging
import sys
from typing import Any

import msgspec

from longwire_protocol.redaction import Redactor

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _JsonFormatter(logging.Formatter):
    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return self._redact(msgspec.json.encode(line, enc_hook=str).decode())


def configure(*, level: str, secrets: list[str]) -> None:
    """Send every logger of this process to stderr, redacted; also uncaught exceptions and warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(Redactor(secrets)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a log call must never be the failure (dingtalk_stream/stream.py 89)
    logging.captureWarnings(capture=True)
    faulthandler.enable()
    sys.excepthook = lambda kind, exc, trace: logging.getLogger("longwire.child").critical(
        "uncaught_exception", exc_info=(kind, exc, trace)
    )
