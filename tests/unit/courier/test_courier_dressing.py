"""Bodies are made once for all targets of an event, and each post is signed for its own."""

from __future__ import annotations

import msgspec
import pytest
from standardwebhooks import Webhook

from longwire.courier import bodies
from longwire.courier.dressing import Wardrobe
from longwire.courier.target import Target
from longwire_protocol.event import Delivery, Event

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def event(number: int, *, attempt: int = 1, seq: int | None = None) -> Event:
    return Event(
        id=f"id-{number}",
        seq=seq,
        type="t",
        time=1.0,
        recv_time=1.0,
        tenant="acme",
        account="bot",
        platform="lark",
        text="x" * 100,
        delivery=Delivery(attempt=attempt, redelivered=attempt > 1),
    )


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    encoded = bodies.encoded

    def count(each: Event, form: bodies.Format) -> bytes:
        made.append(f"{each.id} {form}")
        return encoded(each, form)

    monkeypatch.setattr(bodies, "encoded", count)
    return made


def target(**more: object) -> Target:
    return msgspec.convert(
        {"name": "crm", "url": "https://crm.example", "secrets": (SECRET,), **more}, Target
    )


def test_an_event_is_encoded_once_for_all_targets_of_a_format(encodings: list[str]) -> None:
    wardrobe = Wardrobe()
    for each in (target(), target(), target(format="cloudevents"), target(format="cloudevents-batch")):
        wardrobe.tailor(each)([event(1)])
    assert encodings == ["id-1 event", "id-1 cloudevents"]


def test_a_body_and_its_id_are_the_same_at_each_attempt_and_the_event_stays_as_it_is() -> None:
    dress = Wardrobe().tailor(target())
    first, again = event(1), event(1, attempt=2)
    (body, headers), (body_again, headers_again) = dress([first]), Wardrobe().tailor(target())([again])
    assert body == body_again
    assert headers["webhook-id"] == headers_again["webhook-id"] == "id-1"
    assert again.delivery == Delivery(attempt=2, redelivered=True)
    assert "delivery" not in msgspec.json.decode(body)


def test_a_post_is_signed_and_has_the_targets_headers() -> None:
    body, headers = Wardrobe().tailor(target(headers={"Authorization": "Bearer x"}, batch_size=2))(
        [event(1), event(2)]
    )
    assert headers["Authorization"] == "Bearer x"
    assert headers["Content-Type"] == "application/json"
    assert len(Webhook(SECRET).verify(body, headers)) == 2


def test_bodies_are_kept_within_bounds(encodings: list[str]) -> None:
    dress = Wardrobe(max_shared_bytes=500).tailor(target())
    for number in (1, 2, 3, 1):
        dress([event(number)])
    assert encodings == ["id-1 event", "id-2 event", "id-3 event", "id-1 event"]


def test_events_that_a_connector_gave_one_id_have_bodies_of_their_own() -> None:
    wardrobe = Wardrobe()
    bodies_made = [wardrobe.tailor(target())([event(1, seq=seq)])[0] for seq in (7, 8)]
    assert [msgspec.json.decode(body)["seq"] for body in bodies_made] == [7, 8]
