"""What webhooks need of a window: no order, other filters while it runs, a backoff of its own, an age."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fakes.journal_events import event, events, seqs, window
from longwire.delivery import Cause, Failing, Filters, WindowLimits
from longwire.delivery.failures import retry_delay_s


def test_without_order_a_failing_event_holds_up_no_other_of_its_chat() -> None:
    made = window("aa", limits=WindowLimits(order="none"))
    assert seqs(made.step(0.0)) == [1, 2]
    made.nack("c", seq=1, delay_s=None, now=0.0)
    made.offer(events("a", first=3))
    assert seqs(made.step(0.1)) == [3]
    assert made.ack("c", seqs=[2, 3], up_to=None) == []
    assert seqs(made.step(0.5)) == [1]


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 5.0), (2, 10.0), (20, 3600.0)])
def test_a_subscription_can_have_a_backoff_of_its_own(failures: int, delay_s: float) -> None:
    limits = WindowLimits(backoff_initial_s=5.0, backoff_max_s=3600.0, chat_block_max_s=86_400.0)
    failing = Failing(1, failures, failures, 0.0, 0.0, 0.0)
    found = retry_delay_s(failing, Cause.NACKED, asked_s=None, limits=limits, luck=lambda: 1.0)
    assert found == delay_s


def test_other_filters_let_go_of_what_is_held_and_not_among_them() -> None:
    made = window("ab")
    made.step(0.0)
    made.offer([event(3, chat="a", type="other"), event(4, chat="b")])
    made.set_filters(Filters(types=frozenset({"other"})))
    assert seqs(made.step(0.0)) == [3]
    made.offer([event(5, chat="a"), event(6, chat="a", type="other")])
    assert seqs(made.step(0.0)) == [6]
    made.set_filters(Filters())
    made.offer([event(7, chat="a")])
    assert seqs(made.step(0.0)) == [7]


def test_a_resumed_event_stays_whatever_the_filters_are() -> None:
    made = window("")
    made.resume(event(1, chat="a"), attempt=3)
    made.set_filters(Filters(types=frozenset({"other"})))
    assert seqs(made.step(0.0)) == [1]


def test_the_oldest_event_tells_since_when_it_waits() -> None:
    made = window("")
    assert made.oldest_at is None
    made.offer([replace(event(1, chat="a"), recv_time=11.0), replace(event(2, chat="a"), recv_time=12.0)])
    assert made.oldest_at == 11.0  # fresh
    made.step(0.0)
    assert made.oldest_at == 11.0  # in flight
    made.nack("c", seq=1, delay_s=1.0, now=0.0)
    assert made.oldest_at == 11.0  # with books
