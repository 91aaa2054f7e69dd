"""Connecting for practice: nothing is left of it, and its failure harms nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, os, sys, threading
from longwire_connectors import life, rehearsal, template
connector = life.find_connector(sys.argv[1])
connector.preload()
environ, descriptors = dict(os.environ), template._descriptors()
was_possible = rehearsal.rehearse(connector)
left = [template._threads() - 1, template._descriptors() - descriptors, dict(os.environ) == environ]
print(was_possible, *left, logging.getLogger("any").isEnabledFor(logging.CRITICAL), "aiohttp" in sys.modules)
"""


@pytest.mark.parametrize(
    ("connector", "said"), [("lark", "True"), ("dingtalk", "True"), ("loopback", "False")]
)
def test_a_rehearsal_leaves_nothing_but_what_was_imported(connector: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, connector],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
        env={"no_proxy": "example.com"},
    )
    assert done.stdout == f"{said} 0 set() True True True\n"
    assert done.stderr == ""


def test_holes_in_the_memory_are_filled_while_what_fills_them_is_kept() -> None:
    program = """
import re, sys
from longwire_connectors import holes
litter = [bytes(100) for _ in range(50_000)]
del litter[::2]
def free():
    return sum(int(m["size"]) * int(m["free"]) for m in holes._LINE.finditer(holes._statistics()))
before = free()
kept = holes.fill()
print(before > 3_000_000, free() < before / 4, len(kept) > 20_000)
del kept
print(free() > 3_000_000)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, check=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("True True True\nTrue\n", "")
