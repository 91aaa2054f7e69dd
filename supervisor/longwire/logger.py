"""Loggers of the supervisor: they speak through what the process has set up, and set up nothing themselves.

`longwire run` configures structlog for a process of its own (`logs`). In a host that configures structlog
our lines go through its processors; in any other they go to the standard `logging` tree, below `longwire`. In
each case secrets are blanked before anyone sees a line. What the host does with a line may be done `aside`.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger

from longwire_protocol.redaction import Redactor

keeper: ContextVar[Callable[[Mapping[str, Any]], None] | None] = ContextVar("longwire_keeper", default=None)
"""Keeps the lines of one supervisor of several in a process, from `info` on: its logbook."""


aside: ContextVar[Callable[[Callable[[], object]], None] | None] = ContextVar("longwire_aside", default=None)
"""Has a line said elsewhere, without waiting: for a core whose host may block in its handlers."""


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of this name; how it speaks is looked up at each line."""
    return cast("FilteringBoundLogger", _Lazy(name))


class _Lazy:
    def __init__(self, name: str, bound: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self._bound = bound or {}

    def bind(self, **fields: Any) -> _Lazy:
        """Return one that has these fields in each line."""
        return _Lazy(self._name, {**self._bound, **fields})

    def __getattr__(self, method: str) -> Any:
        say_aside = aside.get()
        if say_aside is None:
            speaker = _speaker(self._name)
            return getattr(speaker.bind(**self._bound) if self._bound else speaker, method)
        return partial(_say_aside, say_aside, self._name, method, **self._bound)


_MAX_FORMER = 10_000
"""Secrets beside those given last: of the process's other supervisors, and former ones. Each costs a line
0.2 us, and tenants can change theirs as often as they like."""


class Redaction:
    """The processor that blanks secrets and leaves out what is not applicable."""

    def __init__(self) -> None:
        self._secrets: dict[str, None] = {}
        """Those given last stand last."""
        self._redact = Redactor()

    def blank(self, secrets: Iterable[str]) -> None:
        """Blank these values from now on, beside the last `_MAX_FORMER` of the others."""
        given = dict.fromkeys(secrets)
        former = [secret for secret in self._secrets if secret not in given]
        self._secrets = dict.fromkeys(former[-_MAX_FORMER:]) | given
        self._redact = Redactor(self._secrets)

    def __call__(
        self, _logger: Any, _method: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the fields, every text of them redacted."""
        return {key: self._cleaned(value) for key, value in fields.items() if value is not None}

    def text(self, text: str) -> str:
        """Return a text, redacted."""
        return self._redact(text)

    def _cleaned(self, value: Any) -> Any:
        """Return plain data, every text of it redacted."""
        match value:
            case str():
                return self._redact(value)
            case None | bool() | int() | float():
                return value
            case dict():
                known = cast("dict[object, object]", value)
                return {self._redact(str(key)): self._cleaned(each) for key, each in known.items()}
            case list() | tuple():
                return [self._cleaned(each) for each in cast("list[object]", value)]
            case _:
                return self._redact(repr(value))


redaction = Redaction()
"""Of the whole process: a secret of one supervisor is one for all."""


def blank(secrets: Iterable[str]) -> None:
    """Blank these values in the log from now on, beside those known before."""
    redaction.blank(secrets)


def _say_aside(
    say_aside: Callable[[Callable[[], object]], None], name: str, method: str, event: str, /, **fields: Any
) -> None:
    """Do here what is ours, and leave the rest."""
    if method == "exception":
        method, fields["exc_info"] = "error", True
    line: Any = {"event": event, **fields}
    for processor in _ours():
        line = processor(None, method, line)
    say_aside(lambda: getattr(_speaker(name, is_done=True), method)(**line))


def _speaker(name: str, *, is_done: bool = False) -> Any:
    """Return what says a line; `is_done`: it has been through what is ours."""
    if not structlog.is_configured():
        return _standard(name, is_done=is_done)
    processors = structlog.get_config()["processors"]
    if redaction in processors:  # they are our own
        return structlog.get_logger(name)
    ours = [] if is_done else _ours()
    return structlog.wrap_logger(None, processors=ours + list(processors), logger_factory_args=(name,))


def _ours() -> list[structlog.typing.Processor]:
    return [_with_traceback, redaction, _keep]


@lru_cache(maxsize=256)
def _standard(name: str, *, is_done: bool) -> Any:
    ours = [] if is_done else _ours()
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[*ours, structlog.stdlib.filter_by_level, _as_record],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
    )


def _with_traceback(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn an exception into text while secrets can still be blanked in it."""
    if fields.pop("exc_info", None):
        fields["traceback"] = traceback.format_exc()
    return fields


def _keep(_logger: Any, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    keep = keeper.get()
    if keep is not None and method != "debug":
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        keep({"timestamp": at, "level": method, **fields})
    return fields


def _as_record(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    """Return what a standard logger takes: a text for people, and all fields as `record.longwire`."""
    rest = "".join(f" {key}={value!r}" for key, value in fields.items() if key != "event")
    return (f"{fields['event']}{rest}",), {"extra": {"longwire": dict(fields)}}
