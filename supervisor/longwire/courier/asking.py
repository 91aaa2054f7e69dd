"""One post on its way through aiohttp: what the resolver and the sockets must know of it, and tell of it.

aiohttp hands nothing of ours down to them but the context, so that is how they know.
"""

from __future__ import annotations

from contextvars import ContextVar

from longwire.courier.errors import PostError


class Asking:
    """A post that is under way."""

    __slots__ = ("is_queued", "opened", "tenant", "trouble")

    def __init__(self, tenant: str | None) -> None:
        self.tenant = tenant
        self.is_queued = False
        """Whether it waits for something of ours."""
        self.opened = 0
        """How many connections were begun for it: none, and it goes over one that was idle."""
        self.trouble: PostError | None = None
        """What it came to grief on that aiohttp has no error for."""


current: ContextVar[Asking] = ContextVar("current")
"""Set by each post in its own task; tasks that aiohttp starts for it inherit it."""
