"""Every failure scenario has its test, every test its row, and both say what the plain SDK did."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "scenarios.md"
ROWS = [
    f"{letter}{n}"
    for letter, last in zip("ABCDEFG", (9, 10, 9, 7, 7, 8, 11), strict=True)
    for n in range(1, last + 1)
]

_ROW = re.compile(r"^\| ([A-Z]\d+) \| (.*) \|$", re.MULTILINE)
_PLACE = re.compile(r"`([\w/]+\.py)::(\w+)`")
_IDS = re.compile(r"test_((?:[a-g]\d+_)+)")
_ALONE = re.compile(r"^Alone: .*(?:\n.+){0,2}$", re.MULTILINE)


class Scenario(NamedTuple):
    """A test that bears the ids of rows."""

    file: str
    name: str
    rows: list[str]
    docstring: str


def scenarios() -> Iterator[Scenario]:
    """Return all tests that are named for rows."""
    for folder in ("acceptance", "chaos"):
        for path in sorted((TESTS / folder).glob("test_*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.AsyncFunctionDef) and (found := _IDS.match(node.name)):
                    rows = found[1].upper().strip("_").split("_")
                    yield Scenario(f"{folder}/{path.name}", node.name, rows, ast.get_docstring(node) or "")


SCENARIOS = list(scenarios())
PLACES = {row: _PLACE.findall(cells) for row, cells in _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))}


def test_the_document_has_each_row_once_and_in_order() -> None:
    assert [row for row, _ in _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))] == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_tests_that_there_are(row: str) -> None:
    assert PLACES[row], "it names no test"
    for file, beginning in PLACES[row]:
        assert row in beginning.upper().split("_")
        assert any(it.file == file and it.name.startswith(beginning) for it in SCENARIOS), (file, beginning)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.name)
def test_a_test_is_named_by_its_rows_and_says_what_the_plain_sdk_did(scenario: Scenario) -> None:
    for row in scenario.rows:
        places = PLACES.get(row, [])
        assert any(scenario.file == file and scenario.name.startswith(name) for file, name in places), row
    assert _ALONE.search(scenario.docstring), "up to three lines that begin with «Alone:»"
