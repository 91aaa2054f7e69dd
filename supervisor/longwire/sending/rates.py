"""What a platform's limits still allow: the tokens of one app, or of one of its chats.

A limit of `most` within `within_s` must hold in whatever windows the platform counts, cut where it likes. A
bucket that fills at the published pace does not do that: full after a pause, it lets nearly twice as much
through in the next window. So a token that was spent comes back as a whole, a window later: that is a sliding
window, and it wastes nothing of what is allowed.

Nobody here knows when the platform counts a request: some time after it was let go, and before its answer is
here. So its token is out for that whole time, and is back a window after the *answer*. The jitter of
processes, connections and networks is thereby measured each time, and no margin has to be guessed for it: a
slow platform costs its delay once a window, a fast one next to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final

from longwire_protocol.declaration import Rate

SLEW: Final = 1.001
"""So much longer is each window here. NTP makes clocks run wrong by up to 500 ppm while it corrects them, and
there are two: the platform's and ours."""


class Bucket:
    """The tokens of some limits, all of which hold; times are seconds of a clock that does not go back.

    It remembers as many answers as the largest limit allows requests.
    """

    __slots__ = ("_answered", "_out", "_rates")

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = rates
        self._out = 0
        self._answered: deque[float] = deque(maxlen=max((rate.most for rate in rates), default=0))

    def free_at(self) -> float:
        """Return from when on there is a token.

        `-inf`: there is one. `inf`: all are out, and nobody knows before one comes back.
        """
        return max((self._free_at(rate) for rate in self._rates), default=-inf)

    def rested_at(self) -> float:
        """Return from when on a new bucket would be the same, as long as none of its tokens is out."""
        longest_s = max((rate.within_s for rate in self._rates), default=0.0)
        return self._answered[-1] + longest_s * SLEW if self._answered else -inf

    def take(self) -> None:
        """Spend a token, after `free_at`."""
        self._out += 1

    def give_back(self, now: float) -> None:
        """Say that the request was answered: its token is there again when that was a window ago."""
        self._out -= 1
        self.count(now)

    def put_back(self) -> None:
        """Say that the request was never made: its token is there again."""
        self._out -= 1

    def count(self, at: float) -> None:
        """Count a request that took no token and was answered then."""
        self._answered.append(max(at, self._answered[-1]) if self._answered else at)

    def _free_at(self, rate: Rate) -> float:
        in_question = rate.most - self._out
        if in_question <= 0:
            return inf
        if len(self._answered) < in_question:
            return -inf
        return self._answered[-in_question] + rate.within_s * SLEW
