"""An internet of a test's own: names that resolve to what it likes, and far addresses that are here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

_PLUGIN = Path(__file__).parents[1] / "plugins" / "own_resolver"


class Internet:
    """What `tests/plugins/own_resolver` tells the supervisor's processes that run in this environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, list[list[str]]] = {}
        self._ways: dict[str, int] = {}

    @property
    def env(self) -> Mapping[str, str]:
        """The environment for the supervisor."""
        return {"PYTHONPATH": str(_PLUGIN), "TMPDIR": str(self._folder)}

    def name(self, name: str, *answers: list[str]) -> None:
        """Let a name resolve to these addresses, one list for each time, the last for ever."""
        self._names[name] = list(answers)
        self._write()

    def way(self, address: str, url: str) -> None:
        """Let an address far away be the target at this URL."""
        self._ways[address] = urlsplit(url).port or 0
        self._write()

    def asked(self, name: str) -> int:
        """Return how often a name was resolved."""
        return sum(line.startswith(f"asked {name} ") for line in self._log())

    def connects(self, address: str) -> int:
        """Return how many connections to an address were begun."""
        return sum(line.startswith(f"connect {address} ") for line in self._log())

    def _log(self) -> list[str]:
        path = self._folder / "internet.log"
        return path.read_text(encoding="ascii").splitlines() if path.exists() else []

    def _write(self) -> None:
        content = json.dumps({"names": self._names, "ways": self._ways})
        path = self._folder / "internet.json"
        path.with_suffix(".new").write_text(content, encoding="ascii")
        path.with_suffix(".new").replace(path)  # whoever reads it sees the old or the new
