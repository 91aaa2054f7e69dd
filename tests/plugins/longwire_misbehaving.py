"""A plugin connector, installed for the tests only, that does what SDKs do on their bad days."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
import time
from typing import Any, ClassVar, Literal

import msgspec

from longwire_connectors.base import Connector, Declaration, Host, Link
from longwire_protocol.link import LinkFailure

_log = logging.getLogger("misbehaving")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at_start: Literal["", "exit", "hang"] = ""
    token: str = "no-secret"
    app: str | None = None
    slow_close_s: float = 0.0
    load_s: float = 0.0
    compute_s: float = 0.0


class Misbehaving(Connector):
    """Connected at once; each command's text says how to misbehave."""

    declaration: ClassVar[Declaration] = Declaration(
        options=Options,
        platform="misbehaving",
        secrets=("token",),
        identity="app",
        methods=("message.create",),
    )

    def __init__(self, options: Options, host: Host) -> None:
        if options.at_start == "exit":
            os._exit(3)
        if options.at_start == "hang":
            signal.pause()
        self._options = options
        self._host = host

    def load(self) -> str:
        time.sleep(self._options.load_s)
        return "misbehaving 1.0"

    async def serve(self, link: Link) -> LinkFailure:
        link.proven("misbehaving")
        try:
            while True:
                link.pong()
                _compute(self._options.compute_s)
                await asyncio.sleep(0.2)
        finally:
            await asyncio.sleep(self._options.slow_close_s)

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        del method, key
        hang = _HANGS.get(params["text"])
        if hang is not None:
            hang()
        match params["text"]:
            case "crash":
                sys.stderr.write(f"last words with {self._options.token}\n")
                os.kill(os.getpid(), signal.SIGSEGV)
            case "ignore sigterm":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.kill(os.getpid(), signal.SIGSTOP)
            case "flood" | "flood widely" | "repeat" as how:
                self._talk(how)
            case "environment":
                return {"environ": dict(os.environ), "argv": sys.argv}
        return {}

    def _talk(self, how: str) -> None:
        match how:
            case "flood":
                for n in range(20_000):
                    sys.stdout.write(f"line {n} with {self._options.token}\n")
            case "flood widely":
                for n in range(600):  # each under a name of its own, for each name has a limit
                    text = f"line {n} with {self._options.token} {'.' * 16_000}"
                    sys.stdout.write(f'{{"event": "flood_{n}", "text": "{text}"}}\n')
            case _:
                for n in range(100):
                    _log.warning("same_again", extra={"number": n})
                    sys.stdout.write(f"again {n}\n")  # as SDKs do
                _log.error("same_again", exc_info=RuntimeError("this one is news"))
        sys.stdout.flush()


def _wait_for_the_platform() -> None:
    time.sleep(600)


def _compute(cpu_s: float) -> None:
    end = time.thread_time() + cpu_s
    while time.thread_time() < end:
        pass


def _wedge() -> None:
    while True:
        pass


_HANGS = {
    "wedge": _wedge,
    "hold the gil": lambda: all(itertools.repeat(True)),
    "block": _wait_for_the_platform,
}
