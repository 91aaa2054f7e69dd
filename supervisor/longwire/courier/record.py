"""What a lane counts, for people."""

from __future__ import annotations

import time
from typing import Final, Literal

from longwire.courier.replies import Said
from longwire.courier.verdict import Verdict
from longwire.courier.wire import LastError, Report, State
from longwire_protocol import breaker

_BREAKERS: Final[dict[breaker.State, Literal["closed", "open", "probing"]]] = {
    breaker.State.CLOSED: "closed",
    breaker.State.OPEN: "open",
    breaker.State.PROBING: "probing",
}


class Record:
    """Counts of one lane, in this process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._delivered = 0
        self._failed = 0
        self._commands = 0
        self._refused = 0
        self._last_error: LastError | None = None
        self._last_delivered_at: float | None = None
        self.superseded = 0
        """Events that needed no post, as a newer one counts."""

    def delivered(self, events: int) -> None:
        """Count events that a target took."""
        self._delivered += events
        self._last_delivered_at = time.time()

    def failed(self, verdict: Verdict, *, status: int | None) -> None:
        """Count a post that did not succeed; `None` where nothing was answered."""
        self._failed += 1
        self._last_error = LastError(time.time(), verdict.reason, status)

    def commanded(self, said: Said) -> None:
        """Count what became of an answer's commands."""
        self._commands += said.accepted
        self._refused += said.refused

    def report(
        self,
        *,
        state: State,
        queued: int,
        under_way: int,
        breaker: breaker.Breaker,
        retry_in_s: float | None,
    ) -> Report:
        """Return all that is to be told."""
        return Report(
            name=self._name,
            state=state,
            queued=queued,
            under_way=under_way,
            delivered=self._delivered,
            failed=self._failed,
            superseded=self.superseded,
            commands=self._commands,
            refused_commands=self._refused,
            breaker=_BREAKERS[breaker.state],
            failures=breaker.failures,
            retry_at=None if retry_in_s is None else time.time() + retry_in_s,
            last_error=self._last_error,
            last_delivered_at=self._last_delivered_at,
        )
