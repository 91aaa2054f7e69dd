"""A host whose handler of log lines blocks, and then one whose processor raises; its supervisor goes on."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any

import structlog

from hosts import loopback, say
from longwire import Supervisor

gate = threading.Event()
is_held = threading.Event()


class Stuck(logging.Handler):
    """Blocks in each line, with its lock held."""

    def emit(self, record: logging.LogRecord) -> None:
        """Wait."""
        del record
        is_held.set()
        gate.wait(60)


def chokes(*_: Any) -> Any:
    raise KeyError("request_id")


def use(folder: str) -> dict[str, Any]:
    with Supervisor(loopback(folder, "acme")) as supervisor:
        supervisor.converged(timeout_s=30).result()
        begun = time.monotonic()
        sent = supervisor.call("message.create", {"chat": "c", "text": "t"}, account="acme").result()
        took_s = time.monotonic() - begun
        kept = [line["event"] for line in supervisor.call("logs.tail").result()["lines"]]
        gate.set()
        return {"is_sent": bool(sent), "took_s": took_s, "is_kept": "child_ready" in kept}


logging.basicConfig(level="INFO", handlers=[Stuck()])
first = use(sys.argv[1])
logging.raiseExceptions = False
structlog.configure(processors=[chokes])
say(is_held=is_held.is_set(), blocked=first, choked=use(sys.argv[1]))
