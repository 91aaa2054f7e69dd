"""The SDK's request for a connection, with the bounds it lacks: off the loop, timed, and given up at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import requests

from longwire_connectors import webcall
from longwire_connectors.dingtalk.errors import Answer
from longwire_protocol.threads import in_thread

OPENING_S = 13.0
"""Connecting and answering together; each is bounded by `webcall`, where 0.24.3 has no bound (D1)."""
_HTTP_ERROR = 400


class Opening:
    """One request for a connection: its answer, or why there is none."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.granted: Any = None
        """The answer's JSON as the SDK returned it; `None` if it was no success."""
        self.error: Exception | None = None
        self.is_abandoned = False
        """Nobody waits any more: no request may begin."""

    @property
    def is_timeout(self) -> bool:
        """Whether the platform was too slow."""
        return isinstance(self.error, TimeoutError)


class ReadResponse:
    """An answer that was read, with what the SDK asks of a `requests.Response`."""

    def __init__(self, answer: Answer) -> None:
        self._body = answer.body
        self.status_code = answer.status

    @property
    def text(self) -> str:
        """The body."""
        return self._body.decode(errors="replace")

    def json(self) -> Any:
        """Return the body decoded; ValueError if it is no JSON."""
        return json.loads(self._body)

    def raise_for_status(self) -> None:
        """Raise HTTPError if the answer is an error; the text names nothing but the status."""
        if self.status_code >= _HTTP_ERROR:
            raise requests.HTTPError(f"HTTP {self.status_code}")


class BoundedRequests:
    """Stands in for `requests` in the SDK's module: with timeouts, bounds, and a record of the answer."""

    def __init__(self) -> None:
        self._current = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def during(self, opening: Opening, call: Callable[[], Any]) -> Any:
        """Return `call()`; what it posts on this thread is recorded in `opening`."""
        self._current.opening = opening
        return call()

    def post(self, url: str, *, headers: dict[str, str], data: bytes, **_timeout: float) -> ReadResponse:
        """Post within the bounds, without following redirects: those would carry the secret elsewhere."""
        opening: Opening = self._current.opening
        if opening.is_abandoned:
            raise ConnectionError("given up before it began")
        try:
            reply = webcall.call("POST", url, body=data, headers=headers)
        except Exception as exc:
            opening.error = exc
            raise
        opening.answer = Answer(reply.status, reply.body, reply.headers.get("Retry-After"))
        return ReadResponse(opening.answer)


async def open_connection(call: Callable[[], Any], through: BoundedRequests, *, timeout_s: float) -> Opening:
    """Ask for endpoint and ticket with the SDK's own `open_connection`, off the loop (D1).

    Raises nothing but CancelledError; cancellation is prompt, and no request begins after it.

    Args:
        call: the SDK's method.
        through: what it posts with.
        timeout_s: seconds for the whole; 13 at most.
    """
    opening = Opening()
    work = partial(_open, call, through, opening)
    try:
        await in_thread(work, name="dingtalk connections/open", timeout_s=min(timeout_s, OPENING_S))
    except Exception as exc:  # noqa: BLE001  a timeout, or whatever a newer SDK may let through
        failed = Opening()  # the thread may still write into the other
        failed.error = exc
        return failed
    finally:
        opening.is_abandoned = True
    return opening


def _open(call: Callable[[], Any], through: BoundedRequests, opening: Opening) -> None:
    try:
        opening.granted = through.during(opening, call)
    except (ValueError, RecursionError):
        opening.granted = None  # an answer that is not JSON escapes the SDK (stream.py 181)
