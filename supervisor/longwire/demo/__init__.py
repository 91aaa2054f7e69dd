"""`longwire demo`: the main job against the simulators, with three faults to watch heal.

A client of the product like any other: it starts the installed command, talks to its endpoint, and breaks
things from outside. Nothing else of the supervisor belongs here.
"""

from longwire.demo.story import Heal, Story, Summary

__all__ = ["Heal", "Story", "Summary"]
