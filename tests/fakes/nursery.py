"""A nursery on a stage: its children, its templates, and a plug-in that it may be asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psutil
import pytest

from harness.waiting import DEADLINE_S, until
from longwire.environment import child_environment
from longwire.nursery import Nursery
from longwire.process import Process
from longwire.templates import Kind
from longwire_protocol.declaration import ENTRY_POINT_GROUP

PLUGIN = """
from longwire_connectors.loopback import LoopbackConnector

HOARD = []

class Plugin(LoopbackConnector):
    @classmethod
    def preload(cls):
        {preload}
"""


class Made:
    """A child, or a template's failure to make one."""

    def __init__(self, process: Process, ended: asyncio.Future[int | None]) -> None:
        self.process = process
        self.ended = ended

    @property
    def info(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    async def end(self) -> int | None:
        self.process.let_go()
        return await self.code()

    async def code(self) -> int | None:
        async with asyncio.timeout(DEADLINE_S):
            return await self.ended


class Stage:
    """A nursery, and a plug-in that it may be asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nursery = Nursery(child_environment(os.environ) | {"PYTHONPATH": str(folder)}, locks=folder)
        self._accounts = count()
        self._open = ExitStack()

    async def make(
        self,
        connector: str = "loopback",
        *,
        account: str | None = None,
        python: str | None = None,
        is_forked: bool = True,
        is_successor: bool = False,
    ) -> Made:
        ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        theirs, ours = os.pipe()
        self._open.callback(os.close, ours)  # nobody writes a bootstrap: the child waits
        try:
            async with asyncio.timeout(DEADLINE_S):
                process = await self.nursery.make(
                    account or f"bot{next(self._accounts)}",
                    Kind(connector, python),
                    bootstrap_fd=theirs,
                    is_forked=is_forked,
                    is_successor=is_successor,
                    on_exit=ended.set_result,
                )
        finally:
            os.close(theirs)
        os.set_blocking(process.log_fd, False)
        return Made(process, ended)

    def close(self) -> None:
        self._open.close()

    def install_plugin(self, preload: str) -> Path:
        info = self.folder / "plugin-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\nplugin = plugin_module:Plugin\n")
        module = self.folder / "plugin_module.py"
        module.write_text(PLUGIN.format(preload=preload))
        return module

    @staticmethod
    def template_of(made: Made) -> psutil.Process | None:
        parent = made.info.parent()
        return None if parent is None or parent.pid == os.getpid() else parent


@pytest.fixture(name="stage")
async def stage_fixture(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    await stage.nursery.close()
    await until(_no_children, what="the templates are gone")
    stage.close()


async def _no_children() -> bool:
    return not [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
