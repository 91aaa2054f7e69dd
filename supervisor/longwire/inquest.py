"""The evidence of one silence: what /proc shows of the process, and its Python stacks.

It is opened while the process may still come back, so that at the end of the silence everything is there and
nothing has to be waited for. What has not come by then is missing; no kill is ever late for it.
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
        self._first = procfs.read(process.pid)
        self._last: Reading | None = self._first

    def ask(self) -> None:
        """Ask the process for its stacks, in place of those of before."""
        pid = self._process.pid
        memory = procfs.open_memory(pid, stacks.MEMORY, os.O_WRONLY | os.O_TRUNC)
        if memory is not None:
            os.close(memory)
        if procfs.catches(pid, stacks.SIGNAL):  # it would end any other process
            self._process.signal_alone(stacks.SIGNAL)

    def look(self) -> Reading | None:
        """Look at the process once more."""
        self._last = procfs.read(self._process.pid)
        return self._last

    @property
    def condition(self) -> Condition | None:
        """What it was doing between the first look and the last; `None` if that cannot be known."""
        found = self._facts()
        return None if found is None else condition(found)

    def findings(self) -> Findings:
        """Return all that is there."""
        return Findings(condition=self.condition, proc=self._facts(), stacks=self._stacks())

    def _facts(self) -> Facts | None:
        return None if self._first is None or self._last is None else facts(self._first, self._last)

    def _stacks(self) -> str | None:
        memory = procfs.open_memory(self._process.pid, stacks.MEMORY, os.O_RDONLY)
        if memory is None:
            return None
        try:
            return os.read(memory, _MOST_STACKS_BYTES).decode(errors="replace").strip() or None
        except OSError:
            return None
        finally:
            os.close(memory)
