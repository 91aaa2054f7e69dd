"""A host with children, handlers and settings of its own, and two supervisors off its main thread."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import structlog
import zmq

from hosts import loopback, say
from longwire import Supervisor

EXIT_CODES = (0, 7, 42, 3)
sigchld: list[int] = []


class HostsPolicy(asyncio.DefaultEventLoopPolicy):
    """A host may have any; loops made by it count."""

    made = 0

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        type(self).made += 1
        return super().new_event_loop()


def belongings() -> dict[str, Any]:
    """Return what is the host's and must be as it was."""
    root = logging.getLogger()
    return {
        "signals": {n: str(signal.getsignal(n)) for n in signal.valid_signals()},
        "wakeup": signal.set_wakeup_fd(-1),
        "policy": (str(asyncio.get_event_loop_policy()), HostsPolicy.made),
        "zmq": str(zmq.Context._instance),
        "root": (str(root.handlers), root.level, root.disabled),
        "longwire": str(logging.getLogger("longwire").handlers),
        "structlog": structlog.is_configured(),
        "hooks": (str(sys.excepthook), str(threading.excepthook), str(sys.unraisablehook)),
        "process": (str(Path.cwd()), os.getpgrp(), os.getsid(0), sorted(os.environ)),
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "gc": (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()),
        "umask": (mask := os.umask(0o022), os.umask(mask))[0],
    }


def use(folder: str, outcome: dict[str, Any]) -> None:
    """Run a supervisor on this thread, and lose a child of it."""
    with Supervisor(loopback(folder, "acme", backoff_initial_s=0.0)) as supervisor:
        assert supervisor.converged(timeout_s=60).result().is_converged
        psutil.Process(supervisor.status().result()["accounts"][0]["pid"]).kill()
        send = {"chat": "c", "text": "hello"}
        replaced = threading.Event()

        def told(_account: str, _old: str, new: str, _reason: str | None) -> None:
            if new == "online":
                replaced.set()

        remove = supervisor.on_state(told)
        if not supervisor.status().result()["accounts"][0]["restarts"]:
            assert replaced.wait(60)
        remove()
        assert supervisor.converged(timeout_s=60).result().is_converged
        outcome[folder] = supervisor.call("message.create", send, account="acme").result()
        outcome[f"{folder} restarts"] = supervisor.status().result()["accounts"][0]["restarts"]


def main() -> None:
    """Compare before and after."""
    asyncio.set_event_loop_policy(HostsPolicy())
    signal.signal(signal.SIGCHLD, lambda number, _frame: sigchld.append(number))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    before = belongings()
    children = [
        subprocess.Popen(["sh", "-c", f"sleep 0.$((RANDOM % 9)); exit {code}"]) for code in EXIT_CODES
    ]
    outcome: dict[str, Any] = {}
    threads = [threading.Thread(target=use, args=(folder, outcome)) for folder in sys.argv[1:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = [child.wait() for child in children]
    after = belongings()
    say(
        codes=codes,
        changed=sorted(what for what in before if before[what] != after[what]),
        answered=len(outcome),
        sigchld=len(sigchld),
        threads=[thread.name for thread in threading.enumerate()],
        children=[child.name() for child in psutil.Process().children(recursive=True)],
        nested="nest_asyncio" in sys.modules,
    )


if __name__ == "__main__":
    main()
