"""Commands that must have one effect: accepted durably, carried out in order, and answered for.

Belongs here: what is kept of a command (`command.py`), what may happen to it (`course.py`, pure), and who
carries it out (`outbox.py`). Does not: how fast and in what order (`longwire.sending`), how it is written
(`longwire.journal`), and which commands these are (`longwire_protocol.methods`).
"""

from longwire.outbox.command import Asked, Command, Outcome, State, facts
from longwire.outbox.lane import Performer
from longwire.outbox.outbox import Outbox

__all__ = ["Asked", "Command", "Outbox", "Outcome", "Performer", "State", "facts"]
