"""On the PYTHONPATH of a supervisor: SDKs whose clients want more around them than the lean import has."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NEIGHBOURS = {
    "lark_oapi.ws.client": "lark_oapi.event.dispatcher_handler",
    "dingtalk_stream.stream": "dingtalk_stream",
}


class WantsMore(MetaPathFinder):
    """Fails as `from NEIGHBOUR import something` at the head of the client does while that is a stub."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        neighbour = sys.modules.get(NEIGHBOURS.get(fullname, ""))
        if neighbour is not None and not hasattr(neighbour, "__file__"):
            raise ImportError(f"cannot import name 'something' from '{neighbour.__name__}'")
        return None


sys.meta_path.insert(0, WantsMore())
