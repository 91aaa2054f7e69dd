"""Tries accounts' credentials on their platforms: `python -P -m longwire_connectors.probe [LIFELINE]`.

A short-lived helper of the parent, which imports no connector's code; see `longwire_protocol.probing` for
what goes in and out. No connection is taken, so an account may be online meanwhile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from threading import Lock
from time import monotonic

import msgspec

from longwire_connectors import lifeline
from longwire_connectors.base import Connector
from longwire_connectors.describe import own_stdout
from longwire_protocol.declaration import ENTRY_POINT_GROUP
from longwire_protocol.link import Fault, LinkFailure
from longwire_protocol.probing import Probe, ProbeRequest, ProbeResult

_MAX_THREADS = 64
"""Accounts tried at once: each waits for the network, and a hundred are done in some seconds."""


def main() -> None:
    """Answer what stdin asks, and end."""
    for lifeline_fd in sys.argv[1:]:
        lifeline.arm(int(lifeline_fd))  # what hangs must not outlive the supervisor
    requests = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[ProbeRequest])
    lock = Lock()
    with own_stdout() as out:

        def tell(result: ProbeResult) -> None:
            with lock:
                out.write(msgspec.json.encode(result) + b"\n")
                out.flush()

        probe_all(requests, tell)
    os._exit(0)  # whatever a connector left running


def probe_all(requests: list[ProbeRequest], tell: Callable[[ProbeResult], None]) -> None:
    """Try all of them, many at a time; `tell` hears each result at once, on one of many threads."""
    with ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="probe") as threads:
        for request in requests:
            threads.submit(_probe_and_tell, request, tell)


def _probe_and_tell(request: ProbeRequest, tell: Callable[[ProbeResult], None]) -> None:
    tell(_probe(request))


def _probe(request: ProbeRequest) -> ProbeResult:
    begun = monotonic()
    try:
        connector = _connector(request.connector)
        options = msgspec.convert(request.options, connector.declaration.options)
        probe = connector.probe(options)
    except msgspec.ValidationError as exc:
        probe = Probe(
            failure=_failure(Fault.PERMANENT, "bad_options", str(exc), "correct the account's options")
        )
    except Exception as exc:  # noqa: BLE001  foreign code at a thread's edge; its text may hold a secret
        text = f"the connector failed while it tried the credentials: {type(exc).__name__}"
        probe = Probe(failure=_failure(Fault.TRANSIENT, "probe_failed", text))
    return ProbeResult(account=request.account, probe=probe, took_s=monotonic() - begun)


def _connector(name: str) -> type[Connector]:
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        found: type[Connector] = entry.load()
        return found
    raise LookupError(name)


def _failure(fault: Fault, reason: str, message: str, user_action: str | None = None) -> LinkFailure:
    return LinkFailure(fault=fault, reason=reason, message=message, user_action=user_action)


if __name__ == "__main__":
    main()
