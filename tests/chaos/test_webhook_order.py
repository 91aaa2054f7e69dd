"""Order per chat while a webhook's target fails at random."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaos.posts import SEED, check_order, judged
from harness.longwire import Longwire
from harness.targets.behaviour import Answer, Flaky, InTurn
from harness.targets.client import Targets
from harness.waiting import until
from harness.webhooks import target_status, webhook

CHATS, EVENTS_EACH = 20, 50
EVENTS = CHATS * EVENTS_EACH
FAILURES, MAX_DELAY_S = 0.2, 0.05
SOON = {"retry_initial_s": 0.2, "retry_max_s": 2.0, "breaker_open_s": 1.0}
"""So that a thousand events with hundreds of failures take a minute."""
DEADLINE_S = 100.0


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("batch_size", "seed"), [(1, SEED), (1, SEED + 1), (1, SEED + 2), (10, SEED)])
async def test_each_chat_is_taken_in_order_although_a_fifth_of_all_posts_fails(
    longwire: Longwire, targets: Targets, show: Callable[[str], None], batch_size: int, seed: int
) -> None:
    show(f"LONGWIRE_SEED={SEED}, here {seed}")
    url = await targets.open("flaky", Answer(503))
    table = webhook(url, types=["message.created"], batch_size=batch_size, **SOON)
    source = {"connector": "loopback", "tenant": "acme", "rate_per_s": 1_000_000.0}
    longwire.configure(
        {"source": {**source, "count": EVENTS, "chats": CHATS}},
        webhooks={"flaky": table},
    )
    await longwire.start(log_level="info")

    async def all_stored() -> bool:
        return bool((await longwire.account("source"))["events"] == EVENTS)

    await until(all_stored, what="every event is stored")
    await targets.behave("flaky", Flaky(seed, FAILURES, MAX_DELAY_S))

    async def all_delivered() -> bool:
        return bool((await target_status(longwire, "flaky"))["delivered"] >= EVENTS)

    await until(all_delivered, what="every event is delivered", deadline_s=DEADLINE_S, every_s=0.2)
    arrivals = await targets.arrivals("flaky")
    posts = judged("flaky", arrivals)
    failed = sum(arrival.status != 200 for arrival in arrivals)
    show(f"{posts}, {failed} failed")
    assert posts.events == EVENTS
    assert failed >= EVENTS * FAILURES / 10
    check_order(arrivals)


async def test_a_chat_that_alone_fills_the_courier_goes_on_after_its_first_event_has_failed(
    longwire: Longwire, targets: Targets
) -> None:
    """All that the courier has goes back with that event, so there is room, and nobody who takes from it."""
    events = 200
    url = await targets.open("crm", InTurn([Answer(500, delay_s=1.0), Answer()]))
    source = {"connector": "loopback", "tenant": "acme", "rate_per_s": 1_000_000.0, "count": events}
    table = webhook(url, types=["message.created"], **SOON)
    longwire.configure({"source": source}, webhooks={"crm": table})
    await longwire.start(log_level="info")
    arrivals = await targets.until_arrived("crm", events + 1)
    assert judged("crm", arrivals).events == events
    check_order(arrivals)
