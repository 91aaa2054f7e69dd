"""The supervisor: one process per chat-bot account, kept alive; events to disk and to whoever asked for them.

Here belong lifecycle, liveness, the journal, delivery, the client endpoint and the command line. What runs
in a child belongs to `longwire_connectors`, what goes over the wire to `longwire_protocol`. No SDK is
imported.
"""

from typing import TYPE_CHECKING

from longwire_protocol import (
    Accepted,
    BlockedLoopWarning,
    Client,
    ClientClosed,
    ClientForked,
    CommandError,
    ConfigError,
    Event,
    LongwireError,
    RetCode,
    SupervisorUnreachable,
    SyncClient,
    WouldDeadlock,
    __version__,
)

if TYPE_CHECKING:
    from longwire.embedding import Supervisor

__all__ = [
    "Accepted",
    "BlockedLoopWarning",
    "Client",
    "ClientClosed",
    "ClientForked",
    "CommandError",
    "ConfigError",
    "Event",
    "LongwireError",
    "RetCode",
    "Supervisor",
    "SupervisorUnreachable",
    "SyncClient",
    "WouldDeadlock",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import what only a host needs when it is asked for: who is a client does not pay for a supervisor."""
    if name == "Supervisor":
        from longwire.embedding import Supervisor  # noqa: PLC0415

        return Supervisor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
