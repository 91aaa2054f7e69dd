"""DingTalk's kinds of messages and events, through the real SDK."""

from __future__ import annotations

import json
from typing import Any

from fakes.dingtalk_bench import (  # noqa: F401  pytest finds a fixture by its name in the module
    APP,
    Rig,
    nothing_forbidden_is_logged,
    nothing_is_left_running,
    running_rig,
)
from fakes.host import FakeLink
from longwire_connectors.simulator.injections import AtUser
from longwire_protocol.event import Chat, Event, Resource, Segment


async def happened(rig: Rig, link: FakeLink, **event: Any) -> Event:
    """Let one thing happen and return what was handed over for it, once it is acknowledged."""
    before, acked = len(link.events), (await rig.state()).acked
    await rig.inject(**event)
    await link.wait_for_events(before + 1)
    await rig.reaches(lambda state: state.acked == acked + 1)
    return link.events[before]


async def test_messages_that_are_no_text(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        picture = await happened(rig, link, msgtype="picture")
        rich = await happened(rig, link, msgtype="richText", text="see")
        voice = await happened(rig, link, msgtype="audio", text="good day")
        kept = await happened(rig, link, msgtype="unknownMsgType")
        new = await happened(rig, link, msgtype="hologram")
    assert picture.resources == [Resource(id="simulated", kind="image")]
    assert rich.segments == [Segment("text", {"text": "see"}), Segment("image", {"file_id": "simulated"})]
    assert (voice.type, voice.text) == ("message.created", "good day")
    assert [event.type for event in (kept, new)] == ["platform.raw", "platform.raw"]
    assert rig.host.counts == {"event_not_understood": 1}


async def test_events_of_a_group_and_of_the_organisation(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        joined = await happened(
            rig,
            link,
            kind="event",
            event_type="chat_add_member",
            event_id="e1",
            at_users=[AtUser(dingtalk_id="$1", staff_id="s1")],
        )
        hired = await happened(rig, link, kind="event", event_type="user_add_org")
        assert await rig.admin.redeliver("dingtalk", app=APP, identity="e1") == 1
        await link.wait_for_events(3)
    assert (joined.type, joined.chat) == ("member.joined", Chat("cidSimulated==", "group"))
    assert joined.segments == [Segment("mention", {"user_id": "s1", "name": "s1"})]
    assert (hired.type, hired.sender and hired.sender.id) == ("dingtalk.user_add_org", "manager0300")
    assert [event.dedup_key for event in link.events if event.type == "member.joined"] == ["e:e1", "e:e1"]
    answers = [record.ack_data for record in await rig.admin.deliveries("dingtalk")]
    assert [json.loads(answer or "") for answer in answers] == [{"status": "SUCCESS"}] * 2


async def test_a_click_says_what_was_clicked(rig: Rig) -> None:
    link = FakeLink()
    async with rig.online(link):
        click = await happened(rig, link, kind="card", text="yes", conversation_type="2")
    assert click.chat == Chat("cidSimulated==", "group")
    assert click.segments is not None
    assert click.segments[0].data["content"]["cardPrivateData"] == {
        "actionIds": ["button"],
        "params": {"text": "yes"},
    }
