"""How a parent gets the Python stacks of a child that answers nothing any more.

The parent sends `SIGNAL`. The child's handler, which is C and needs no GIL, writes the stacks of all threads
into a piece of memory of the child's own (`memfd_create`) by the name `MEMORY`, and the parent reads it by
way of /proc. So a full log pipe loses nothing, a child that floods its log hides nothing, and the parent
pays for it with a descriptor for a moment only.
"""

from __future__ import annotations

import signal
from typing import Final

SIGNAL: Final = signal.SIGUSR2
"""Only sent to a process that handles it."""

MEMORY: Final = "longwire-stacks"
