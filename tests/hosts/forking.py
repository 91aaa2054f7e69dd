"""A host with two supervisors that forks as `multiprocessing` does; the fork starts a supervisor of its own.

Both print what they see; the fork goes on until it is killed, holding whatever a fork gets.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings
from typing import Any

from hosts import loopback, say
from longwire import LongwireError, Supervisor


def pids(supervisor: Supervisor) -> list[int]:
    """Return the processes of its accounts."""
    return [each["pid"] for each in supervisor.status().result()["accounts"]]


def refusals(supervisor: Supervisor, client: Any) -> list[str]:
    """Return what becomes of calls on what was made before the fork."""
    said: list[str] = []
    for act in (supervisor.status, supervisor.client, supervisor.sync_client, lambda: client.call("status")):
        try:
            act()
        except LongwireError as exc:
            said.append(type(exc).__name__)
    supervisor.stop()
    return said


def in_fork(supervisor: Supervisor, client: Any, folder: str) -> None:
    """Use a supervisor of its own, and stay."""
    refused = refusals(supervisor, client)
    with Supervisor(loopback(folder, "own")) as own:
        own.converged(timeout_s=60).result()
        with own.sync_client() as here:
            here.send("own", "c", "t")
        say(who="fork", pid=os.getpid(), refused=refused, children=pids(own))
        time.sleep(600)


def main() -> None:
    """Fork while both run, and a client of one is connected."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
    folders = sys.argv[1:4]
    with Supervisor(loopback(folders[0], "acme")) as one, Supervisor(loopback(folders[1], "beta")) as other:
        for supervisor in (one, other):
            supervisor.converged(timeout_s=60).result()
        with one.sync_client() as client:
            client.call("status")
            arguments = (one, client, folders[2])
            multiprocessing.get_context("fork").Process(target=in_fork, args=arguments).start()
            say(who="host", children=pids(one) + pids(other), answer=client.call("hello")["protocol"])
            time.sleep(600)


if __name__ == "__main__":
    main()
