"""Processes that are stopped before they have done anything, and a supervisor that is gone."""

from __future__ import annotations

import asyncio
import signal
import sys

import psutil
import pytest

from fakes.nursery import (
    Stage,
    stage_fixture,  # noqa: F401  # pytest finds it here
)
from harness.processes import is_alive
from harness.waiting import DEADLINE_S, until
from longwire.templates import Kind

A_HELPER_THAT_IS_STOPPED = """
from longwire.helper import Helper
Helper(["-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"], timeout_s=600.0).run(None)
"""


@pytest.mark.parametrize("is_forked", [True, False])
async def test_a_child_that_was_stopped_in_its_first_moments_ends_with_its_lifeline(
    stage: Stage, *, is_forked: bool
) -> None:
    made = await stage.make(is_forked=is_forked)
    made.info.suspend()
    assert await made.end() == -signal.SIGKILL


async def test_a_template_that_was_stopped_in_its_first_moments_ends_with_its_lifeline(stage: Stage) -> None:
    asking = asyncio.ensure_future(stage.make())
    await until(lambda: _is_starting(stage), what="the template is starting")
    template = stage.nursery._templates[Kind("loopback", None)]
    psutil.Process(template.pid).suspend()
    template._process.let_go()
    await until(lambda: _is_gone(template.pid), what="the template is gone")
    await (await asking).end()


async def _is_starting(stage: Stage) -> bool:
    return Kind("loopback", None) in stage.nursery._templates


async def _is_gone(pid: int) -> bool:
    return not is_alive(pid)


async def test_a_helper_that_was_stopped_in_its_first_moments_dies_with_its_parent() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", A_HELPER_THAT_IS_STOPPED)
    try:
        helper = await until(lambda: _stopped_child(parent.pid), what="its helper is stopped")
    finally:
        parent.kill()
        async with asyncio.timeout(DEADLINE_S):
            await parent.wait()
    await until(lambda: _is_gone(helper.pid), what="the helper is gone")


async def _stopped_child(pid: int) -> psutil.Process | None:
    children = psutil.Process(pid).children()
    return next((each for each in children if each.status() == psutil.STATUS_STOPPED), None)
