"""The subscriptions of webhooks in the supervisor: what they hold, and who gets which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from fakes.posting import target
from longwire.config.webhooks import Webhook
from longwire.control import ClientPeer
from longwire.courier.target import MAX_TARGETS
from longwire.courier.wire import RESERVED
from longwire.deliveries import Deliveries
from longwire.journal import Journal
from longwire.webhooks.webhooks import Webhooks
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Request

MIB = 1024 * 1024


class Ground:
    """A journal's subscriptions, and the webhooks among them."""

    deliveries: Deliveries
    webhooks: Webhooks

    async def have(self, count: int = 1, **settings: Any) -> None:
        each = Webhook(target=target("http://127.0.0.1:9/", **settings))
        wanted = {f"crm-{n}": each for n in range(count)}
        await self.webhooks.prepare(wanted)
        self.webhooks.apply(wanted)

    def rooms(self) -> list[int]:
        found = [self.deliveries.find(RESERVED + name) for name in self.webhooks.present]
        return [each.window.limits.max_bytes for each in found if each is not None]

    async def refusal(self, **params: Any) -> RetCode:
        request = Request(id=1, method="events.subscribe", params={"name": RESERVED + "crm-0", **params})
        with pytest.raises(CommandError) as refused:
            await self.deliveries.subscribe(cast("ClientPeer", None), request)
        return refused.value.retcode


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    journal = await Journal.open(tmp_path / "journal.sqlite3")
    made = Ground()
    async with asyncio.TaskGroup() as tasks:
        made.deliveries = await Deliveries.open(journal, tasks)
        made.webhooks = await Webhooks.open(journal, made.deliveries)
        yield made
        made.deliveries.close()
    await journal.close()


async def test_a_thousand_targets_that_are_down_hold_no_more_than_sixty_four(ground: Ground) -> None:
    await ground.have(64)
    sixty_four = ground.rooms()
    assert sixty_four == [4 * MIB] * 64
    await ground.have(MAX_TARGETS)
    assert len(ground.rooms()) == MAX_TARGETS
    assert sum(ground.rooms()) <= sum(sixty_four)
    await ground.have(1)
    assert ground.rooms() == [4 * MIB], "who is left gets room again"


async def test_a_courier_that_has_not_heard_that_a_webhook_is_another_tenants_gets_none_of_its_events(
    ground: Ground,
) -> None:
    ground.deliveries.set_key("key")
    await ground.have(tenant="acme")
    assert await ground.refusal(key="another", tenant="acme") == RetCode.BAD_PARAM
    await ground.have(tenant="beta")
    assert await ground.refusal(key="key", tenant="acme") == RetCode.NOT_SUBSCRIBED


async def test_what_earlier_runs_left_behind_is_bounded(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire.webhooks.webhooks.MAX_TARGETS", 2)
    await ground.have(2)
    later = Webhooks(cast("Any", None), ground.deliveries, disabled={})
    new = {"new": Webhook(target=target("http://127.0.0.1:9/"))}
    await later.prepare(new)  # at a start, which goes on with what it has
    await ground.deliveries.release(RESERVED + "new")
    later.warden = cast("Any", object())
    with pytest.raises(CommandError, match="2 webhooks of earlier runs") as refused:
        await later.prepare(new)
    assert refused.value.retcode == RetCode.SATURATED
    await later.prepare({name: each for name, each in ground.webhooks.present.items() if name == "crm-0"})
    await ground.deliveries.release(RESERVED + "crm-1")
    await later.prepare(new)
