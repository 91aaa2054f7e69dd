"""What the benchmarks can have any child do: Python imports this when it starts, and forks inherit it.

SIGUSR1: a full garbage collection, and then a file named after the process beside this one.
SIGUSR2: a loop that never lets go of the interpreter's lock.
"""

import gc
import os
import signal
from pathlib import Path


def collect(*_: object) -> None:
    gc.collect()
    Path(__file__).with_name(f"collected-{os.getpid()}").touch()


def spin(*_: object) -> None:
    while True:
        pass


signal.signal(signal.SIGUSR1, collect)
signal.signal(signal.SIGUSR2, spin)
