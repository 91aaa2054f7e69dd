"""Every switch of the simulators is thrown by the campaign, one that comes later too."""

from __future__ import annotations

import random

import msgspec
import pytest

from chaos.switches import KINDS, WAYS, Deck, throw, ways_of
from longwire_connectors.simulator.admin_models import PlatformName
from longwire_connectors.simulator.fault_kinds import FaultBase
from longwire_connectors.simulator.faults import read_fault

ALL = [(platform, kind) for platform, kinds in KINDS.items() for kind in kinds]


@pytest.mark.parametrize(("platform", "kind"), ALL, ids=lambda value: getattr(value, "__name__", value))
def test_every_switch_can_be_thrown_in_each_of_its_ways(
    platform: PlatformName, kind: type[FaultBase]
) -> None:
    for way in ways_of(kind):
        fault = throw(kind, way, platform=platform, app="a", for_s=1.0)
        assert read_fault(msgspec.json.encode(fault)) == fault, "the simulator understands it"


def test_a_switch_that_needs_more_has_ways_of_its_own() -> None:
    plain = [kind for _, kind in ALL if kind not in WAYS]
    needy = [
        kind.__name__
        for kind in plain
        if any(field.required and field.name != "platform" for field in msgspec.structs.fields(kind))
    ]
    assert not needy, f"say in chaos/switches.py how to throw {needy}"


def test_no_switch_comes_again_before_all_have_come() -> None:
    deck = Deck(random.Random(1), patience_s=0.0)  # noqa: S311
    for _ in range(3):
        dealt = [deck.deal() for _ in ALL]
        assert sorted((deal[:2] for deal in dealt), key=str) == sorted(ALL, key=str)
        assert not any(way.wait_s for _, _, way in dealt), "it is impatient"
