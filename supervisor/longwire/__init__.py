"""The supervisor: one process per chat-bot account, kept alive; events to disk and to whoever asked for them.

Here belong lifecycle, liveness, the journal, delivery, the client endpoint and the command line. What runs
in a child belongs to `longwire_connectors`, what goes over the wire to `longwire_protocol`. No SDK is
imported.
"""

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
    "SupervisorUnreachable",
    "SyncClient",
    "WouldDeadlock",
    "__version__",
]
