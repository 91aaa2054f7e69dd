"""In what order, and how fast, commands go to a platform: decided purely.

Belongs here: the queue of one app, its clients' turns, its chats' order, the platform's limits. Does not:
clocks, disks, what a command says, who carries it out, what its outcome means.

There is one `Queue` for each app, which is what platforms limit. Two accounts of a supervisor that are of one
app (`allow_shared_app`) are two owners in one queue. What other supervisors or programs send in the app's
name is not seen here; the platform says 429 to it, and `Queue.hold` is the answer.
"""

from longwire.sending.chats import Item
from longwire.sending.queue import Queue, Saturated

__all__ = ["Item", "Queue", "Saturated"]
