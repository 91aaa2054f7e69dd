"""The real `dingtalk-stream`, imported lean and made safe.

What is wrong with it, D1 to D21, is in `docs/platforms.md` section 5. Of the SDK we use what its users write
against, which is the same in 0.24.3 and 0.24.4b1: the client's constructor, `register_*`, `pre_start`,
`open_connection`, `route_message`, `websocket`, `callback_handler_map`, and the frames.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from longwire_connectors.dingtalk.handlers import StoringHandler, Take
from longwire_connectors.dingtalk.opening import BoundedRequests, Opening, open_connection
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.dingtalk.wire import CALLBACK, CARD_TOPIC, EVENT, ROBOT_TOPIC

LOCAL_IP = "127.0.0.1"
"""`localIp` of the request: for people only, and finding the real one means a socket to 8.8.8.8 (D15)."""

_PACKAGE = "dingtalk_stream"
_STREAM = f"{_PACKAGE}.stream"

_log = logging.getLogger(__name__)

# The SDK logs tickets (D14) and whole frames, with messages and webhooks (D13). Whatever it could say of use
# the driver says: as a link failure or as a count.
_quiet = logging.getLogger("longwire.dingtalk.sdk")
_quiet.setLevel(logging.CRITICAL + 1)


def load() -> str:
    """Import the SDK, make it safe, and return its name and version.

    Raises:
        ImportError: it is not installed.
    """
    importlib.import_module("websockets.exceptions")  # D7: the SDK names it without importing it
    stream = _import()
    if not isinstance(stream.requests, BoundedRequests):
        stream.requests = BoundedRequests()
    parent = logging.getLogger(_PACKAGE)
    if not parent.handlers:
        parent.addHandler(logging.NullHandler())  # else it adds one that writes to stderr (D20)
    return ", ".join(f"{name} {metadata.version(name)}" for name in ("dingtalk-stream", "websockets"))


def new_client(options: DingTalkOptions, take: Take) -> Any:
    """Return a fresh DingTalkStreamClient that gives every frame to `take` and asks for all topics."""
    stream = _import()
    credential = stream.Credential(options.client_id, options.client_secret)
    client = stream.DingTalkStreamClient(credential, logger=_quiet)
    get_host_ip: Callable[[], str] = lambda: LOCAL_IP  # noqa: E731  it takes the place of a method
    client.get_host_ip = get_host_ip
    client.register_all_event_handler(StoringHandler(EVENT, take))
    for topic in (ROBOT_TOPIC, CARD_TOPIC):
        client.register_callback_handler(topic, StoringHandler(CALLBACK, take))
    client.pre_start()
    return client


async def ask_for_connection(client: Any, *, base: str, timeout_s: float) -> Opening:
    """Return what DingTalk answered to the client's request for endpoint and ticket.

    Args:
        client: of `new_client`.
        base: the API's base URL.
        timeout_s: seconds it may take.
    """
    stream = _import()
    # Read from the class, not the instance (stream.py 149, 172).
    stream.DingTalkStreamClient.OPEN_CONNECTION_API = f"{base}/v1.0/gateway/connections/open"
    return await open_connection(client.open_connection, stream.requests, timeout_s=timeout_s)


def _import() -> Any:
    """Return `dingtalk_stream.stream`, imported without the rest of the package, which needs aiohttp.

    That is 0.06 s and 17.6 MB instead of 0.13 s and 25 MB for a child (`docs/platforms.md` 5).
    """
    if _STREAM in sys.modules:
        return sys.modules[_STREAM]
    return (_PACKAGE not in sys.modules and _import_bare()) or importlib.import_module(_STREAM)


def _import_bare() -> ModuleType | None:
    """Return the module with an empty package above it; `None`, and no trace, if that does not work."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        return None
    bare = ModuleType(_PACKAGE)
    bare.__spec__ = spec
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules[_PACKAGE] = bare
    try:
        return importlib.import_module(_STREAM)
    except Exception as error:  # noqa: BLE001  a version laid out otherwise: the plain import will tell
        _log.warning("lean_import_failed", extra={"error": f"{type(error).__name__}: {error}"})
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]
        return None
