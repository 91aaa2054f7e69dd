"""What goes over the wire between clients, supervisor and children, and the client itself.

Here belong frames, codec, addresses, errors, the ZeroMQ channel and whatever both sides must agree on. What
the supervisor decides belongs to `longwire`, what a connector does to `longwire_connectors`; this package
imports neither.
"""

from longwire_protocol.client import Client
from longwire_protocol.errors import (
    ClientClosed,
    ClientForked,
    CommandError,
    ConfigError,
    LongwireError,
    RetCode,
    SupervisorUnreachable,
    WouldDeadlock,
)
from longwire_protocol.event import Event
from longwire_protocol.replies import Accepted
from longwire_protocol.session import BlockedLoopWarning
from longwire_protocol.subscription import IncomingEvent, Subscription
from longwire_protocol.syncclient import SyncClient
from longwire_protocol.syncsubscription import SyncEvent, SyncSubscription
from longwire_protocol.version import __version__

__all__ = [
    "Accepted",
    "BlockedLoopWarning",
    "Client",
    "ClientClosed",
    "ClientForked",
    "CommandError",
    "ConfigError",
    "Event",
    "IncomingEvent",
    "LongwireError",
    "RetCode",
    "Subscription",
    "SupervisorUnreachable",
    "SyncClient",
    "SyncEvent",
    "SyncSubscription",
    "WouldDeadlock",
    "__version__",
]
