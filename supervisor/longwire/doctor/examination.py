"""All findings of all facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from longwire.doctor import machine, network, place, software
from longwire.doctor.facts import Facts
from longwire.doctor.findings import Finding, note


def examine(facts: Facts) -> list[Finding]:
    """Return what is to be said, in the order in which an operator would ask."""
    return list(_all(facts))


def _all(facts: Facts) -> Iterator[Finding]:
    running = facts.running
    yield from software.judge(facts.software)
    yield from place.judge_supervisor(running, longwire=facts.software.longwire)
    if facts.place is not None:
        yield from place.judge(facts.place, running)
    yield from machine.judge(facts.machine, facts.fleet, is_running=running.version is not None)
    yield from network.judge_proxies(facts.proxies)
    yield from network.judge_tried(facts.tried)
    for what, why in facts.unreadable.items():
        yield note(what, f"it cannot be read: {why}", "Nothing, if everything else is well.")
