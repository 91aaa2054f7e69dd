"""Lark's events besides messages, through the real SDK."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.lark_bench import (
    APP,
    Bench,
    lark_bench,  # noqa: F401  a fixture
    lark_host,  # noqa: F401  a fixture
    loose_ends,  # noqa: F401  a fixture
)
from longwire_connectors.simulator.injections import LarkMention
from longwire_protocol.event import Chat, Event, Resource, Segment

SENDER = "ou_simulated_user"


async def happened(bench: Bench, **event: Any) -> Event:
    """Let one thing happen and return what was handed over for it, once it is acknowledged."""
    before, acked = len(bench.link.events), (await bench.state()).acked
    await bench.inject(**event)
    await bench.link.wait_for_events(before + 1)
    await bench.reaches(lambda state: state.acked == acked + 1)
    return bench.link.events[before]


async def test_what_happens_to_a_message_is_no_duplicate_of_it(bench: Bench) -> None:
    await bench.proven()
    message = await happened(bench, message_id="om_1", text="hello")
    edited = await happened(
        bench, message_id="om_1", text="hello!", event_type="im.message.updated_v1", event_id="e2"
    )
    reaction = {"kind": "event", "message_id": "om_1", "emoji": "HEART"}
    added = await happened(bench, event_type="im.message.reaction.created_v1", **reaction)
    removed = await happened(bench, event_type="im.message.reaction.deleted_v1", **reaction)
    recalled = await happened(
        bench, kind="event", event_type="im.message.recalled_v1", message_id="om_1", event_id="e5"
    )
    events = (message, edited, added, removed, recalled)
    assert [event.type for event in events] == [
        "message.created",
        "message.updated",
        "reaction.created",
        "reaction.deleted",
        "message.deleted",
    ]
    assert {event.message_id for event in events} == {"om_1"}
    assert len({event.dedup_key for event in events}) == 5
    assert (edited.text, edited.dedup_key, recalled.dedup_key) == ("hello!", "e:e2", "e:e5")
    assert (added.dedup_key or "").startswith(f"r:om_1:{SENDER}:HEART:added:")
    assert (added.text, added.sender and added.sender.id) == ("HEART", SENDER)
    assert bench.host.counts == {}


@pytest.mark.parametrize(
    "event",
    [
        {"message_id": "om_1"},
        {"message_id": "om_1", "kind": "event", "event_type": "im.message.reaction.created_v1"},
    ],
)
async def test_a_redelivery_under_another_event_id_has_the_same_key(
    bench: Bench, event: dict[str, Any]
) -> None:
    await bench.proven()
    await happened(bench, has_fresh_event_ids=True, **event)
    assert await bench.admin.redeliver("lark", app=APP, identity="om_1") == 1
    await bench.link.wait_for_events(2)
    first, second = bench.link.events
    assert first.raw["header"]["event_id"] != second.raw["header"]["event_id"]
    assert first.dedup_key == second.dedup_key


async def test_members_come_and_go(bench: Bench) -> None:
    await bench.proven()
    mei = LarkMention(open_id="ou_mei", name="Mei")
    joined = await happened(
        bench, kind="event", event_type="im.chat.member.user.added_v1", text="Team", mentions=[mei]
    )
    assert (joined.type, joined.chat) == ("member.joined", Chat("oc_simulated", "group", name="Team"))
    assert joined.segments == [Segment("mention", {"user_id": "ou_mei", "name": "Mei"})]
    left = await happened(bench, kind="event", event_type="im.chat.member.bot.deleted_v1")
    assert (left.type, left.to_me) == ("member.left", True)


async def test_a_voice_message_is_a_resource(bench: Bench) -> None:
    await bench.proven()
    event = await happened(bench, message_type="audio")
    assert event.resources == [Resource(id="file_v3_0000_simulated", kind="audio")]
    assert event.segments is not None
    assert event.segments[0].data["duration_ms"] == 2000


async def test_what_cannot_be_understood_is_stored_acknowledged_and_counted(bench: Bench) -> None:
    await bench.proven()
    body = {"chat_id": "oc_1"}
    event = await happened(bench, kind="event", event_type="im.message.recalled_v1", data=body)
    assert (event.type, event.raw["event"]) == ("platform.raw", body)
    assert (await happened(bench, message_type="hologram", content="{}")).type == "platform.raw"
    assert bench.host.counts == {"event_not_understood": 2}
