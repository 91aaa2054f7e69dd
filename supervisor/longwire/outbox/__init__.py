"""Commands that must have one effect: accepted durably, carried out in order, and answered for.

Belongs here: what is kept of a command (`command.py`), and what may happen to it (`course.py`). Does not: how
it is written (`longwire.journal`), and which commands these are (`longwire_protocol.methods`).
"""

from longwire.outbox.command import Command, Outcome, State, facts

__all__ = ["Command", "Outcome", "State", "facts"]
