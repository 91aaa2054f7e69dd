"""A connector of the benchmarks: as slow, deaf or noisy as its account says. No SDK, no platform."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import ClassVar, Literal

import msgspec

from longwire_connectors.base import Connector, Declaration, Host, Link
from longwire_protocol.link import LinkFailure

_PROOF_S = 0.2
_HEARD_S = 1.0
"""Until what was sent on the loop's last turn is at the supervisor."""

_FOR_EVER_S = 3_600.0

DEAF = "deaf from now on"
"""What it prints then."""

_LINES = "a line of sixty characters, as an SDK writes them all day....\n" * 100


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the account says."""

    trouble: Literal["none", "crash", "hang", "flood", "deaf"] = "none"
    """It ends while it starts, never ends starting, writes to its log without a pause, or blocks its loop and
    ignores SIGTERM once it is online."""
    leave_s: float = 0.0
    """How long it takes to close its link."""


class Troubled(Connector):
    """Connected at once; may be forked."""

    declaration: ClassVar[Declaration] = Declaration(options=Options, platform="troubled", is_forkable=True)

    def __init__(self, options: Options, host: Host) -> None:
        self._options = options
        del host

    def load(self) -> str:
        """Crash or hang, if that is what is wanted."""
        if self._options.trouble == "crash":
            os._exit(1)
        if self._options.trouble == "hang":
            time.sleep(_FOR_EVER_S)
        return "troubled 1.0"

    async def serve(self, link: Link) -> LinkFailure:
        """Be online, and then in trouble."""
        link.proven("troubled")
        try:
            if self._options.trouble == "deaf":
                await asyncio.sleep(_HEARD_S)
                _be_deaf()
            while True:
                link.pong()
                await self._noise()
        finally:
            await asyncio.sleep(self._options.leave_s)

    async def _noise(self) -> None:
        if self._options.trouble != "flood":
            await asyncio.sleep(_PROOF_S)
            return
        sys.stdout.write(_LINES)
        sys.stdout.flush()
        await asyncio.sleep(0)  # its heartbeats go on


def _be_deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(DEAF, flush=True)
    time.sleep(_FOR_EVER_S)
