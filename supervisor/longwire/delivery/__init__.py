"""Delivery of the journal's events to one durable subscription: what to send to whom, decided purely.

Belongs here: the window of a subscription, its filters, what is persisted of it. Does not: sockets, frames,
clocks, the journal's reading, who may subscribe.
"""

from longwire.delivery.filters import Filters
from longwire.delivery.records import Progress, Send, Wanted, WindowLimits
from longwire.delivery.window import Window

__all__ = ["Filters", "Progress", "Send", "Wanted", "Window", "WindowLimits"]
