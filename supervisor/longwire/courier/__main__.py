"""The courier's process: `python -P -m longwire.courier LIFELINE PIPE`; both are descriptors.

The supervisor starts it and ties it to the lifeline. Whatever it must know comes by the pipe.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys


def main() -> None:
    """Live the courier's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a host may have blocked what ends it
    lifeline_fd, pipe_fd = map(int, sys.argv[1:])
    for own in (lifeline_fd, pipe_fd):
        os.set_inheritable(own, False)
    end = socket.socket(fileno=pipe_fd)
    from longwire.courier import log  # noqa: PLC0415  # who was to end hears of it before this takes its time

    log.configure()
    from longwire.courier.life import live  # noqa: PLC0415  # this imports aiohttp

    gc.collect()
    gc.freeze()  # else each collection walks through all that was imported
    gc.set_threshold(10_000, 10, 10)  # as in `cli.run`: what is made goes without the collector
    asyncio.run(live(end))


if __name__ == "__main__":
    main()
