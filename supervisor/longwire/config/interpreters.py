"""The Python interpreters that a configuration names, and the connectors installed in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from longwire.config.paths import located
from longwire_protocol.declaration import ConnectorSpec
from longwire_protocol.errors import ConfigError

Specs = Mapping[str, ConnectorSpec]
Describe = Callable[[str | None], Specs]
"""Returns the connectors of an interpreter by name, `None` being our own. Raises ConfigError."""


class Interpreters:
    """Asks each interpreter once, and our own only when it is needed.

    Args:
        describe: asks one.
        base: the folder from which relative paths count.
        blame: reports what is wrong with our own, for which no key is to blame.
    """

    def __init__(self, describe: Describe, *, base: Path, blame: Callable[[str], None]) -> None:
        self._describe = describe
        self._base = base
        self._blame = blame
        self._answers: dict[object, Specs | ConfigError] = {}

    def path(self, written: str, *, blame: Callable[[str], None]) -> str | None:
        """Return the path of an interpreter of the file, `None` where there can be none; reports that.

        Links are not followed: that of a virtual environment leads out of it.
        """
        try:
            path = str(located(written, base=self._base))
        except ValueError as exc:
            blame(str(exc))
            return None
        self._ask(path, blame)
        return path

    def connectors(self, python: object) -> Specs | None:
        """Return the connectors of an interpreter, as `path` returned it or `None` for our own.

        `None` where they cannot be known, which is reported.
        """
        if python is None:
            self._ask(None, self._blame)
        answer = self._answers.get(python)
        return None if isinstance(answer, ConfigError) else answer

    def _ask(self, python: str | None, blame: Callable[[str], None]) -> None:
        if python not in self._answers:
            try:
                self._answers[python] = self._describe(python)
            except ConfigError as exc:
                self._answers[python] = exc
        answer = self._answers[python]
        if isinstance(answer, ConfigError):
            for problem in answer.problems:
                blame(problem.message)
