"""The book of deliveries, with invented times."""

import math

import pytest

from longwire_connectors.simulator.deliveries import (
    AckOutcome,
    Delivery,
    DeliveryBook,
    DeliveryRecord,
    Phase,
    Policy,
)
from longwire_connectors.simulator.errors import BookFullError

LARK = Policy(ack_deadline_s=3.0, ladder_s=(15.0, 300.0))
ONCE = Policy(ack_deadline_s=3.0)
FOREVER = Policy(ack_deadline_s=5.0, ladder_s=(55.0,), repeats_last=True)


def make(frame_id: str = "f1", *, policy: Policy = LARK, app: str = "a") -> Delivery:
    record = DeliveryRecord(app=app, kind="message", frame_message_id=frame_id, message_id=f"om_{frame_id}")
    return Delivery(record=record, policy=policy, attempts=((b"first",), (b"second",)))


def send(book: DeliveryBook, now: float, app: str = "a") -> Delivery:
    assert app in book.collect(now)
    delivery = book.first(app)
    assert delivery is not None
    book.sent(app, connection="c1", now=now)
    return delivery


def ack(book: DeliveryBook, now: float, *, frame_id: str = "f1", succeeded: bool = True) -> AckOutcome:
    return book.acked("a", frame_message_id=frame_id, succeeded=succeeded, now=now)


def test_a_delivery_is_sent_when_it_falls_due_and_finished_by_its_ack() -> None:
    book = DeliveryBook()
    book.add(make(), due_at=10.0)
    assert book.collect(9.9) == []
    assert book.first("a") is None
    delivery = send(book, 10.0)
    assert ack(book, 11.0) is AckOutcome.ACCEPTED
    assert delivery.record.phase is Phase.ACKED
    assert (delivery.record.sent_at, delivery.record.acked_at) == ([10.0], 11.0)
    assert book.collect(1e9) == []
    assert book.next_at() is None
    assert book.unfinished == 0


def test_deliveries_due_together_keep_their_order() -> None:
    book = DeliveryBook()
    for number in range(5):
        book.add(make(f"f{number}"), due_at=1.0)
    assert [send(book, 1.0).record.frame_message_id for _ in range(5)] == ["f0", "f1", "f2", "f3", "f4"]


def test_an_event_without_ack_climbs_the_ladder_and_is_then_given_up() -> None:
    book = DeliveryBook()
    delivery = make()
    book.add(delivery, due_at=0.0)
    send(book, 0.0)
    assert book.collect(3.0) == []
    assert book.next_at() == 18.0
    send(book, 18.0)
    assert book.collect(21.0) == []
    send(book, 321.0)
    assert book.collect(324.0) == []
    assert delivery.record.phase is Phase.EXHAUSTED
    assert delivery.record.sent_at == [0.0, 18.0, 321.0]


def test_a_refusal_starts_the_next_wait_at_once() -> None:
    book = DeliveryBook()
    book.add(make(), due_at=0.0)
    send(book, 0.0)
    assert ack(book, 1.0, succeeded=False) is AckOutcome.REFUSED
    assert book.collect(15.9) == []
    send(book, 16.0)


def test_a_policy_that_repeats_its_last_wait_never_gives_up() -> None:
    book = DeliveryBook()
    delivery = make(policy=FOREVER)
    book.add(delivery, due_at=0.0)
    for attempt in range(10):
        send(book, attempt * 60.0)
        book.collect(attempt * 60.0 + 5.0)
    assert len(delivery.record.sent_at) == 10
    assert ONCE.wait_before(0) is None
    assert Policy(ack_deadline_s=1.0, repeats_last=True).wait_before(0) is None


def test_a_late_ack_a_second_ack_and_an_unknown_one_change_nothing() -> None:
    book = DeliveryBook()
    book.add(make(), due_at=0.0)
    book.add(make("f2", policy=ONCE), due_at=0.0)
    send(book, 0.0)
    send(book, 0.0)
    book.collect(3.0)
    assert ack(book, 3.5) is AckOutcome.LATE
    assert ack(book, 3.5, frame_id="f2") is AckOutcome.LATE
    assert ack(book, 3.5, frame_id="nobody's") is AckOutcome.UNKNOWN
    send(book, 18.0)
    assert ack(book, 18.5) is AckOutcome.ACCEPTED
    assert ack(book, 18.6) is AckOutcome.DUPLICATE


def test_each_attempt_has_its_frames_and_the_last_ones_serve_all_further_attempts() -> None:
    book = DeliveryBook()
    delivery = make(policy=FOREVER)
    book.add(delivery, due_at=0.0)
    seen = []
    for attempt in range(3):
        book.collect(attempt * 60.0)
        seen.append(delivery.frames)
        book.sent("a", connection="c", now=attempt * 60.0)
        book.collect(attempt * 60.0 + 5.0)
    assert seen == [(b"first",), (b"second",), (b"second",)]


def test_what_is_dropped_is_finished_and_its_ack_unknown() -> None:
    book = DeliveryBook()
    delivery = make()
    book.add(delivery, due_at=0.0)
    book.collect(0.0)
    book.dropped("a")
    assert delivery.record.phase is Phase.DROPPED
    assert ack(book, 1.0) is AckOutcome.UNKNOWN


def test_two_deliveries_with_one_id_are_acked_one_after_the_other() -> None:
    book = DeliveryBook()
    first, second = make(), make()
    book.add(first, due_at=0.0)
    book.add(second, due_at=0.0)
    send(book, 0.0)
    send(book, 0.0)
    assert ack(book, 1.0) is AckOutcome.ACCEPTED
    assert first.record.phase is Phase.ACKED
    assert second.record.phase is Phase.SENT
    assert ack(book, 1.1) is AckOutcome.ACCEPTED


def test_redeliver_pushes_again_whatever_became_of_it() -> None:
    book = DeliveryBook()
    delivery = make()
    book.add(delivery, due_at=0.0)
    assert book.redeliver("a", identity="f1", now=0.0) == 0  # never sent
    send(book, 0.0)
    ack(book, 0.5)
    assert book.redeliver("a", identity="om_f1", now=1.0) == 1
    assert book.redeliver("b", identity="om_f1", now=1.0) == 0
    send(book, 1.0)
    assert book.redeliver("a", identity="om_f1", now=1.5) == 1  # in flight
    assert book.collect(1.5) == ["a"]
    assert book.redeliver("a", identity="om_f1", now=1.6) == 1  # already in the queue: not twice
    assert book.collect(1.6) == ["a"]
    send(book, 1.6)
    assert book.collect(1.7) == []
    assert delivery.record.sent_at == [0.0, 1.0, 1.6]


def test_a_full_book_refuses_and_a_long_one_forgets_the_oldest() -> None:
    book = DeliveryBook(max_unfinished=2, max_finished=1)
    book.add(make("f1"), due_at=0.0)
    book.add(make("f1"), due_at=0.0)
    with pytest.raises(BookFullError, match="no room for 1 more"):
        book.add(make("f3"), due_at=0.0)
    for _ in range(2):
        send(book, 0.0)
        ack(book, 1.0)
    assert [record.phase for record in book.records("a")] == [Phase.ACKED]
    book.add(make("f4", app="b"), due_at=math.inf)
    assert len(book.records()) == 2
    assert len(book.records("b")) == 1
    send_last = make("f5")
    book.add(send_last, due_at=2.0)
    send(book, 2.0)
    ack(book, 2.1, frame_id="f5")
    assert ack(book, 2.2, frame_id="f1") is AckOutcome.UNKNOWN
