"""The judges of a campaign, with made-up facts: each promise is broken once, and kept beside it."""

from __future__ import annotations

from math import inf

import pytest

from chaos.judges.census import grown, outlived, unexplained
from chaos.judges.facts import Claim, Footprint, Look, Parking, Span, Trouble, covered_s, spans_of
from chaos.judges.history import Connection, History, Pong, read
from chaos.judges.law import Law, too_soon
from chaos.judges.leaks import leaks
from chaos.judges.overlap import crowds, overlaps
from chaos.judges.proof import Sight, Windows, unproven
from chaos.judges.recovery import late_returns, parked_unjustly
from longwire_connectors.simulator.diary import Diary

WINDOWS = Windows(link_timeout_s=6, heartbeat_timeout_s=4, margin_s=1)
LAW = Law(initial_s=1, cap_s=8, stable_after_s=12, notice_s=2, slack_s=0.1)


def links(*times: tuple[float, float]) -> History:
    """Connections of one app, each asked for when it opened."""
    connections = [Connection(str(n), opened_at=a, closed_at=b) for n, (a, b) in enumerate(times)]
    return History(asked=[a for a, _ in times], connections=connections)


# The diary.


def test_a_diary_is_read_app_by_app() -> None:
    diary = Diary()
    for at, what, value in [
        (1, "asked", None),
        (2, "paced", 90),
        (2, "opened", None),
        (3, "pong", 7),
        (4, "ws_pong", None),
        (5, "frame", None),
        (6, "farewell", None),
        (7, "closed", None),
    ]:
        diary.note(what, at=at, platform="lark", app="a", connection="" if at == 1 else "c", value=value)
    diary.note("asked", at=9, platform="dingtalk", app="b")
    histories = read(diary.after(0))
    link = Connection(
        "c",
        interval_s=90,
        opened_at=2,
        closed_at=7,
        farewell_at=6,
        sent=[3, 4, 5, 6],
        frames=[5],
        pongs=[Pong(3, 7)],
    )
    assert histories == {"a": History([1], [link]), "b": History([9], [])}
    assert link.lasted_s == 5


# Spans.


def test_time_that_several_spans_cover_counts_once() -> None:
    spans = [Span(0, 2), Span(1, 3), Span(8, 20), Span(30, 31)]
    assert covered_s(spans, 0.5, 10) == pytest.approx(4.5)


def test_what_was_done_to_all_was_done_to_each() -> None:
    troubles = [
        Trouble(what="killed", span=Span(1, 2), accounts=frozenset({"a"})),
        Trouble(what="frozen", span=Span(3, 4)),
    ]
    assert spans_of(troubles, "a") == [Span(1, 2), Span(3, 4)]
    assert spans_of(troubles, "b") == [Span(3, 4)]
    assert spans_of(troubles, "a", what=["killed"]) == [Span(1, 2)]


# Never two connections.


def test_two_connections_of_an_account_are_found() -> None:
    assert not overlaps(links((0, 5), (5.1, 9)), "a")
    assert not overlaps(links((0, 5), (4.9, 9)), "a")  # the platform saw the end a little late
    (found,) = overlaps(links((0, 5), (4, 9)), "a")
    assert (found.account, found.at) == ("a", 4)
    assert len(overlaps(links((0, inf), (4, inf)), "a")) == 1


def test_an_old_connection_is_held_against_every_later_one() -> None:
    assert len(overlaps(links((0, 50), (10, 11), (20, 21)), "a")) == 2


def test_two_connections_are_excused_while_the_platform_is_blind_or_an_overlap_is_planned() -> None:
    both = links((0, 5), (4, 9))
    assert not overlaps(both, "a", blind=[Span(3, 4.9)])
    assert not overlaps(both, "a", planned=[Span(3, 6)])
    assert overlaps(both, "a", planned=[Span(3, 4.5)])


def test_three_connections_are_too_many_even_for_an_overlap() -> None:
    assert not crowds(links((0, 5), (4, 9), (8, 12)), "a")
    assert len(crowds(links((0, 9), (1, 9), (2, 9)), "a")) == 1


# Never online without proof.


def proven(*sent: float, closed_at: float = inf) -> History:
    pongs = [Pong(at, 2) for at in sent]
    link = Connection("c", interval_s=2, opened_at=0, closed_at=closed_at, sent=list(sent), pongs=pongs)
    return History([0], [link])


def claims(*times: float) -> list[Claim]:
    return [Claim("a", at, at + 0.1) for at in times]


def test_online_is_believed_as_long_as_proof_is_fresh() -> None:
    assert not unproven(claims(1, 5, 8), proven(0.5, 3), WINDOWS, Sight(), is_lark=True)


def test_online_without_any_connection_is_found() -> None:
    (found,) = unproven(claims(5, 7, 8), proven(4, closed_at=5), WINDOWS, Sight(), is_lark=False)
    assert (found.at, found.text) == (7, "online, and no connection was open for 2.00 s")
    assert unproven(claims(1), History(), WINDOWS, Sight(), is_lark=False)


def test_online_on_a_silent_connection_is_found_once() -> None:
    (found,) = unproven(claims(5, 10, 11, 12), proven(2), WINDOWS, Sight(), is_lark=False)
    assert found.at == 10
    assert "had sent nothing for 8.00 s" in found.text


def test_online_without_pongs_of_lark_is_found_though_the_socket_answers() -> None:
    history = proven(1)
    history.connections[0].sent += [5, 8, 11]
    assert not unproven(claims(11), history, WINDOWS, Sight(), is_lark=False)
    (found,) = unproven(claims(11), history, WINDOWS, Sight(), is_lark=True)
    assert "no pong for 10.00 s" in found.text


def test_the_window_of_pongs_is_three_intervals_where_one_is_longer_than_the_link_timeout() -> None:
    history = proven(1)
    history.connections[0].sent += [5, 10, 15, 20, 25, 30, 35]
    history.connections[0].pongs = [Pong(1, 10)]
    assert not unproven(claims(30), history, WINDOWS, Sight(), is_lark=True)
    assert unproven(claims(36), history, WINDOWS, Sight(), is_lark=True)


def test_while_lark_tells_no_interval_the_sdks_own_holds() -> None:
    history = proven(1)
    history.connections[0].interval_s = None
    history.connections[0].pongs = [Pong(1, None)]
    history.connections[0].sent = [float(at) for at in range(500)]
    assert not unproven(claims(300), history, WINDOWS, Sight(), is_lark=True)
    assert unproven(claims(450), history, WINDOWS, Sight(), is_lark=True)


def test_an_event_proves_a_connection_before_its_first_pong() -> None:
    history = History([0], [Connection("c", interval_s=2, opened_at=0, sent=[1], frames=[1])])
    assert not unproven(claims(2), history, WINDOWS, Sight(), is_lark=True)


def test_a_child_that_stands_still_is_believed_for_the_heartbeat_timeout_only() -> None:
    frozen = Sight(stalls=[Span(2, 30)])
    assert not unproven(claims(11), proven(2), WINDOWS, frozen, is_lark=False)
    assert unproven(claims(14), proven(2), WINDOWS, frozen, is_lark=False)


def test_a_recorder_that_comes_late_on_a_busy_machine_accuses_nobody() -> None:
    assert not unproven(claims(10), proven(2), WINDOWS, Sight(lag=[Span(5, 7)]), is_lark=False)


# Backoff.


def asked(*times: float) -> History:
    return History(asked=list(times), connections=[])


def test_attempts_within_the_law_are_left_alone() -> None:
    assert not too_soon(asked(0, 0.5, 1.5, 3.5, 7.5, 11.5), "a", LAW, excused=[])


def test_an_attempt_before_its_time_is_found() -> None:
    (found,) = too_soon(asked(0, 0.5, 1.5, 2.5), "a", LAW, excused=[])
    assert found.at == 2.5
    assert found.text == "attempt 1.00 s after failure 3 in a row, at least 2.00 s due"


def test_a_hammering_client_is_found_each_time() -> None:
    assert len(too_soon(asked(*(n / 10 for n in range(20))), "a", LAW, excused=[])) == 19


def test_a_delay_counts_from_the_end_of_the_link() -> None:
    assert too_soon(links((0, 3), (3.1, 4)), "a", LAW, excused=[])
    assert not too_soon(links((0, 3), (3.5, 4)), "a", LAW, excused=[])


def test_only_a_link_that_was_stable_takes_failures_back() -> None:
    short = links((0, 1), (2, 3), (4.1, 5), (7.1, 17))
    assert not too_soon(short, "a", LAW, excused=[])
    after_stable = links((0, 1), (2, 3), (4.1, 5), (7.1, 20), (20.5, 21))
    assert not too_soon(after_stable, "a", LAW, excused=[])
    after_short = links((0, 1), (2, 3), (4.1, 5), (7.1, 15), (15.5, 16))
    assert [found.at for found in too_soon(after_short, "a", LAW, excused=[])] == [15.5]


def test_commands_are_excused_and_begin_the_count_anew() -> None:
    history = asked(0, 0.5, 1.5, 1.6, 2.1)
    assert [found.at for found in too_soon(history, "a", LAW, excused=[])] == [1.6, 2.1]
    assert not too_soon(history, "a", LAW, excused=[Span(1.55, 1.58)])


def test_the_platforms_own_request_for_another_connection_is_excused() -> None:
    history = links((0, 3), (3.01, 4))
    history.connections[0].farewell_at = 2.9
    assert not too_soon(history, "a", LAW, excused=[])


# Processes.


def look(at: float, *pids: int, named: set[int] | None) -> Look:
    return Look(at, frozenset(pids), None if named is None else frozenset(named))


def test_a_process_that_nobody_names_is_found() -> None:
    looks = [look(at, 1, 2, named={1}) for at in (0, 5, 10, 15)]
    (found,) = unexplained(looks, grace_s=10)
    assert (found.at, found.text) == (15, "process 2 is no account's and no template's")


def test_a_process_may_be_nameless_for_a_moment_and_while_nobody_answers() -> None:
    looks = [look(0, 1, named=set()), look(9, 1, named={1}), look(18, 1, named=None), look(19, named=set())]
    assert not unexplained([*looks, look(40, 1, named=set())], grace_s=10)
    silent = [look(0, 1, named={1}), look(20, 1, named=None)]
    assert unexplained(silent, grace_s=10)
    assert not unexplained(silent, grace_s=10, silent=[Span(1, 15)])


def test_what_the_supervisor_holds_may_not_grow() -> None:
    before = Footprint(files=100, threads=5, children=12)
    assert not grown(before, Footprint(104, 5, 12), allowed=8, at=1)
    (found,) = grown(before, Footprint(200, 5, 12), allowed=8, at=1)
    assert found.text == "descriptors: 100 before the troubles, 200 after them"


def test_a_process_that_outlives_the_supervisor_is_named() -> None:
    assert [found.text for found in outlived([7], at=1, what="the supervisor")] == [
        "process 7 outlived the supervisor"
    ]


# After calm.


def test_an_account_that_stays_away_after_calm_is_found() -> None:
    troubles = [Trouble(what="limited", span=Span(90, 95), accounts=frozenset({"c"}), wait_s=60)]
    back = {"a": 105.0, "b": 131.0, "c": 170.0, "d": None}
    found = late_returns(back, calm_at=100, allowed_s=30, troubles=troubles)
    assert [violation.account for violation in found] == ["b", "d"]


def test_who_is_parked_without_a_clear_refusal_is_found() -> None:
    refused = [Trouble(what="refused", span=Span(10, 20), accounts=frozenset({"a"}), may_park=True)]
    parkings = [Parking("a", 15, "said no"), Parking("a", 90, "why?"), Parking("b", 15, "why?")]
    found = parked_unjustly(parkings, troubles=refused)
    assert [(violation.account, violation.at) for violation in found] == [("a", 90), ("b", 15)]


# Secrets.


@pytest.mark.parametrize(
    "text",
    [
        "secret: hunter2hunter2",
        "wss://x/ws?access_key=0123456789abcdef&ticket=[redacted]",
        '{"ticket": "0b1c2d3e-aaaa"}',
        "http://127.0.0.1/robot/sendBySession?session=abc",
        f"Bearer t-{'0a' * 20}",
    ],
)
def test_a_secret_in_an_output_is_found(text: str) -> None:
    (found,) = leaks(text, secrets={"hunter2hunter2"}, where="the log", at=1)
    assert "is in the log" in found.text


def test_what_is_blanked_is_no_secret() -> None:
    text = "wss://x/ws?access_key=[redacted]&ticket=[redacted], a ticket was refused: ticket_refused"
    assert not leaks(text, secrets={"hunter2hunter2"}, where="the log", at=1)
