"""What the journal lets go of, decided from sizes, ages and positions."""

from __future__ import annotations

from longwire.journal.retention import Cut, Holdings, Limits, Row, decide, pages_to_give_back

NOW = 1_000_000.0
LIMITS = Limits(max_bytes=1600, max_age_s=100.0)  # the margin is 100 bytes


def holdings(
    rows: int, *, size: int = 100, aged: int = 0, used: int | None = None, unseen: int = 0
) -> Holdings:
    """Rows of ten events each, the first `aged` of them too old; `unseen` more bytes are in later rows."""
    shown = [Row(10 * n, NOW - (101.0 if n <= aged else 1.0), size) for n in range(1, rows + 1)]
    event_bytes = rows * size + unseen
    return Holdings(
        rows=shown,
        event_bytes=event_bytes,
        used_bytes=event_bytes if used is None else used,
        free_pages=0,
        pages=1,
    )


def cut(held: Holdings, low_water: int | None = None) -> Cut:
    return decide(held, LIMITS, low_water=low_water, now=NOW)


def test_what_is_young_and_fits_stays() -> None:
    assert cut(holdings(16)) == Cut(through_seq=0)


def test_an_empty_journal_has_nothing_to_remove() -> None:
    assert cut(holdings(0)) == Cut(through_seq=0)


def test_what_is_too_old_goes() -> None:
    assert cut(holdings(10, aged=3)) == Cut(through_seq=30)


def test_what_is_too_old_and_not_acknowledged_stays() -> None:
    assert cut(holdings(10, aged=3), low_water=20) == Cut(through_seq=20)
    assert cut(holdings(10, aged=3), low_water=19) == Cut(through_seq=10)
    assert cut(holdings(10, aged=3), low_water=0) == Cut(through_seq=0)


def test_what_is_acknowledged_and_young_stays_for_a_replay() -> None:
    assert cut(holdings(10), low_water=100) == Cut(through_seq=0)


def test_over_the_size_the_oldest_goes_and_a_sixteenth_more() -> None:
    assert cut(holdings(18)) == Cut(through_seq=30)
    assert cut(holdings(18), low_water=180) == Cut(through_seq=30)


def test_over_the_size_even_what_is_not_acknowledged_goes() -> None:
    assert cut(holdings(18), low_water=0) == Cut(through_seq=30)
    assert cut(holdings(18), low_water=10) == Cut(through_seq=30)


def test_the_margin_alone_takes_nothing_that_is_not_acknowledged() -> None:
    assert cut(holdings(18), low_water=20) == Cut(through_seq=20)


def test_age_goes_on_where_size_ends_but_not_into_what_is_not_acknowledged() -> None:
    assert cut(holdings(18, aged=6)) == Cut(through_seq=60)
    assert cut(holdings(18, aged=6), low_water=10) == Cut(through_seq=30)


def test_another_round_is_due_when_all_that_was_shown_goes() -> None:
    assert cut(holdings(5, aged=5)) == Cut(through_seq=50, is_more=True)
    assert cut(holdings(5, unseen=10_000), low_water=0) == Cut(through_seq=50, is_more=True)


def test_keys_and_states_count_but_leave_half_of_the_limit_to_events() -> None:
    assert cut(holdings(10, used=1600)) == Cut(through_seq=0)
    assert cut(holdings(10, used=1700)) == Cut(through_seq=20)
    assert cut(holdings(8, used=100_000)) == Cut(through_seq=0)
    assert cut(holdings(9, used=100_000)) == Cut(through_seq=20)


def pages(free: int, total: int) -> int:
    empty = holdings(0)
    held = Holdings(rows=empty.rows, event_bytes=0, used_bytes=0, free_pages=free, pages=total)
    return pages_to_give_back(held)


def test_some_free_pages_are_kept_for_what_comes_next() -> None:
    assert pages(0, 10_000) == 0
    assert pages(1250, 10_000) == 0
    assert pages(1251, 10_000) == 1251 - 625
    assert pages(512, 600) == 0
    assert pages(513, 600) == 513 - 256
