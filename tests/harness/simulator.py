"""The simulators in a process of their own, started by the installed command."""

from __future__ import annotations

import json
from pathlib import Path

from harness.processes import COMMAND, Program
from harness.waiting import until
from longwire_connectors.simulator.admin_client import SimulatorClient


class Simulator(SimulatorClient):
    """The admin client of a simulator process."""

    def __init__(self, url: str, program: Program) -> None:
        super().__init__(url)
        self.url = url
        self.program = program

    @classmethod
    async def start(cls, folder: Path, *, time_scale: float = 1.0) -> Simulator:
        """Start one on a free port; its platforms wait `time_scale` times less before they push again."""
        command = [COMMAND, "simulate", "--port", "0", "--json", "--time-scale", str(time_scale)]
        program = await Program.start(command, output=folder / "simulator.log")

        async def announced() -> str | None:
            lines = program.text().splitlines()
            return lines[0] if lines else None

        return cls(json.loads(await until(announced, what="the simulator announces itself"))["url"], program)
