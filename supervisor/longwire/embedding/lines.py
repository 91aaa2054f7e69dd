"""The log lines of an embedded core, spoken on a thread of their own: what the host does with them may block.

A handler that writes into a full pipe, one whose lock the host holds while its own loop stands still, a
processor that raises: on the core's thread each would hold up heartbeats and acks, or take the core down.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from longwire.logger import get_logger

_log = get_logger("longwire.supervisor")

MOST = 4_096
"""Lines that may wait, some hundred bytes each; what comes beyond is counted, and is in `longwire logs`."""


class Lines:
    """Says them in their order, as soon as the host takes them; on a daemon thread, until `close`."""

    def __init__(self, *, most: int = MOST) -> None:
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(most)
        self._left_out = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="longwire log", daemon=True)
        self._thread.start()

    def say(self, line: Callable[[], object]) -> None:
        """Have it said, soon; does not wait. From one thread."""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    def close(self, *, timeout_s: float) -> None:
        """Return when all is said, or when that takes too long; it goes on then."""
        self._is_closed = True
        with suppress(queue.Full):  # then it looks after each line
            self._waiting.put_nowait(None)
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        while (line := self._waiting.get()) is not None:
            _try(line)
            if self._left_out and self._waiting.empty():
                left_out, self._left_out = self._left_out, 0
                _try(partial(_log.warning, "host_log_blocked", lines=left_out))
            if self._is_closed and self._waiting.empty():
                return


def _try(line: Callable[[], object]) -> None:
    try:
        line()
    except Exception:  # noqa: BLE001  the host's code, and no log that could be told; as `logging` does it
        if logging.raiseExceptions:
            traceback.print_exc()
