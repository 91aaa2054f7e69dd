"""What follows from a child's silence, and from its end."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from longwire import health
from longwire.config.settings import AccountSettings
from longwire.evidence import Condition, Findings
from longwire.health import Health
from longwire.vigil import Stage
from longwire_protocol.frames import Heartbeat, Phase
from longwire_protocol.link import LinkState

SETTINGS = AccountSettings(isolation="fork", backoff_initial_s=0.1, backoff_max_s=60.0)
BEAT = Heartbeat(at=0.0, phase=Phase.IDLE, phase_age_s=0.0, link=LinkState.DOWN, unstored=0, counters={})


class Watch:
    """A clock of running time that the test sets, and what is watched."""

    def __init__(self) -> None:
        self.running_s = 0.0
        self.windows: list[float] = []

    def begin(self, watched: object, *, limit_s: float) -> None:
        del watched
        self.windows.append(limit_s)

    def beat(self, watched: object, now: float) -> None:
        del watched, now


class Inquest:
    """Finds what the test says."""

    condition: Condition | None = Condition.STARVED

    def __init__(self, process: object) -> None:
        del process

    def suspect(self) -> None:
        return

    def look(self) -> None:
        return

    def findings(self) -> Findings:
        return Findings(condition=self.condition)


class Patient:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def late(self) -> None:
        self.heard.append("late")

    def on_time(self) -> None:
        self.heard.append("on time")

    def reconnect(self, reason: str) -> None:
        self.heard.append(f"reconnect {reason}")

    def restart(self, reason: str, message: str) -> None:
        del message
        self.heard.append(f"restart {reason}")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Patient:
    monkeypatch.setattr(health, "Inquest", Inquest)
    return Patient()


def watching(patient: Patient, watch: Watch) -> Health:
    made = Health(cast("Any", None), settings=SETTINGS, watch=cast("Any", watch), patient=patient)
    made.ready()
    return made


def fall_silent(who: Health, watch: Watch, *, for_s: float) -> None:
    watch.running_s += for_s
    for stage in Stage:
        who.on_silence(stage)


async def test_one_that_was_starved_is_on_time_again_with_its_first_beat(patient: Patient) -> None:
    watch = Watch()
    who = watching(patient, watch)
    fall_silent(who, watch, for_s=5.0)
    assert (patient.heard, who.is_starved) == (["late"], True)
    assert watch.windows[-1] == SETTINGS.heartbeat_timeout_s, "a fresh window"
    who.beat(BEAT)  # before any stage of the fresh window
    who.beat(BEAT)
    assert (patient.heard, who.is_starved) == (["late", "on time"], False)


async def test_one_that_is_silent_for_another_reason_must_go(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inquest, "condition", Condition.BLOCKED)
    watch = Watch()
    fall_silent(watching(patient, watch), watch, for_s=5.0)
    assert patient.heard == ["late", "restart heartbeat_timeout"]


async def test_a_beat_of_one_that_is_not_late_is_no_news(patient: Patient) -> None:
    watching(patient, Watch()).beat(BEAT)
    assert patient.heard == []


@pytest.fixture(name="opened")
def opened_fixture(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the processes of which an inquest was opened, in their order; none is looked at."""
    opened: list[object] = []
    monkeypatch.setattr(Inquest, "__init__", lambda _, process: opened.append(process))
    return opened


async def test_each_silence_has_an_inquest_of_its_own(patient: Patient, opened: list[object]) -> None:
    watch = Watch()
    who = watching(patient, watch)
    for _ in range(3):
        fall_silent(who, watch, for_s=5.0)
        who.beat(BEAT)
    assert len(opened) == 3
    assert patient.heard == ["late", "on time"] * 3


async def test_a_start_that_was_held_up_begins_each_window_with_a_fresh_look(
    patient: Patient, opened: list[object]
) -> None:
    watch = Watch()
    who = Health(cast("Any", None), settings=SETTINGS, watch=cast("Any", watch), patient=patient)
    for windows in (1, 2):
        fall_silent(who, watch, for_s=SETTINGS.start_timeout_s)
        assert len(opened) == windows
    assert patient.heard == []


# An attempt that it owes.


def beat(who: Health, watch: Watch, link: LinkState) -> None:
    watch.running_s += 1.0
    who.beat(replace(BEAT, link=link))


async def test_one_that_ignores_what_it_was_asked_for_must_go(patient: Patient) -> None:
    watch = Watch()
    who = watching(patient, watch)
    who.connect_asked()
    for _ in range(12):
        beat(who, watch, LinkState.DOWN)
    assert patient.heard == []
    beat(who, watch, LinkState.DOWN)
    assert patient.heard == ["restart connect_ignored"]


async def test_one_that_has_begun_owes_nothing_and_nor_does_one_that_has_reported_its_failure(
    patient: Patient,
) -> None:
    watch = Watch()
    who = watching(patient, watch)
    who.connect_asked()
    beat(who, watch, LinkState.CONNECTING)
    for _ in range(20):
        beat(who, watch, LinkState.DOWN)
    who.connect_asked()
    who.link_lost()
    for _ in range(20):
        beat(who, watch, LinkState.DOWN)
    assert patient.heard == []
