"""Which incidents are kept, and which are shown."""

from __future__ import annotations

from longwire.evidence import Condition, Findings
from longwire.incident import Incident, Kind, Summary, newest, summary_of, surplus
from longwire.liveness import NO_PROCESS
from longwire_protocol.frames import Phase


def summary(account: str, at: float) -> Summary:
    return Summary(
        id=f"{account}.{at:g}",
        account=account,
        tenant=f"tenant-of-{account}",
        incarnation=int(at),
        pid=1,
        at=at,
        kind=Kind.EXITED,
        reason="child_exited",
        message="the process ended",
        exit_code=1,
    )


def ids(summaries: list[Summary]) -> list[str]:
    return [each.id for each in summaries]


def test_a_summary_is_what_the_incident_says_without_the_evidence() -> None:
    incident = Incident(
        id="a.3",
        account="a",
        tenant="t",
        incarnation=3,
        pid=7,
        at=5.0,
        kind=Kind.KILLED,
        reason="heartbeat_timeout",
        message="no heartbeat",
        phase=Phase.WORKING,
        phase_since=4.0,
        liveness=NO_PROCESS,
        findings=Findings(condition=Condition.BLOCKED, stacks="File ..."),
        log=["last words"],
    )
    assert summary_of(incident) == Summary(
        id="a.3",
        account="a",
        tenant="t",
        incarnation=3,
        pid=7,
        at=5.0,
        kind=Kind.KILLED,
        reason="heartbeat_timeout",
        message="no heartbeat",
    )


def test_nothing_goes_while_there_is_room() -> None:
    assert surplus([summary("a", 1), summary("b", 2)], per_account=2, in_all=2) == []


def test_an_account_that_crashes_all_the_time_pushes_out_its_own_oldest_alone() -> None:
    kept = [summary("quiet", 0), *(summary("loop", at) for at in (3, 1, 4, 2))]
    assert ids(surplus(kept, per_account=2, in_all=100)) == ["loop.1", "loop.2"]


def test_where_all_are_too_many_the_oldest_of_who_has_most_goes() -> None:
    kept = [summary("a", 1), *(summary("b", at) for at in (2, 3, 4)), *(summary("c", at) for at in (5, 6, 7))]
    assert ids(surplus(kept, per_account=10, in_all=5)) == ["b.2", "c.5"]


def test_the_newest_are_shown_first_and_only_those_that_are_wanted() -> None:
    kept = [summary("a", 1), summary("b", 3), summary("a", 2)]
    assert ids(newest(kept, account=None, tenant=None, limit=2)) == ["b.3", "a.2"]
    assert ids(newest(kept, account="a", tenant=None, limit=9)) == ["a.2", "a.1"]
    assert ids(newest(kept, account=None, tenant="tenant-of-b", limit=9)) == ["b.3"]
    assert newest(kept, account="a", tenant="tenant-of-b", limit=9) == []
