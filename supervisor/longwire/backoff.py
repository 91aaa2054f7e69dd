"""How long to wait after a failure."""

from __future__ import annotations

import msgspec

_LARGEST_EXPONENT = 64
"""Past this every cap is reached, and 2**n would only grow."""


class Backoff(msgspec.Struct, frozen=True):
    """An exponential delay with a cap, in seconds; `initial_s` 0 means no delay at all."""

    initial_s: float
    max_s: float

    def delay(self, failures: int, *, luck: float) -> float:
        """Return the seconds to wait after the `failures`-th failure in a row (1 is the first).

        Uniform in [d/2, d] with d = min(max, initial * 2^(failures - 1)): half of it fixed, so that no retry
        comes at once, half of it random, so that accounts that failed together do not return together.

        Args:
            failures: at least 1.
            luck: uniform in [0, 1).
        """
        exponent = min(failures - 1, _LARGEST_EXPONENT)
        longest: float = min(self.max_s, self.initial_s * 2.0**exponent)
        return longest / 2 + luck * longest / 2
