"""What webhooks send, read by the libraries of the standards it claims: Standard Webhooks and CloudEvents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from standardwebhooks import WebhookVerificationError

from harness.longwire import Longwire
from harness.targets.behaviour import Answer, InTurn
from harness.targets.client import Targets
from harness.webhooks import NEXT_SECRET, SECRET, cloud_event, cloud_events, event_of, verified, webhook
from longwire_protocol.subscription import IncomingEvent

TYPES = ["message.created"]
OTHER_SECRET = "whsec_bm90LXRoZS1zZWNyZXQtb2YtdGhpcy10YXJnZXQu"


def source(count: int, **more: Any) -> dict[str, Any]:
    loopback = {"connector": "loopback", "tenant": "acme", "rate_per_s": 1_000_000.0, "chats": 2}
    return {**loopback, "count": count, **more}


async def journal(longwire: Longwire, count: int) -> list[IncomingEvent]:
    """Return the first messages of the journal."""
    async with longwire.client.subscribe(start="all", types=TYPES) as subscription:
        return [await anext(subscription) for _ in range(count)]


async def test_a_signature_is_verified_by_the_library_of_standard_webhooks(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm")
    longwire.configure({"source": source(3)}, webhooks={"crm": webhook(url, types=TYPES)})
    await longwire.start()
    arrivals = await targets.until_arrived("crm", 3)
    events = await journal(longwire, 3)
    for arrival in arrivals:
        body = verified(arrival)
        assert arrival.header("webhook-id") == body["id"]
        with pytest.raises(WebhookVerificationError):
            verified(arrival, OTHER_SECRET)
    sent = sorted((event_of(arrival) for arrival in arrivals), key=lambda event: event.seq or 0)
    assert [(it.id, it.text, it.seq) for it in sent] == [(it.id, it.text, it.seq) for it in events]


async def test_while_a_secret_is_rotated_old_and_new_ones_verify(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm")
    table = webhook(url, types=TYPES, secret=[NEXT_SECRET, SECRET])
    longwire.configure({"source": source(1)}, webhooks={"crm": table})
    await longwire.start()
    (arrival,) = await targets.until_arrived("crm", 1)
    assert verified(arrival, SECRET) == verified(arrival, NEXT_SECRET)
    with pytest.raises(WebhookVerificationError):
        verified(arrival, OTHER_SECRET)


async def test_a_retry_has_the_same_id_and_a_new_time_and_signature(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", InTurn([Answer(500), Answer()]))
    longwire.configure(
        {"source": source(1)}, webhooks={"crm": webhook(url, types=TYPES, retry_initial_s=2.0)}
    )
    await longwire.start()
    first, second = await targets.until_arrived("crm", 2)
    assert verified(first)["id"] == verified(second)["id"]
    assert first.header("webhook-id") == second.header("webhook-id")
    assert int(first.header("webhook-timestamp")) < int(second.header("webhook-timestamp"))


async def test_a_structured_body_is_a_cloud_event_to_its_own_library(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm")
    table = webhook(url, types=TYPES, format="cloudevents")
    longwire.configure({"source": source(2)}, webhooks={"crm": table})
    await longwire.start()
    arrivals = await targets.until_arrived("crm", 2)
    assert all(verified(arrival) for arrival in arrivals)
    check([cloud_event(arrival) for arrival in arrivals], await journal(longwire, 2))


async def test_a_batched_body_holds_cloud_events_to_their_own_library(
    longwire: Longwire, targets: Targets
) -> None:
    count = 100
    url = await targets.open("crm", Answer(delay_s=0.05))
    table = webhook(url, types=TYPES, format="cloudevents-batch", batch_size=10)
    longwire.configure({"source": source(count)}, webhooks={"crm": table})
    await longwire.start()
    found: list[BaseCloudEvent] = []
    posts = 0
    while len(found) < count:
        for arrival in await targets.until_arrived("crm", posts + 1):
            verified(arrival)
        arrivals = await targets.arrivals("crm", begin=posts)
        posts += len(arrivals)
        batches = [cloud_events(arrival) for arrival in arrivals]
        assert max(map(len, batches)) <= 10
        found += [event for batch in batches for event in batch]
    assert posts < count / 2
    check(found, await journal(longwire, count))


def check(found: Sequence[BaseCloudEvent], events: Sequence[IncomingEvent]) -> None:
    """Assert that these are those events."""
    by_id = {event.id: event for event in events}
    assert sorted(it.get_id() for it in found) == sorted(by_id)
    for it in found:
        event = by_id[it.get_id()]
        moment, data = it.get_time(), it.get_data()
        assert it.get_specversion() == "1.0"
        assert event.type in it.get_type()
        assert it.get_source()
        assert moment is not None
        assert abs(moment.timestamp() - event.time) < 0.001
        assert isinstance(data, dict)
        assert (data["id"], data["text"]) == (event.id, event.text)
        assert json.dumps(data)
