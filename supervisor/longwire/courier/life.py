"""From the pipe to the end of the courier's process."""

from __future__ import annotations

import asyncio
import signal
import socket

from setproctitle import setproctitle

from longwire.courier.courier import Courier

_TERMINATED_GRACE_S = 0.5
"""The grace of a stop by SIGTERM: somebody else's, or the supervisor's second word."""


async def live(end: socket.socket) -> None:
    """Deliver until it is told to stop."""
    setproctitle("longwire: courier")
    courier = Courier(end)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, courier.stop, _TERMINATED_GRACE_S)
    await courier.run()
