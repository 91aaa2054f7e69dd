"""What the courier logs: one JSON object a line on its stderr. The supervisor blanks secrets in it."""

from __future__ import annotations

import faulthandler
import logging
import sys

from longwire_protocol.jsonlines import JsonLines


def configure() -> None:
    """Send every logger of this process to stderr, warnings too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    faulthandler.enable()
