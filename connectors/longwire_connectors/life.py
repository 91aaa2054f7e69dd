"""From the bootstrap to the end of the process."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import cache
from importlib.metadata import entry_points

import msgspec
from setproctitle import setproctitle

from longwire_connectors import childlog, limits
from longwire_connectors.base import Connector
from longwire_connectors.discretion import secrets_of
from longwire_connectors.runtime import Child
from longwire_protocol.declaration import ENTRY_POINT_GROUP
from longwire_protocol.frames import Bootstrap

_decode = msgspec.msgpack.Decoder(Bootstrap).decode


def live(data: bytes) -> None:
    """Run the child that the bootstrap in `data` describes; does not return."""
    bootstrap = _decode(data)
    if bootstrap.limits is not None:  # first: what comes next is other people's
        limits.impose(bootstrap.limits)
    setproctitle(f"longwire: {bootstrap.account} ({bootstrap.connector})")
    connector_class = find_connector(bootstrap.connector)
    secrets = secrets_of(bootstrap.options, connector_class.declaration.secrets)
    childlog.configure(level=bootstrap.log_level, secrets=secrets)
    asyncio.run(Child(bootstrap, connector_class).run())
    logging.shutdown()
    os._exit(0)  # SDKs leave threads behind that would keep the process (dingtalk_stream/chatbot.py 810)


@cache  # a template has looked for it once for all its children
def find_connector(name: str) -> type[Connector]:
    """Return the class of an installed connector.

    Raises:
        LookupError: none of that name is installed.
    """
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        found: type[Connector] = entry.load()
        return found
    raise LookupError(f"no connector {name!r} is installed")
