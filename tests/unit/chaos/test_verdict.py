"""The verdict over a whole record: what each trouble excuses, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.evidence import describe
from chaos.judges.facts import Footprint, Look, Parking, Span, Violation
from chaos.platform import Crowd
from chaos.record import Record
from chaos.settings import STEADY
from chaos.verdict import judge
from longwire_connectors.simulator.diary import Diary, What

CROWD = Crowd.of(lark=1, dingtalk=1)


def recorded(*moments: tuple[float, str, What, str]) -> Record:
    """A record with this diary: when, whose, what, on which connection."""
    diary = Diary()
    for at, account, what, connection in moments:
        app = CROWD.apps[account]
        platform = CROWD.platform_of(account)
        diary.note(what, at=at, platform=platform, app=app, connection=connection, value=2)
    return Record(entries=diary.after(0))


def promises(record: Record) -> list[str]:
    return [violation.promise for violation in judge(record, CROWD, STEADY)]


def hammered() -> Record:
    return recorded((10, "ding-0", "asked", ""), (10.1, "ding-0", "asked", ""))


def doubled(account: str) -> Record:
    return recorded(
        (9, account, "asked", ""),
        (10, account, "opened", "c1"),
        (40, account, "asked", ""),
        (41, account, "opened", "c2"),
        (43, account, "closed", "c1"),
    )


def test_a_quiet_record_keeps_every_promise() -> None:
    record = recorded((1, "lark-0", "asked", ""), (1, "lark-0", "opened", "c"), (1.1, "lark-0", "pong", "c"))
    record.claim(["lark-0"], asked_at=2, told_at=2.1)
    record.calm_at, record.returns = 2, {"lark-0": 2.0}
    record.footprints += [Footprint(9, 9, 9), Footprint(9, 9, 9)]
    assert promises(record) == []


def test_each_broken_promise_is_named_in_the_order_of_time() -> None:
    record = hammered()
    record.claim(["lark-0"], asked_at=5, told_at=6)
    record.parkings.add(Parking("lark-0", 7, "why?"))
    record.looks += [Look(0, frozenset({1}), frozenset()), Look(90, frozenset({1}), frozenset())]
    record.calm_at, record.returns = 100, {"ding-0": None}
    record.footprints += [Footprint(9, 9, 9), Footprint(99, 9, 9)]
    record.found.append(Violation(promise="secrets stay secret", account="", at=1, text="in a status"))
    assert promises(record) == [
        "secrets stay secret",
        "never online without proof",
        "parked only by a clear refusal",
        "backoff within its law",
        "no unexplained process",
        "bounded resources",
        "back after calm",
    ]


@pytest.mark.parametrize("what", ["command", "reload", "supervisor killed", "supervisor stopped"])
def test_what_begins_the_count_of_failures_anew_excuses_an_attempt(what: str) -> None:
    record = hammered()
    record.note(what, "ding-0", span=Span(10.02, 10.05))
    assert promises(record) == []


@pytest.mark.parametrize("what", ["child stopped", "template killed", "switch DiscoveryHang"])
def test_nothing_else_excuses_an_attempt(what: str) -> None:
    record = hammered()
    record.note(what, "ding-0", span=Span(10.02, 10.05))
    assert promises(record) == ["backoff within its law"]


def test_what_was_done_to_another_account_excuses_nothing() -> None:
    record = hammered()
    record.note("command", "lark-0", span=Span(10.02, 10.05))
    assert promises(record) == ["backoff within its law"]


def test_an_overlap_may_be_planned_for_lark_and_never_for_dingtalk() -> None:
    for account in ("lark-0", "ding-0"):
        assert "never two connections" in promises(doubled(account))
        planned = doubled(account)
        planned.note("command", account, span=Span(40, 40.5))
        assert ("never two connections" in promises(planned)) == (account == "ding-0")


def test_while_the_platform_stands_still_it_sees_ends_late() -> None:
    record = doubled("ding-0")
    record.note("platform stopped", span=Span(40.5, 42.5))
    assert "never two connections" not in promises(record)


def test_a_violation_is_told_with_what_happened_around_it(tmp_path: Path) -> None:
    frames = [(11, "ding-0", "frame", "c"), (12, "ding-0", "frame", "c")]
    record = recorded((10, "ding-0", "asked", ""), (10.1, "ding-0", "asked", ""), *frames)
    record.note("child stopped", "ding-0", span=Span(8, 9))
    record.note("child stopped", "lark-0", span=Span(8, 9))
    log = tmp_path / "log"
    log.write_text(
        '{"event": "child_exited", "account": "ding-0", "timestamp": "1970-01-01T00:00:09Z"}\n'
        '{"event": "child_exited", "account": "lark-0", "timestamp": "1970-01-01T00:00:09Z"}\n'
        '{"event": "child_exited", "account": "ding-0", "timestamp": "1970-01-01T01:00:09Z"}\n'
        "not of this kind\n"
    )
    lines = describe(judge(record, CROWD, STEADY), record, CROWD, log).splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["===", "backoff", "within"],
        ["-2.10", "trouble", "child"],
        ["-1.10", '{"event":', '"child_exited",'],
        ["-0.10", "platform", "asked"],
        ["+0.90", "platform", "frame"],
    ]
    assert [line.endswith("(2 times)") for line in lines] == [False, False, False, True, True]
