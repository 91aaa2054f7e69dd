"""Metrics over HTTP: a page that asks anew each time it is read.

The pages are the Prometheus library's own, and so is the server, but for what that leaves open: how many may
connect, and for how long.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from socketserver import TCPServer
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import (
    CollectorRegistry,
    make_wsgi_app,  # pyright: ignore[reportUnknownVariableType]  # half of its type is missing
)
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric

from longwire.metrics.families import described, families
from longwire.metrics.records import Record

_MAX_CONNECTIONS: Final = 32
"""Scrapers are one or two; more than this hold connections for no good."""

_CONNECTION_S: Final = 30.0
"""For a whole request and its answer, which Prometheus by default gives 10 s."""

_SILENCE_S: Final = 5.0
"""For the next byte of a request, and for the peer to take the answer."""

_ANSWER_S: Final = 20.0
"""For the answer to a scrape that came before; the supervisor is not waited for as long."""


class Page:
    """What is scraped; however many scrape at once, the supervisor is asked once.

    Args:
        ask: returns its status, or `None` if it does not answer; has a deadline of its own.
    """

    def __init__(self, ask: Callable[[], Record | None]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._under_way: Future[Record | None] | None = None

    def describe(self) -> Iterable[Metric]:
        """Return what there can be: it is asked for by `?name[]=`."""
        return described()

    def collect(self) -> Iterable[Metric]:
        """Return what there is now."""
        return families(self._status())

    def _status(self) -> Record | None:
        with self._lock:
            before, mine = self._under_way, Future[Record | None]()
            if before is None:
                self._under_way = mine
        if before is not None:
            return before.result(_ANSWER_S)
        try:
            mine.set_result(self._ask())
        except Exception as exc:  # noqa: BLE001  # raised below, and to those who wait
            mine.set_exception(exc)
        finally:
            with self._lock:
                self._under_way = None
        return mine.result(0)


class Server(ThreadingWSGIServer):
    """Serves a page until it is closed.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, page: Page) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._since: dict[Any, float] = {}
        super().__init__((host, port), _Handler)
        registry = CollectorRegistry()
        registry.register(page)
        self.set_app(make_wsgi_app(registry))  # pyright: ignore[reportUnknownArgumentType]

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{host}:{self.server_port}/metrics"

    def server_bind(self) -> None:
        """Bind; the library's way asks DNS for a name of the address, which may take as long as it likes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = map(self.socket.getsockname().__getitem__, (0, 1))
        self.setup_environ()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether there is room for one more."""
        del client_address
        is_room = len(self._since) < _MAX_CONNECTIONS
        if is_room:
            self._since[request] = time.monotonic()
        return is_room

    def service_actions(self) -> None:
        """Cut those off that take too long: a byte now and then is not silence."""
        for request, since in tuple(self._since.items()):
            if time.monotonic() - since > _CONNECTION_S:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close one."""
        self._since.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a peer that was silent or went away; it knows."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    timeout = _SILENCE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the library's
        """Log no requests: they come every few seconds, for ever."""
