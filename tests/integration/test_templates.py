"""Templates: what a child inherits, and what becomes of it when its template fails; real processes."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest
import structlog
from structlog.testing import LogCapture

from fakes.nursery import (
    PLUGIN,
    Made,
    Stage,
    stage_fixture,  # noqa: F401  # pytest finds it here
)
from harness.interpreters import script
from harness.processes import is_alive
from harness.waiting import until
from longwire import templates
from longwire.templates import Kind
from longwire_protocol.forking import Warm

ALLOWED_FDS = {
    "0": "/dev/null",
    "1": "pipe:",
    "2": "pipe:",
    "3": "pipe:",
    "4": "/",
    "5": "pipe:",
    "6": "/memfd:longwire-stacks",
}
"""All that a child has before it makes anything of its own: output, lifeline, lock, bootstrap and stacks."""

GROWING = "__import__('os').register_at_fork(after_in_parent=lambda: HOARD.append(b'x' * 50 * 2**20))"
"""At each fork 50 MiB more."""


@pytest.fixture(name="log")
def log_fixture() -> LogCapture:
    capture = LogCapture()
    structlog.configure(processors=[capture])
    return capture


@pytest.mark.parametrize("connector", ["loopback", "lark", "dingtalk"])
async def test_a_forked_child_has_nothing_but_its_output_and_its_private_pipe(
    stage: Stage, connector: str
) -> None:
    first, second = await stage.make(connector), await stage.make(connector)
    template = stage.template_of(second)
    assert template is not None
    assert stage.template_of(first) == template
    await until(lambda: _has_become_a_child(second), what="the child has closed what is not its own")
    fds = descriptors(second.process.pid)
    assert {fd: target for fd, target in fds.items() if not target.startswith(ALLOWED_FDS.get(fd, "?"))} == {}
    pipes = [target for fd, target in fds.items() if fd in {"1", "3", "5"}]
    assert fds["4"] == str(stage.folder / "bot1.lock")
    # /dev/null, its log twice, its private pipe, the supervisor's socket, room for its stacks
    await until(lambda: _has_descriptors(template, 6), what="the template has closed what is its child's")
    template_fds = [*descriptors(template.pid).values()]
    assert not set(pipes) & set(template_fds)
    assert second.info.num_threads() == template.num_threads() == 1
    assert os.getsid(second.process.pid) == os.getpgid(second.process.pid) == second.process.pid
    await first.end()
    await second.end()


async def _has_become_a_child(made: Made) -> bool:
    return os.getsid(made.process.pid) == made.process.pid and descriptors(made.process.pid).keys() <= {
        *ALLOWED_FDS
    }


async def _has_descriptors(process: psutil.Process, count: int) -> bool:
    return len(descriptors(process.pid)) == count


def descriptors(pid: int) -> dict[str, str]:
    """Return what each descriptor of a process is."""
    found: dict[str, str] = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found[link.name] = str(link.readlink())
    return found


@pytest.mark.parametrize("connector", ["loopback", "nowhere"])  # of the second there is no template
async def test_a_second_process_of_an_account_is_refused_until_the_first_is_gone(
    stage: Stage, connector: str
) -> None:
    first = await stage.make(connector, account="bot")
    with pytest.raises(BlockingIOError, match="an earlier process of bot"):
        await stage.make(connector, account="bot")
    await first.end()
    second = await stage.make(connector, account="bot")
    await second.end()


@pytest.mark.parametrize("connector", ["loopback", "nowhere"])
async def test_an_account_has_one_planned_successor_and_no_other_process_beside_the_two(
    stage: Stage, connector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire.nursery._LOCK_S", 0.1)  # nobody is about to let go
    first = await stage.make(connector, account="bot")
    second = await stage.make(connector, account="bot", is_successor=True)
    for is_successor in (False, True):
        with pytest.raises(BlockingIOError, match="an earlier process of bot"):
            await stage.make(connector, account="bot", is_successor=is_successor)
    await first.end()
    with pytest.raises(BlockingIOError, match="an earlier process of bot"):
        await stage.make(connector, account="bot")
    third = await stage.make(connector, account="bot", is_successor=True)
    await second.end()
    with pytest.raises(BlockingIOError, match="an earlier process of bot"):
        await stage.make(connector, account="bot")
    await third.end()
    fourth = await stage.make(connector, account="bot")
    await fourth.end()


async def test_how_a_child_ended_is_told(stage: Stage) -> None:
    killed, let_go = await stage.make(), await stage.make()
    killed.process.signal(signal.SIGKILL)
    assert await killed.code() == -signal.SIGKILL
    assert await let_go.end() == -signal.SIGKILL
    assert not is_alive(let_go.process.pid)


async def test_children_outlive_their_template_and_the_next_comes_from_another(stage: Stage) -> None:
    orphan = await stage.make()
    old = stage.template_of(orphan)
    assert old is not None
    await until(lambda: _has_become_a_child(orphan), what="it has a session of its own")
    old.kill()
    await until(lambda: _is_gone(old), what="the template is gone")
    successor = await stage.make()
    new = stage.template_of(successor)
    assert new is not None
    assert new.pid != old.pid
    assert is_alive(orphan.process.pid)
    orphan.process.signal(signal.SIGKILL)
    assert await orphan.code() is None
    assert await successor.end() == -signal.SIGKILL


async def _is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_an_upgrade_brings_a_new_template_and_the_old_one_waits_for_its_children(stage: Stage) -> None:
    module = stage.install_plugin("pass")
    before = await stage.make("plugin")
    old = stage.template_of(before)
    await asyncio.to_thread(module.write_text, f"# another version\n{PLUGIN.format(preload='pass')}")
    after = await stage.make("plugin")
    new = stage.template_of(after)
    assert old is not None
    assert new is not None
    assert old.pid != new.pid
    assert is_alive(old.pid)
    assert await before.end() == -signal.SIGKILL
    await until(lambda: _is_gone(old), what="the old template is gone")
    assert await after.end() == -signal.SIGKILL


async def test_a_template_that_has_grown_is_replaced_and_the_figures_are_told(
    stage: Stage, log: LogCapture
) -> None:
    stage.install_plugin(GROWING)
    before = await stage.make("plugin")  # while this is made it grows
    old = stage.template_of(before)
    after = await stage.make("plugin")
    new = stage.template_of(after)
    assert old is not None
    assert new is not None
    assert new != old
    (replaced,) = [entry for entry in log.entries if entry["event"] == "template_replaced"]
    grown = re.fullmatch(r"it has grown from (\d+) to (\d+) MiB of its own", replaced["text"])
    assert grown is not None
    assert 40 <= int(grown[2]) - int(grown[1]) <= 60
    retired, ready = stage.nursery.status()
    assert (retired.pid, retired.state, retired.children) == (old.pid, "retired", 1)
    assert retired.reason == replaced["text"]
    assert (ready.pid, ready.state, ready.children, ready.reason) == (new.pid, "ready", 1, None)
    assert retired.rss_bytes is not None
    assert ready.rss_bytes is not None
    assert await before.end() == -signal.SIGKILL
    await until(lambda: _is_gone(old), what="the old template is gone")
    assert await after.end() == -signal.SIGKILL


async def test_a_template_that_does_not_grow_is_kept(stage: Stage) -> None:
    stage.install_plugin("pass")
    made = [await stage.make("plugin") for _ in range(20)]
    assert len({stage.template_of(child) for child in made}) == 1
    (ready,) = stage.nursery.status()
    assert (ready.connector, ready.python, ready.state, ready.children) == ("plugin", None, "ready", 20)
    for child in made:
        assert await child.end() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("preload", "text"),
    [
        ("raise ImportError('no SDK')", "ImportError: no SDK"),
        ("cls.thread = __import__('threading').Timer(99, print); cls.thread.start()", "started 1 threads"),
        ("cls.file = open('/dev/zero')", "/dev/zero"),
        ("__import__('os')._exit(3)", "its log tells why"),
    ],
)
async def test_what_cannot_be_forked_from_is_said_and_the_child_is_a_fresh_process(
    stage: Stage, log: LogCapture, preload: str, text: str
) -> None:
    stage.install_plugin(preload)
    made = [await stage.make("plugin"), await stage.make("plugin")]
    assert [stage.template_of(child) for child in made] == [None, None]
    said = [entry for entry in log.entries if entry["event"] == "template_unfit"]
    assert said
    assert all(text in entry["text"] for entry in said)
    (status,) = stage.nursery.status()
    assert status.state == "unfit"
    assert text in str(status.reason)
    for child in made:
        assert await child.end() == -signal.SIGKILL


async def test_a_rehearsal_that_fails_costs_memory_and_nothing_else(stage: Stage, log: LogCapture) -> None:
    stage.install_plugin(
        """pass

    from msgspec.structs import replace
    declaration = replace(LoopbackConnector.declaration, platform="lark", options=dict)

    def __init__(self, options, host):
        raise RuntimeError("no rehearsal of mine")"""
    )
    made = await stage.make("plugin")
    assert stage.template_of(made) is not None
    (said,) = [entry for entry in log.entries if entry["event"] == "rehearsal_failed"]
    assert "no rehearsal of mine" in said["exception"]
    assert await made.end() == -signal.SIGKILL


async def test_a_template_that_hangs_is_done_without(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await stage.make()
    template = stage.template_of(first)
    assert template is not None
    monkeypatch.setattr(templates, "_FORK_S", 0.3)
    template.suspend()
    second = await stage.make()
    assert stage.template_of(second) is None
    await until(lambda: _is_gone(template), what="the template that hung is gone")
    assert is_alive(first.process.pid)
    await first.end()
    await second.end()


async def test_a_template_that_no_account_needs_any_more_ends_with_its_last_child(stage: Stage) -> None:
    idle, busy, kept = await stage.make(), await stage.make("dingtalk"), await stage.make("lark")
    await idle.end()
    ours = [stage.template_of(made) for made in (busy, kept)]
    stage.nursery.keep_only({Kind("lark", None)})
    assert [status.connector for status in stage.nursery.status() if status.state != "retired"] == ["lark"]
    await busy.end()
    gone, still_there = ours
    assert gone is not None
    assert still_there is not None
    await until(lambda: _is_gone(gone), what="the template without children is gone")
    again = await stage.make("lark")
    assert stage.template_of(again) == still_there
    await kept.end()
    await again.end()


async def test_a_fork_that_nobody_waits_for_any_more_leaves_nothing(stage: Stage) -> None:
    first = await stage.make()
    template = stage.template_of(first)
    assert template is not None
    template.suspend()
    asking = asyncio.ensure_future(stage.make())
    await asyncio.sleep(0)  # it has asked
    await asyncio.sleep(0)
    asking.cancel()
    template.resume()
    with pytest.raises(asyncio.CancelledError):
        await asking
    third = await stage.make()
    await until(lambda: _are_children(template, 2), what="the abandoned child is gone")
    await first.end()
    await third.end()
    await until(lambda: _are_children(template, 0), what="all are gone")


async def _are_children(process: psutil.Process, count: int) -> bool:
    return len(process.children()) == count


@pytest.mark.timeout(300)
async def test_each_interpreter_has_a_template_of_its_own(stage: Stage, other_python: str) -> None:
    ours = await stage.make("lark")
    forked = [await stage.make("lark", python=other_python) for _ in range(2)]
    spawned = await stage.make("lark", python=other_python, is_forked=False)
    first, second = (stage.template_of(made) for made in forked)
    assert first is not None
    assert first == second != stage.template_of(ours)
    assert stage.template_of(spawned) is None
    environment = str(Path(other_python).parents[1])
    programs = [made.info.cmdline()[0].startswith(environment) for made in (ours, spawned)]
    assert programs == [False, True]
    modules = await asyncio.to_thread(Path(f"/proc/{first.pid}/maps").read_text)
    assert f"{environment}/lib/" in modules
    for made in (ours, *forked, spawned):
        assert await made.end() == -signal.SIGKILL


OTHER_RELEASE = """
import os, socket, sys
socket.socket(fileno=int(sys.argv[5])).send({message!r})
os.read(int(sys.argv[4]), 1)
"""
"""A template that says one thing and ends when its private pipe is closed."""


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (msgspec.msgpack.encode(Warm(protocol=99, sources={}, own_bytes=0)), "it speaks version 99"),
        (b"\x81\xa4kind\xa5hello", "what we do not understand"),
        (b"\xc1", "what we do not understand"),
    ],
)
async def test_a_template_of_another_release_is_refused_with_where_to_install_ours(
    stage: Stage, log: LogCapture, message: bytes, text: str
) -> None:
    template = shlex.quote(OTHER_RELEASE.format(message=message))
    body = f'[ "$3" = longwire_connectors.template ] && exec {sys.executable} -c {template} "$@"\n'
    python = await asyncio.to_thread(script, stage.folder, f'{body}exec {sys.executable} "$@"')
    made = await stage.make(python=python)
    assert stage.template_of(made) is None
    (said,) = [entry for entry in log.entries if entry["event"] == "template_unfit"]
    assert text in said["text"]
    assert f"{python} -m pip install" in said["text"]
    assert said["python"] == python
    assert await made.end() == -signal.SIGKILL
