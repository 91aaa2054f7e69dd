"""The way into lark-oapi: its WebSocket client without the 10,000 modules around it.

`import lark_oapi` takes seconds and 157 MB, because its `__init__` imports every API. The client itself needs
60 modules and uses the event dispatcher only as an annotation. So the top package is put into `sys.modules`
unexecuted, the dispatcher is a stub while the client is imported, and afterwards both are as anybody else
expects them: the stub is gone, and the first name asked of `lark_oapi` executes it in full
(`docs/platforms.md` 3; found to work with 1.4.24 to 1.7.5).
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The SDK carries no types.

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Generator
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from longwire_connectors import webcall
from longwire_connectors.lark.errors import WAIT_HEADERS, Answer

T = TypeVar("T")

CLIENT = "lark_oapi.ws.client"
_DISPATCHER = "lark_oapi.event.dispatcher_handler"

OPEN_TIMEOUT_S = 10.0
"""For TCP, TLS and the WebSocket handshake together; the library's own default."""
CLOSE_TIMEOUT_S = 0.7
"""For the closing handshake: a stop is over in about a second, the ack grace before it included."""
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest WebSocket message. The library's 1 MiB ends the connection over large posts (oapi-sdk-python#143);
Lark's largest are some MiB."""

_log = logging.getLogger(__name__)


class HandshakeRefused(Exception):
    """The server answered the WebSocket handshake with something else than 101."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers


@cache  # the version is read from the disk, and a forked child finds it all done
def load() -> str:
    """Import the SDK's client, bound its calls, quieten its logger; return names and versions.

    May be called in a process that has no loop yet, and leaves none behind there.

    Raises:
        ImportError: lark-oapi or websockets is not installed.
    """
    importlib.import_module("websockets.asyncio.client")
    importlib.import_module("websockets.exceptions")
    with _no_stray_loop():
        client = _import_client()
    _bound(client)
    _quieten()
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("lark-oapi", "websockets"))


def _import_client() -> ModuleType:
    if "lark_oapi" in sys.modules:  # in full, or by an earlier call
        return importlib.import_module(CLIENT)
    spec = importlib.util.find_spec("lark_oapi")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("No module named 'lark_oapi'", name="lark_oapi")
    try:
        return _import_lean(spec)
    except Exception as error:  # noqa: BLE001  a version the recipe does not suit is only slow, not lost
        _log.warning("lean_import_failed", extra={"error": f"{type(error).__name__}: {error}"})
        _forget_sdk()
        return importlib.import_module(CLIENT)


def _import_lean(spec: ModuleSpec) -> ModuleType:
    package = importlib.util.module_from_spec(spec)
    vars(package)["__getattr__"] = _executing(package, spec)
    stub = ModuleType(_DISPATCHER)
    vars(stub)["EventDispatcherHandler"] = object
    sys.modules["lark_oapi"] = package
    sys.modules[_DISPATCHER] = stub
    try:
        return importlib.import_module(CLIENT)
    finally:
        sys.modules.pop(_DISPATCHER, None)
        vars(sys.modules.get("lark_oapi.event", stub)).pop("dispatcher_handler", None)


def _executing(package: ModuleType, spec: ModuleSpec) -> Any:
    """Return the package's `__getattr__`: it executes the package in full, once, and steps aside."""

    def execute(name: str) -> Any:
        if name.startswith("__") or "__getattr__" not in vars(package) or spec.loader is None:
            raise AttributeError(name)
        del vars(package)["__getattr__"]
        spec.loader.exec_module(package)
        return getattr(package, name)

    return execute


def _forget_sdk() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "lark_oapi"]:
        del sys.modules[name]


class _NoLoop(asyncio.AbstractEventLoop):
    """Stands for a current loop and holds nothing, so that there is nothing to share."""


@contextlib.contextmanager
def _no_stray_loop() -> Generator[None]:
    """Give the SDK's import no reason to make a loop.

    It takes the current loop and makes one if there is none (ws/client.py 34-38). In a process that is
    forked later, every child would share that loop's epoll descriptor.
    """
    if asyncio._get_running_loop() is not None:  # noqa: SLF001  the documented way raises where there is none
        yield
        return
    asyncio.set_event_loop(_NoLoop())  # type: ignore[abstract]  # it is only kept
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        if CLIENT in sys.modules:
            vars(sys.modules[CLIENT])["loop"] = None


def _bound(client: ModuleType) -> None:
    names = vars(client)
    if not isinstance(names["requests"], _BoundedRequests):
        names["requests"] = _BoundedRequests(names["requests"])
        names["websockets"] = _BoundedWebsockets(names["websockets"])


def _quieten() -> None:
    """Let the root's handlers, which redact, be the only ones; INFO prints tickets, DEBUG payloads."""
    lark = logging.getLogger("Lark")
    for handler in list(lark.handlers):
        lark.removeHandler(handler)  # it would print to stdout
    lark.propagate = True
    lark.setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.WARNING)  # its DEBUG prints the URL with the ticket


def answered(call: Callable[[], T]) -> tuple[T | Exception, Answer | None]:
    """Return what `call` returns or raises, and the answer that the SDK got for it on this thread, if any.

    The SDK's exceptions keep neither the body's code behind an HTTP error nor the headers.
    """
    _last.answer = None
    try:
        outcome: T | Exception = call()
    except Exception as error:  # noqa: BLE001  handed on
        outcome = error
    return outcome, _last.answer


class _Last(threading.local):
    answer: Answer | None = None


_last = _Last()


class _BoundedRequests:
    """`requests` as the SDK's module sees it: bounded, and without what a `requests.post` costs a child."""

    def __init__(self, requests: Any) -> None:
        self._requests = requests

    def __getattr__(self, name: str) -> Any:
        return getattr(self._requests, name)

    def post(self, url: str, *, headers: dict[str, str], json: Any, **_timeout: Any) -> _Response:
        """Send JSON and return what the SDK asks of a `requests.Response`."""
        reply = webcall.call("POST", url, json=json, headers=headers)
        waits = map(reply.headers.get, WAIT_HEADERS)
        _last.answer = Answer.read(reply.status, body=reply.body, waits=waits)
        return _Response(reply.status, reply.body)


class _Response(NamedTuple):
    status_code: int
    content: bytes


class _BoundedWebsockets:
    """`websockets` as the SDK's module sees it: with our limits, and refusals told by their headers."""

    def __init__(self, websockets: Any) -> None:
        self._websockets = websockets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websockets, name)

    @staticmethod
    async def connect(uri: str) -> Any:
        """Open a connection; what the SDK would pass besides is only `proxy=None`.

        The environment's proxies are honoured where the library can (15.0), as by discovery, which goes
        through `requests` (oapi-sdk-python#143). Pings are sent by us and not by the library, so that each
        pong is seen.

        Raises:
            HandshakeRefused: the server said no. The SDK's own reading of it fails where the header
                `Handshake-Autherrcode` is missing.
        """
        from websockets.asyncio.client import connect  # noqa: PLC0415  only after `load`
        from websockets.exceptions import InvalidStatus  # noqa: PLC0415

        try:
            return await connect(
                uri,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=None,
                max_size=MAX_MESSAGE_BYTES,
                **webcall.tls(uri),
            )
        except InvalidStatus as error:
            response = error.response
            raise HandshakeRefused(response.status_code, dict(response.headers.raw_items())) from error
