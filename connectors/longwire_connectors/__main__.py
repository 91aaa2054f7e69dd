"""The process of one account: `python -P -m longwire_connectors FD`, started by the supervisor only."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from importlib.metadata import entry_points

from setproctitle import setproctitle

from longwire_connectors import childlog, lifeline
from longwire_connectors.base import Connector
from longwire_connectors.runtime import Child
from longwire_protocol.frames import Bootstrap

ENTRY_POINT_GROUP = "longwire.connectors"


def connector_class(name: str) -> type[Connector]:
    """Return the class of an installed connector.

    Raises:
        LookupError: none of that name is installed.
    """
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        found: type[Connector] = entry.load()
        return found
    raise LookupError(f"no connector {name!r} is installed")


def main() -> None:
    """Live one child's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor
    fd = int(sys.argv[1])
    bootstrap = lifeline.read_bootstrap(fd)
    lifeline.arm(fd)
    setproctitle(f"longwire: {bootstrap.account} ({bootstrap.connector})")
    secrets = [value for value in bootstrap.options.values() if isinstance(value, str)]
    childlog.configure(level=bootstrap.log_level, secrets=_secret_values(bootstrap, secrets))
    asyncio.run(Child(bootstrap, connector_class(bootstrap.connector)).run())
    logging.shutdown()
    os._exit(0)  # SDKs leave threads behind that would keep the process (dingtalk_stream/chatbot.py 810)


def _secret_values(bootstrap: Bootstrap, values: list[str]) -> list[str]:
    names = connector_class(bootstrap.connector).declaration.secrets
    return [bootstrap.options[name] for name in names if bootstrap.options.get(name) in values]


if __name__ == "__main__":
    main()
