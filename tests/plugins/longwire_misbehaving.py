"""A plugin connector, installed for the tests only, that does what SDKs do on their bad days."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, ClassVar, Literal

import msgspec

from longwire_connectors.base import Connector, Declaration, Host, Link
from longwire_protocol.link import LinkFailure


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at_start: Literal["", "exit", "hang"] = ""
    token: str = "no-secret"
    slow_close_s: float = 0.0


class Misbehaving(Connector):
    """Connected at once; each command's text says how to misbehave."""

    declaration: ClassVar[Declaration] = Declaration(
        options=Options, platform="misbehaving", secrets=("token",), methods=("message.create",)
    )

    def __init__(self, options: Options, host: Host) -> None:
        if options.at_start == "exit":
            os._exit(3)
        if options.at_start == "hang":
            signal.pause()
        self._options = options
        self._host = host

    def load(self) -> str:
        return "misbehaving 1.0"

    async def serve(self, link: Link) -> LinkFailure:
        link.proven("misbehaving")
        try:
            while True:
                link.pong()
                await asyncio.sleep(0.2)
        finally:
            await asyncio.sleep(self._options.slow_close_s)

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        del method
        match params["text"]:
            case "wedge":
                while True:
                    pass
            case "ignore sigterm":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.kill(os.getpid(), signal.SIGSTOP)
            case "flood":
                for n in range(20_000):
                    sys.stdout.write(f"line {n} with {self._options.token}\n")
                sys.stdout.flush()
            case "flood widely":
                for n in range(600):
                    sys.stdout.write(f"line {n} with {self._options.token} {'.' * 16_000}\n")
                sys.stdout.flush()
            case "environment":
                return {"environ": dict(os.environ), "argv": sys.argv}
        return {}
