"""Every error Longwire raises on purpose.

::

    LongwireError
    ├── ConfigError            the operator must change the configuration; carries every problem at once
    ├── AddressError           an endpoint that cannot be used; the caller must give another
    ├── FrameError             the peer sent something unreadable; the connection goes on
    │   ├── FrameTooLarge      over the size limit
    │   └── MalformedFrame     not MessagePack, an unknown kind, a field of the wrong shape
    ├── AlreadyRunning         another supervisor uses the same data; try again when it is gone
    ├── SupervisorUnreachable  nobody answers at the endpoint; retry later
    │   └── ClientClosed       the client was left, or not entered yet; use another
    ├── ClientForked           made before a fork, used in its child; the child must make its own
    ├── WouldDeadlock          a blocking call on the thread that has to answer it; await instead
    └── CommandError           the supervisor or the platform refused a command; carries the return code

Leaves answer «what happens next». Errors of a platform's link are data, not exceptions that cross
processes: see `longwire_protocol.link`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec


class LongwireError(Exception):
    """The base of everything Longwire raises on purpose."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a configuration."""

    place: str
    """Dotted path in the file, as `accounts.acme-lark.app_id`; empty for the file as a whole."""

    message: str
    """What is wrong and what would be right; never holds a secret."""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ConfigError(LongwireError):
    """A configuration that cannot be used; nothing was changed. `problems` holds every mistake found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class AddressError(LongwireError):
    """An endpoint that is not `ipc://PATH` or `tcp://HOST:PORT`, or that the system cannot bind."""


class FrameError(LongwireError):
    """A frame from the peer that could not be read."""


class FrameTooLarge(FrameError):
    """A frame over the limit of its channel, in bytes."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"frame of {size_bytes} bytes is over the limit of {limit_bytes} bytes")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class MalformedFrame(FrameError):
    """A frame that is not MessagePack or not one of the known shapes; the text names the place."""


class AlreadyRunning(LongwireError):
    """Another supervisor uses the same data directory; only one can."""


class SupervisorUnreachable(LongwireError):
    """No supervisor answered at the endpoint in time."""


class ClientClosed(SupervisorUnreachable):
    """A client that was left, or not entered yet; nobody can be reached by it."""


class ClientForked(LongwireError):
    """Something that belongs to the process a fork was made of; the child needs a client of its own."""


class WouldDeadlock(LongwireError):
    """A call that blocks the thread of the loop that would have to answer it; nothing was done."""


class RetCode(IntEnum):
    """What became of a request; the ten thousands follow OneBot 12 (1: request, 2: handler, 3: execution)."""

    OK = 0
    BAD_REQUEST = 10001  # the frame is a request, but not one that makes sense here
    UNKNOWN_METHOD = 10002  # `get_supported` lists the known ones
    BAD_PARAM = 10003  # the message names the parameter
    UNSUPPORTED = 10004  # the platform has no such thing; the message says what to do instead
    UNKNOWN_ACCOUNT = 10005  # no account of that name in the configuration
    IDEMPOTENCY_CONFLICT = 10006  # the same idempotency key with other parameters
    SUBSCRIPTION_CONFLICT = 10007  # the subscription exists with other filters
    NOT_SUBSCRIBED = 10008  # the subscription is not open on this connection
    CONFIG_REFUSED = 10009  # a configuration with mistakes; `data.problems` has each with its place
    ACCOUNT_EXISTS = 10010  # an account of that name is there already
    UNKNOWN_WEBHOOK = 10011  # no webhook of that name in the configuration
    WEBHOOK_EXISTS = 10012  # a webhook of that name is there already
    INTERNAL = 20002  # a bug of ours; the supervisor's log has the traceback
    JOURNAL_UNAVAILABLE = 31001  # the journal cannot be read or written; see the supervisor's state
    PLATFORM_REFUSED = 34001  # the platform answered and said no; `data.platform_code` has its code
    PLATFORM_UNREACHABLE = 34002  # the platform could not be asked, or answered unreadably
    PLATFORM_LIMITED = 34003  # the platform limits the rate; `retry_after_ms` says how long
    ACCOUNT_NOT_ONLINE = 35001  # the account has no proven link now
    DEADLINE_EXCEEDED = 35002  # no outcome within `deadline_ms`; the effect is unknown
    CHILD_LOST = 35003  # the account's process ended in the middle; the effect is unknown
    SATURATED = 36001  # a bound was reached; `retry_after_ms` says when to come again


class CommandError(LongwireError):
    """A command that was answered with `failed`."""

    def __init__(
        self,
        retcode: int,
        message: str,
        *,
        retryable: bool = False,
        retry_after_ms: int | None = None,
        data: object = None,
    ) -> None:
        super().__init__(f"{message} (retcode {retcode})")
        self.retcode = retcode
        self.message = message
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.data = data
