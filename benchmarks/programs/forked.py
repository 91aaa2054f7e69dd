"""So many processes that do nothing, forked from this one: `forked.py COUNT LEAVE_S`.

Each takes LEAVE_S to end at SIGTERM. What ending them takes is what the system takes.
"""

from __future__ import annotations

import os
import signal
import sys
import time

count, leave_s = int(sys.argv[1]), float(sys.argv[2])


def leave(*_: object) -> None:
    time.sleep(leave_s)
    os._exit(0)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
signal.signal(signal.SIGTERM, leave)
for _ in range(count):
    if os.fork() == 0:
        break
while True:
    signal.pause()
