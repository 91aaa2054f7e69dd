"""What a template, the system or the supervisor itself does wrong, and that no account suffers by it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from fakes.nursery import (
    Made,
    Stage,
    stage_fixture,  # noqa: F401  # pytest finds it here
)
from harness.processes import is_alive
from harness.waiting import until
from longwire import templates
from longwire.nursery import Nursery
from longwire.templates import Kind

FAILS_ONCE = """import os
        fork = os.fork
        def fail():
            os.fork = fork
            raise BlockingIOError(11, "no room for a process")
        os.fork = fail"""


async def test_a_fork_that_the_system_refuses_leaves_the_account_free(stage: Stage) -> None:
    stage.install_plugin(FAILS_ONCE)
    with pytest.raises(OSError, match="no room for a process"):
        await stage.make("plugin", account="bot")
    made = await stage.make("plugin", account="bot")
    assert stage.template_of(made) is not None
    await made.end()


async def test_the_end_of_a_child_is_told_though_its_template_is_stopped(stage: Stage) -> None:
    made = await stage.make(account="bot")
    template = template_of(stage, made)
    template.suspend()
    made.process.signal(signal.SIGKILL)
    assert await made.code() is None  # how it ended only the template knew
    await until(lambda: _is_gone(template), what="the template that does not wait is gone")
    successor = await stage.make(account="bot")
    assert template_of(stage, successor) != template
    await successor.end()


async def test_an_account_whose_start_was_given_up_can_be_started_again_at_once(stage: Stage) -> None:
    first = await stage.make()
    template = template_of(stage, first)
    template.suspend()
    asking = asyncio.ensure_future(stage.make(account="bot"))
    await until(lambda: _has_asked(stage), what="it has asked")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    again = asyncio.ensure_future(stage.make(account="bot"))
    await asyncio.sleep(0)
    template.resume()
    made = await again
    assert template_of(stage, made) == template
    await made.end()
    await first.end()


async def _has_asked(stage: Stage) -> bool:
    return bool(stage.nursery._templates[Kind("loopback", None)]._forks)


async def test_a_supervisor_that_was_stopped_itself_does_not_judge_its_template(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await stage.make()
    template = template_of(stage, first)
    monkeypatch.setattr(templates, "_FORK_S", 0.2)
    template.suspend()
    asking = asyncio.ensure_future(stage.make())
    await until(lambda: _has_asked(stage), what="it has asked")
    template.resume()
    stopped_until = time.monotonic() + 1.0
    while time.monotonic() < stopped_until:
        pass
    made = await asking
    assert template_of(stage, made) == template
    await made.end()
    await first.end()


async def test_without_pidfds_every_child_is_a_fresh_process(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(1, "a sandbox")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    monkeypatch.setattr(stage, "nursery", Nursery(stage.nursery._environment, locks=stage.folder))
    made = await stage.make()
    assert stage.template_of(made) is None
    assert await made.end() == -signal.SIGKILL


async def test_a_template_that_dies_at_its_first_fork_is_not_tried_again_at_once(stage: Stage) -> None:
    stage.install_plugin("import os; os.fork = lambda: os._exit(3)")
    made = [await stage.make("plugin"), await stage.make("plugin")]
    assert [stage.template_of(child) for child in made] == [None, None]
    (status,) = stage.nursery.status()
    assert status.reason == "it ended when it was to fork; its log tells why"
    for child in made:
        await child.end()


async def test_more_ends_than_a_stopped_template_takes_are_told_it_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "_REAP_S", 60.0)
    made = await stage.make()
    process = template_of(stage, made)
    template = stage.nursery._templates[Kind("loopback", None)]
    process.suspend()
    for number in range(10_000, 11_000):  # of which it knows nothing, so it does not answer
        template._reap(number, lambda _: None)
    assert template._unsent
    process.resume()

    async def all_sent() -> bool:
        return not template._unsent

    await until(all_sent, what="it has been told of all")
    await made.end()


@pytest.mark.parametrize("is_forked", [True, False])
async def test_signals_that_a_host_has_blocked_are_not_blocked_in_a_child(
    stage: Stage, *, is_forked: bool
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    try:
        made = await stage.make(is_forked=is_forked)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    async def unblocked() -> bool:
        status = await asyncio.to_thread(Path(f"/proc/{made.process.pid}/status").read_text)
        return "SigBlk:\t0000000000000000" in status

    await until(unblocked, what="nothing is blocked")
    await made.end()


def template_of(stage: Stage, made: Made) -> psutil.Process:
    template = stage.template_of(made)
    assert template is not None
    return template


async def _is_gone(process: psutil.Process) -> bool:
    return not is_alive(process.pid)
