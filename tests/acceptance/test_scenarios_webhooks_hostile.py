"""Webhooks whose targets are given by people who mean ill: rows F7 and F8, and DNS that changes its mind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.internet import Internet
from harness.longwire import Longwire
from harness.processes import COMMAND, Program
from harness.targets.behaviour import Answer
from harness.targets.client import Targets
from harness.waiting import stays, until
from harness.webhooks import SECRET, add, courier, remove, target_status, until_target, webhook
from longwire import CommandError

TYPES = ["message.created"]
NAME = "hook.example"
PUBLIC = "93.184.215.14"
"""An address of the internet; in these tests it is where `Internet.way` says."""
OF_A_TENANT, CHURN = 100, 200
BOUND_BYTES = 64 * 2**20
"""A few windows of events, and what allocators keep."""
CONFIGURATION_ERROR = 78
QUIET_S = 3.0


def source(count: int, **more: Any) -> dict[str, Any]:
    """Return an account that makes so many events as fast as they are stored."""
    loopback = {"connector": "loopback", "tenant": "acme", "rate_per_s": 1_000_000.0, "chats": 10}
    return {**loopback, "count": count, **more}


def public(**more: Any) -> dict[str, Any]:
    """Return a target with a name, to which only http is allowed: a certificate is not what is tested."""
    return {"url": f"http://{NAME}/hook", "secret": SECRET, "types": TYPES, "allow_http": True, **more}


@pytest.mark.parametrize("is_allowed", [False, True])
async def test_f8_a_name_that_resolves_to_a_private_address_is_refused_unless_allowed(
    longwire: Longwire, targets: Targets, *, is_allowed: bool
) -> None:
    """The events of a refused target are kept, and nothing is connected to.

    Alone: requests followed the redirect to an address inside, and posted the event there.
    """
    url = await targets.open("inside")
    internet = Internet(longwire.folder)
    internet.name(NAME, ["10.0.0.7"])
    internet.way("10.0.0.7", url)
    longwire.configure({"source": source(3)}, webhooks={"crm": public(allow_private=is_allowed)})
    await longwire.start(env=internet.env)
    if is_allowed:
        assert len(await targets.until_arrived("inside", 3)) == 3
        return
    status = await until_target(longwire, "crm", state="refused")
    assert status["last_error"]["message"] == f"{NAME} has no public address, and allow_private is not set"
    assert (await targets.tally("inside")).connections == internet.connects("10.0.0.7") == 0
    assert (status["delivered"], status["dead"]) == (0, 0)


@pytest.mark.parametrize(
    "literal", ["127.0.0.1", "2130706433", "[::ffff:7f00:1]", "169.254.169.254", "[fd00:ec2::254]"]
)
async def test_f8_a_private_address_in_a_url_is_a_mistake_of_the_configuration(
    longwire: Longwire, tmp_path: Path, literal: str
) -> None:
    """Before anything is connected to, in whatever way the address is written.

    Alone: requests followed the redirect to an address inside, and posted the event there.
    """
    table = {**public(), "url": f"http://{literal}/hook"}
    longwire.configure({"source": source(1)}, webhooks={"crm": table})
    command = [COMMAND, "-c", str(longwire.config), "check"]
    program = await Program.start(command, output=tmp_path / "check.log", cwd=tmp_path)
    assert await program.ended() == CONFIGURATION_ERROR
    assert "webhooks.crm.url" in program.text()


async def test_f8_a_redirect_to_a_private_address_is_refused_also_where_redirects_are_allowed(
    longwire: Longwire, targets: Targets
) -> None:
    """A public target that sends the caller to the inside.

    Alone: requests followed the redirect to an address inside, and posted the event there.
    """
    inside = await targets.open("inside")
    outside = await targets.open("outside", Answer(307, {"location": inside}))
    internet = Internet(longwire.folder)
    internet.name(NAME, [PUBLIC])
    internet.way(PUBLIC, outside)
    tables = {"follows": public(redirects=3), "stays": public()}
    longwire.configure({"source": source(1)}, webhooks=tables)
    await longwire.start(env=internet.env)
    await targets.until_arrived("outside", 2)
    await until_target(longwire, "follows", state="refused")

    async def untouched() -> bool:
        return (await targets.tally("inside")).connections == 0

    await stays(untouched, what="nobody comes to the inside", for_s=QUIET_S)
    for name in tables:
        assert (await target_status(longwire, name))["delivered"] == 0


async def test_a_name_that_is_bound_again_after_it_was_looked_at_leads_nowhere(
    longwire: Longwire, targets: Targets
) -> None:
    """The first answer is public, all others are loopback: what is connected to is what was judged."""
    outside = await targets.open("outside")
    inside = await targets.open("inside")
    port = inside.split(":")[2].split("/", maxsplit=1)[0]
    internet = Internet(longwire.folder)
    internet.name(NAME, [PUBLIC], ["127.0.0.1"])
    internet.way(PUBLIC, outside)
    table = {**public(), "url": f"http://{NAME}:{port}/hook"}
    longwire.configure({"source": source(1_000, rate_per_s=2.0)}, webhooks={"crm": table})
    await longwire.start(env=internet.env)
    await targets.until_arrived("outside", 1)

    async def has_asked_again() -> bool:
        await targets.cut("outside")  # the next post needs a connection, and so an address
        return internet.asked(NAME) >= 2

    await until(has_asked_again, what="the name is looked up again", deadline_s=60, every_s=0.2)
    await until_target(longwire, "crm", state="refused")
    assert (await targets.tally("inside")).connections == internet.connects("127.0.0.1") == 0


async def test_one_private_address_among_public_ones_is_never_connected_to(
    longwire: Longwire, targets: Targets
) -> None:
    """Both are offered each time, the private one first."""
    outside = await targets.open("outside")
    internet = Internet(longwire.folder)
    internet.name(NAME, ["127.0.0.1", PUBLIC])
    internet.way(PUBLIC, outside)
    longwire.configure({"source": source(1)}, webhooks={"crm": public()})
    await longwire.start(env=internet.env)

    async def is_decided() -> bool:
        status = await target_status(longwire, "crm")
        return bool(status["delivered"] == 1 or status["state"] == "refused")

    await until(is_decided, what="it is delivered to the public address, or refused")
    assert internet.connects("127.0.0.1") == 0


async def test_f7_targets_are_bounded_and_those_that_were_removed_leave_nothing_behind(
    longwire: Longwire, targets: Targets
) -> None:
    """A tenant has as many as it may, and then others, and others again.

    Alone: by its code, there are no keys and nothing to bound: what is newest is not known.
    """
    table = webhook(await targets.open("crm", is_recording=False), types=TYPES, tenant="acme")
    longwire.configure({"source": source(1_000_000, rate_per_s=20.0)})
    await longwire.start(log_level="info")
    for n in range(OF_A_TENANT):
        await add(longwire, f"t{n}", table)
    with pytest.raises(CommandError, match="a tenant may have 100"):
        await add(longwire, "one-more", table)
    before = await sizes(longwire)
    for n in range(CHURN):
        await remove(longwire, f"t{n}")
        await add(longwire, f"t{n + OF_A_TENANT}", table)
    status = await longwire.status()
    assert len(status["webhooks"]) == len(status["subscriptions"]) == OF_A_TENANT
    grown = [now - then for now, then in zip(await sizes(longwire), before, strict=True)]
    assert max(grown) < BOUND_BYTES, grown


async def sizes(longwire: Longwire) -> list[int]:
    """Return what memory supervisor and courier have."""
    pids = (longwire.program.pid, (await courier(longwire))["pid"])
    return [psutil.Process(pid).memory_info().rss for pid in pids]


@pytest.mark.parametrize(
    ("events", "deadline_s"),
    [
        pytest.param(30_000, 80.0, id="some"),
        pytest.param(1_000_000, 1_500.0, id="a million", marks=pytest.mark.soak),
    ],
)
@pytest.mark.timeout(1_600)
async def test_f7_a_million_distinct_keys_leave_the_memory_where_it_was(
    longwire: Longwire, targets: Targets, events: int, deadline_s: float
) -> None:
    """Each event has a key of its own for `latest_wins`, and a chat of its own.

    Alone: by its code, there are no keys and nothing to bound: what is newest is not known.
    """
    table = webhook(
        await targets.open("crm", is_recording=False), types=TYPES, latest_wins="message_id", batch_size=100
    )
    longwire.configure({"source": source(events, chats=events)}, webhooks={"crm": table})
    await longwire.start(log_level="info")

    async def delivered(count: int) -> None:
        async def are_delivered() -> bool:
            return bool((await target_status(longwire, "crm"))["delivered"] >= count)

        await until(are_delivered, what=f"{count} are delivered", deadline_s=deadline_s, every_s=0.2)

    await delivered(events // 3)
    before = await sizes(longwire)
    await delivered(events)
    grown = [now - then for now, then in zip(await sizes(longwire), before, strict=True)]
    assert max(grown) < BOUND_BYTES, grown
