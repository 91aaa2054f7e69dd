"""What a child logs: one JSON object a line on its stderr, without secrets. The parent adds the account."""

from __future__ import annotations

import faulthandler
import logging
import sys

from longwire_protocol.jsonlines import JsonLines
from longwire_protocol.redaction import Redactor


class _DiscreetLines(JsonLines):
    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def configure(*, level: str, secrets: list[str]) -> None:
    """Send every logger of this process to stderr, redacted; also uncaught exceptions and warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_DiscreetLines(Redactor(secrets)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a log call must never be the failure (dingtalk_stream/stream.py 89)
    logging.captureWarnings(capture=True)
    faulthandler.enable()
    sys.excepthook = lambda kind, exc, trace: logging.getLogger("longwire.child").critical(
        "uncaught_exception", exc_info=(kind, exc, trace)
    )
