"""Plugin connectors, installed for the tests only: the real ones, that take more and more of the machine."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

from msgspec.structs import replace

from longwire_connectors.base import Connector
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.lark.connector import LarkConnector

_MIB = 1024 * 1024
_hoard: list[bytearray] = []


class _Greedy(Connector):
    """Each command's text says what to take."""

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        match params["text"].split():
            case ["leak", megabytes]:
                _take(int(megabytes))
            case ["leak", megabytes, "unseen", watcher]:  # who sees all of it or nothing, however slow it is
                os.kill(int(watcher), signal.SIGSTOP)
                try:
                    _take(int(megabytes))
                finally:
                    os.kill(int(watcher), signal.SIGCONT)
            case ["wait", seconds]:
                await asyncio.sleep(float(seconds))
            case ["spin"]:  # beside the loop, whose heartbeats go on
                threading.Thread(target=_spin, daemon=True).start()
            case _:
                return await super().call(method, params, key=key)
        return {}


def _take(megabytes: int) -> None:
    _hoard.append(bytearray(b"x") * (megabytes * _MIB))


def _spin() -> None:
    while True:
        pass


class LeakyLark(_Greedy, LarkConnector):
    """As a Lark app is: two links at a time are allowed."""


class LoneLark(_Greedy, LarkConnector):
    """One link at a time, and a platform that delivers again what it could not deliver."""

    declaration = replace(LarkConnector.declaration, is_overlap_allowed=False)


class LeakyDingTalk(_Greedy, DingTalkConnector):
    """One link at a time."""
