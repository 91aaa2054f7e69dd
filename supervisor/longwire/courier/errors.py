"""Why a post got no answer.

::

    LongwireError
    └── PostError    no answer; the text holds neither the target's path nor its secrets
        ├── Refused  our policy forbids it: an address, a redirect; the operator or the tenant must act
        ├── Failed   the target's fault: unreachable, too slow, broke off, too long; retry with backoff
        └── Busy     our own: lookups or sockets are used up; says nothing of the target, come again

The three are apart because only `Failed` may count: as an attempt of the event and for the target's breaker.
"""

from __future__ import annotations

from longwire_protocol.errors import LongwireError


class PostError(LongwireError):
    """A post without an answer. Whether the target got it is unknown unless a leaf says so."""


class Refused(PostError):
    """Nothing of the kind is posted to this target until it, or its name's address, is changed."""


class Failed(PostError):
    """The target did not answer as HTTP and the bounds demand."""


class Busy(PostError):
    """Nothing was posted, for want of something of ours."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
