"""How much is asked of a silent process: of one that is starved next to nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from longwire import procfs
from longwire.evidence import Condition, Reading, Thread
from longwire.inquest import Inquest
from longwire_protocol import stacks


class World:
    """A process of which the kernel says what the test does; everything costly is noted."""

    pid = 7

    def __init__(self) -> None:
        self.now = 0.0
        self.main = Thread("R")
        self.cost: list[str] = []

    def passes(self, seconds: float, *, state: str, cpu_s: float = 0.0) -> None:
        self.now += seconds
        self.main = Thread(state, self.main.cpu_s + cpu_s, self.main.delay_s)

    def glance(self, pid: int) -> Reading:
        return Reading(self.now, self.main, {pid: self.main})

    def read(self, pid: int) -> Reading:
        self.cost.append("read")
        return self.glance(pid)

    def signal_alone(self, number: int) -> None:
        assert number == stacks.SIGNAL
        self.cost.append("stacks")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(procfs, "glance", world.glance)
    monkeypatch.setattr(procfs, "read", world.read)
    monkeypatch.setattr(procfs, "catches", lambda *_: True)
    monkeypatch.setattr(procfs, "open_memory", lambda *_: None)
    return world


def opened(world: World) -> Inquest:
    return Inquest(cast("Any", world))


def test_one_that_is_starved_is_glanced_at_and_asked_nothing(world: World) -> None:
    inquest = opened(world)
    world.passes(1.0, state="R")
    inquest.suspect()
    world.passes(1.0, state="R")
    inquest.look()
    assert inquest.condition is Condition.STARVED
    assert world.cost == []


def test_one_that_waits_is_read_whole_and_asked_for_its_stacks_when_it_is_suspected(world: World) -> None:
    world.main = Thread("S")
    inquest = opened(world)
    world.passes(1.0, state="S")
    inquest.suspect()
    assert world.cost == ["read", "stacks"]
    world.passes(1.0, state="S")
    inquest.look()
    assert inquest.condition is Condition.BLOCKED


def test_one_that_was_starved_until_just_now_is_spared_until_it_has_told_where_it_hangs(world: World) -> None:
    inquest = opened(world)
    world.passes(1.0, state="R")
    inquest.suspect()
    world.passes(1.0, state="R", cpu_s=0.9)
    inquest.look()
    assert inquest.condition is Condition.STARVED
    world.passes(1.0, state="R", cpu_s=0.9)
    inquest.suspect()
    assert (inquest.condition, world.cost) == (Condition.SPINNING, ["read", "stacks"])


def test_a_single_look_shows_what_proc_does_and_no_stacks_of_an_earlier_silence(world: World) -> None:
    found = opened(world).findings()
    assert (found.proc is not None, found.stacks, world.cost) == (True, None, ["read"])
