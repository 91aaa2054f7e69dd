"""On the path of a supervisor: makes it what an embedding host may be, a program that forks later.

At SIGUSR1 it forks a process that keeps every descriptor a fork gets, and sleeps.
"""

from __future__ import annotations

import os
import signal
import time


def _fork(_number: int, _frame: object) -> None:
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)


signal.signal(signal.SIGUSR1, _fork)
