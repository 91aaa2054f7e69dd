"""The evidence of one silence: what /proc shows of the process, and its Python stacks.

It is opened while the process may still come back, so that at the end of the silence everything is there and
nothing has to be waited for. What has not come by then is missing; no kill is ever late for it.

A cheap look comes first. Where a machine has no CPU for a thousand children, it has none for reading all that
is known of them, nor have they for writing a thousand stacks: of one that is starved nothing more is asked.
"""

from __future__ import annotations

import os

from longwire import procfs
from longwire.evidence import Condition, Facts, Findings, Reading, condition, facts
from longwire.process import Process
from longwire_protocol import stacks

_MOST_STACKS_BYTES = 32 * 1024
"""Some 300 frames; faulthandler writes a hundred of each of a hundred threads at most."""


class Inquest:
    """Gathers the evidence of one silence of a process, from when it is opened on."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._opened = self._last = procfs.glance(process.pid)
        self._first: Reading | None = None
        """All that /proc shows, from when it was more than starved."""
        self._is_spared = self._is_asked = False

    def suspect(self) -> None:
        """Look once more; have one that is not starved say where it is, in place of what it said before."""
        self._is_spared = False
        self._last = procfs.glance(self._process.pid)
        self._is_spared = self.condition is Condition.STARVED
        if not self._is_spared:
            self._first = self._first or procfs.read(self._process.pid)
            self._ask()

    def look(self) -> Reading | None:
        """Look at the process for the last time."""
        pid = self._process.pid
        self._last = procfs.glance(pid) if self._first is None else procfs.read(pid)
        return self._last

    @property
    def condition(self) -> Condition | None:
        """What it was doing between the first look and the last; `None` if that cannot be known.

        Who was starved when it was suspected is called so to the end: it is not known yet where it hangs.
        """
        found = self._facts()
        if found is None:
            return None
        return Condition.STARVED if self._is_spared else condition(found)

    def findings(self) -> Findings:
        """Return all that is there."""
        if self._first is None:
            self._first = self._last = procfs.read(self._process.pid)
        return Findings(condition=self.condition, proc=self._facts(), stacks=self._stacks())

    def _facts(self) -> Facts | None:
        """Return what tells its condition: of the main thread, or of all where that one waits."""
        if self._opened is None or self._last is None:
            return None
        found = facts(self._opened, self._last)
        if self._first is not None and condition(found) is Condition.BLOCKED:  # perhaps by another
            return facts(self._first, self._last)
        return found

    def _ask(self) -> None:
        """Ask the process for its stacks, in place of those of before."""
        pid = self._process.pid
        memory = procfs.open_memory(pid, stacks.MEMORY, os.O_WRONLY | os.O_TRUNC)
        if memory is not None:
            os.close(memory)
        if procfs.catches(pid, stacks.SIGNAL):  # it would end any other process
            self._process.signal_alone(stacks.SIGNAL)
            self._is_asked = True

    def _stacks(self) -> str | None:
        """Return what it said of this silence, not of one before."""
        memory = procfs.open_memory(self._process.pid, stacks.MEMORY, os.O_RDONLY) if self._is_asked else None
        if memory is None:
            return None
        try:
            return os.read(memory, _MOST_STACKS_BYTES).decode(errors="replace").strip() or None
        except OSError:
            return None
        finally:
            os.close(memory)
