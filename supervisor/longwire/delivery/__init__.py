"""Delivery of the journal's events to one durable subscription: what to send to whom, decided purely.

Belongs here: the window of a subscription, its filters, what is persisted of it. Does not: sockets, frames,
clocks, the journal's reading, who may subscribe.
"""

from longwire.delivery.chats import Entry
from longwire.delivery.dispatch import Sends
from longwire.delivery.filters import Filters
from longwire.delivery.records import Cause, DeadEvent, Failing, Progress, Wanted, WindowLimits
from longwire.delivery.window import Window

__all__ = [
    "Cause",
    "DeadEvent",
    "Entry",
    "Failing",
    "Filters",
    "Progress",
    "Sends",
    "Wanted",
    "Window",
    "WindowLimits",
]
