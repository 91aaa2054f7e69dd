"""Files that a configuration names, read so that none of them keeps the reader waiting for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

TIMEOUT_S = 10.0
"""How long one may take. They are small, and take milliseconds; a mount that is gone takes for ever."""

_NEXT_S = 1.0
"""How long one may take while another hangs: mostly they are on the same mount, and the sum is bounded."""

_MOST = 8
"""How many may hang at a time. Each costs a thread; from then on none is read before one has answered."""


class Files:
    """Reads them one after the other, and remembers which never answered.

    Args:
        timeout_s: how long one may take, in seconds.
        next_s: the same while another hangs.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, next_s: float = _NEXT_S) -> None:
        self._timeout_s = timeout_s
        self._next_s = next_s
        self._hanging: dict[Path, threading.Thread] = {}

    def read(self, path: Path, read: Callable[[Path], str]) -> str:
        """Return what `read` returns for the path; blocks, but not for long.

        Raises:
            OSError: there was no answer in time, or an earlier attempt still waits for one.
            Exception: whatever `read` raised.
        """
        self._refuse_hopeless(path)
        answer: Future[str] = Future()
        thread = threading.Thread(target=_ask, args=(path, read, answer), name="read a file", daemon=True)
        timeout_s = self._next_s if self._hanging else self._timeout_s
        thread.start()
        try:
            return answer.result(timeout_s)
        except TimeoutError:
            if answer.done():  # it is what `read` raised
                raise
        self._hanging[path] = thread
        raise OSError(f"no answer within {timeout_s:g} s")

    def _refuse_hopeless(self, path: Path) -> None:
        """Raise OSError where another attempt would only be another thread that hangs."""
        self._hanging = {each: thread for each, thread in self._hanging.items() if thread.is_alive()}
        if path in self._hanging:
            raise OSError("an earlier attempt still waits for an answer")
        if len(self._hanging) >= _MOST:
            raise OSError(f"not tried, as {_MOST} other files do not answer")


def _ask(path: Path, read: Callable[[Path], str], answer: Future[str]) -> None:
    try:
        answer.set_result(read(path))
    except BaseException as error:  # noqa: BLE001  # the edge of a thread: who waits gets it
        answer.set_exception(error)
