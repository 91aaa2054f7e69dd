"""The one clock of a simulator."""

import asyncio
import time

__all__ = ["Clock"]


class Clock:
    """Unix seconds that never go back: the loop's monotonic time, counted from the wall clock at the start.

    Built inside the running loop. A step of the wall clock is not followed, so that a redelivery is never
    early or late.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset = time.time() - self._loop.time()

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._offset + self._loop.time()
