"""On the PYTHONPATH of a supervisor, and so of its courier: names and far addresses are what a file says.

The file is `internet.json` in TMPDIR: under `names` what each name resolves to, one list of addresses for
each time that it is asked for, the last for ever; under `ways` the local port at which an address far away
really is. What is asked and connected to is written to `internet.log` beside it, one line each.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

_FOLDER = Path(os.environ.get("TMPDIR", os.devnull))
_ask, _connect, _peer = socket.getaddrinfo, socket.socket.connect, socket.socket.getpeername
_asked: Counter[str] = Counter()
_led: dict[int, tuple[str, int]] = {}
"""Where a descriptor thinks that it is connected to."""


def _internet() -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((_FOLDER / "internet.json").read_text(encoding="ascii"))
        return found
    return {"names": {}, "ways": {}}


def _note(*words: object) -> None:
    with (_FOLDER / "internet.log").open("a", encoding="ascii") as file:
        file.write(" ".join(map(str, words)) + "\n")


def _getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
    name = host.decode() if isinstance(host, bytes) else host
    answers = _internet()["names"].get(name)
    if answers is None:
        return _ask(host, port, *args, **kwargs)
    addresses = answers[min(_asked[name], len(answers) - 1)]
    _asked[name] += 1
    _note("asked", name, *addresses)
    return [entry for address in addresses for entry in _ask(address, port, type=socket.SOCK_STREAM)]


def _connected(self: socket.socket, address: Any) -> None:
    if self.family in {socket.AF_INET, socket.AF_INET6}:
        _note("connect", address[0], address[1])
        way = _internet()["ways"].get(address[0])
        _led.pop(self.fileno(), None)
        if way is not None:
            _led[self.fileno()] = address[:2]
            address = ("127.0.0.1", way)
    _connect(self, address)


def _getpeername(self: socket.socket) -> Any:
    return _led.get(self.fileno()) or _peer(self)


socket.getaddrinfo = _getaddrinfo
socket.socket.connect = _connected  # type: ignore[method-assign]
socket.socket.getpeername = _getpeername  # type: ignore[method-assign]
