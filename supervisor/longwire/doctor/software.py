"""Configuration, interpreters, SDKs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.version import InvalidVersion, Version

from longwire.doctor.facts import Sdk, Software
from longwire.doctor.findings import Finding, Trouble, error, ok, warning
from longwire_protocol.declaration import Requirement

OLDEST_PYTHON: Final = (3, 11)
_NAMED: Final = 5


def judge(facts: Software) -> Iterator[Finding]:
    """Return what is to be said of them."""
    yield from _configuration(facts)
    yield _python(facts)
    for sdk in facts.sdks:
        for requirement in sdk.requirements:
            yield _requirement(sdk, requirement)


def _configuration(facts: Software) -> Iterator[Finding]:
    for problem in facts.problems:
        action = f"Correct {facts.config}, then look again: longwire check"
        yield error("configuration", str(problem), action, Trouble.CONFIGURATION)
    if not facts.problems:
        yield ok("configuration", f"{facts.config} has no mistake")
    if facts.unsigned:
        text = f"posts are not signed, so anybody can make them up: {', '.join(facts.unsigned[:_NAMED])}"
        yield warning("webhooks", text, "Give each a secret: see docs/webhooks.md.")


def _python(facts: Software) -> Finding:
    version = ".".join(map(str, facts.version))
    text = f"longwire {facts.longwire} on {facts.implementation} {version}"
    if facts.version[:2] < OLDEST_PYTHON:
        return error("python", text, "Use Python 3.11 or newer.", Trouble.CONFIGURATION)
    if facts.implementation != "CPython":
        return warning("python", text, "Use CPython: longwire is tried with no other.")
    return ok("python", text)


def _requirement(sdk: Sdk, needed: Requirement) -> Finding:
    where = f"for the connector {sdk.connector} in {sdk.python}"
    install = f"{sdk.python} -m pip install '{needed.wanted}'"
    if needed.installed is None:
        return error("sdk", f"{needed.name} is missing {where}", install, Trouble.CONFIGURATION)
    text = f"{needed.name} {needed.installed} {where}"
    try:
        is_good = Parsed(needed.wanted).specifier.contains(Version(needed.installed), prereleases=True)
    except (InvalidRequirement, InvalidVersion):
        return warning("sdk", f"{text}: its version cannot be compared with {needed.wanted}", install)
    if not is_good:
        return error("sdk", f"{text}; {needed.wanted} is needed", install, Trouble.CONFIGURATION)
    return ok("sdk", text)
