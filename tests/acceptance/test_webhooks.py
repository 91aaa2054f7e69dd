"""Events delivered to HTTP targets by the installed command and a real server."""

from __future__ import annotations

from harness.longwire import Longwire
from harness.targets.client import Targets
from harness.webhooks import event_of, texts, until_target, verified, webhook

EVENTS = {"connector": "loopback", "rate_per_s": 100, "count": 5}


async def test_the_events_of_an_account_arrive_signed_and_are_done(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm")
    longwire.configure({"bot": EVENTS}, webhooks={"crm": webhook(url, types=["message.created"])})
    await longwire.start()

    arrivals = await targets.until_arrived("crm", 5)

    for arrival in arrivals:
        event = event_of(arrival)
        assert verified(arrival)["id"] == event.id == arrival.header("webhook-id")
        assert event.delivery is None
    assert [text.rstrip(".") for text in texts(arrivals)] == ["1", "2", "3", "4", "5"]
    status = await until_target(longwire, "crm", delivered=5, lag=0)
    assert (status["state"], status["queued"], status["in_flight"], status["failed"]) == (
        "delivering",
        0,
        0,
        0,
    )
