"""Every command on both platforms, tried through the installed supervisor: what came of it is a document.

`make docs` writes it anew. A command that a connector declares and that has no trial here fails the test.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import DEADLINE_S
from longwire import Client, CommandError
from longwire_connectors.clicks import MAX_RESPOND_S
from longwire_connectors.simulator.fault_kinds import LarkNoLimits
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent
from longwire_protocol.errors import RetCode

DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"
PLATFORMS = ("lark", "dingtalk")
APPS = {"lark": "cli_00000000000000dd", "dingtalk": "dingdocument"}
GROUPS = {"lark": "oc_elsewhere", "dingtalk": "cidElsewhere"}
CARDS: dict[str, dict[str, Any]] = {
    "lark": {"elements": [{"tag": "markdown", "content": "a card"}]},
    "dingtalk": {"cardTemplateId": "t.schema", "cardData": {"cardParamMap": {"title": "a card"}}},
}
CHANGED: dict[str, dict[str, Any]] = {
    "lark": {"elements": [{"tag": "markdown", "content": "changed"}]},
    "dingtalk": {"cardData": {"cardParamMap": {"title": "changed"}}},
}
SHOWN: dict[str, dict[str, Any]] = {
    "toast": {"content": "saved"},
    "card": {"state": "done"},
    "data": {"state": "done"},
}
CALLS = {"lark": "/bot/v3/info", "dingtalk": "/v1.0/contact/users/0300"}
NAMES = {"image": "a.png", "file": "a.pdf", "audio": "a.opus", "video": "a.mp4"}


class Trial:
    """One account on one platform, which somebody has just written to."""

    def __init__(self, platform: str, client: Client, simulator: Simulator, received: str, chat: str) -> None:
        self.platform = platform
        self.received, self.chat = received, chat
        self._client = client
        self._simulator = simulator
        self._chats = itertools.count()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._client.call(method, params, account=self.platform)

    async def send(self, **params: Any) -> dict[str, Any]:
        """Send to where no session webhook leads, so that the platform names the message.

        To a chat of its own, as each has its rate.
        """
        chat = f"{GROUPS[self.platform]}{next(self._chats)}"
        sent = await self.call("message.create", chat=chat, **params)
        assert sent["message_id"]
        return sent

    async def upload(self, kind: str) -> str:
        first = await self.call("media.upload", data=b"first ", kind=kind, name=NAMES[kind])
        last = await self.call("media.upload", data=b"last", last=True, **first)
        assert last["size"] == len(b"first last")
        return last["id"]

    async def click(self) -> str:
        """Have somebody click on a card; return the event's id."""
        clicks = self._client.subscribe(
            f"clicks-{self.platform}", types=["card.action"], accounts=[self.platform]
        )
        await clicks.open()
        app = APPS[self.platform]
        if self.platform == "lark":
            await self._simulator.inject_lark(LarkEvent(app=app, kind="card"))
        else:
            await self._simulator.inject_dingtalk(DingTalkEvent(app=app, kind="card"))
        async with asyncio.timeout(DEADLINE_S):
            event = await anext(clicks)
        await event.ack()
        await clicks.close()
        return event.id

    async def segment(self, kind: str) -> dict[str, Any]:
        """Return a segment that any platform takes which has such a thing."""
        match kind:
            case "mention":
                return {"type": kind, "data": {"user_id": "ou_someone", "name": "Someone"}}
            case "sticker":
                return {"type": kind, "data": {"file_id": "file_v3_sticker"}}
            case _:
                data = {"file_id": await self.upload(kind), "name": NAMES[kind], "duration": 1000}
                cover = {"cover_id": await self.upload("image")} if kind == "video" else {}
                return {"type": kind, "data": {**data, **cover}}

    async def said(self, kind: str) -> dict[str, Any]:
        """Return the params that say something of a kind."""
        match kind:
            case "text" | "markdown":
                return {kind: "**hello**"}
            case "card":
                return {kind: CARDS[self.platform]}
            case "stream":
                return {kind: {"text": "a", "title": "Answer"}}
            case _:
                return {"segments": [await self.segment(kind)]}


Way = Callable[[Trial, str], Awaitable[object]]


async def _create(trial: Trial, kind: str) -> None:
    await trial.send(**await trial.said(kind))


async def _answer(trial: Trial, _: str) -> None:
    await trial.call("message.create", chat=trial.chat, reply_to=trial.received, text="an answer")


async def _update(trial: Trial, kind: str) -> None:
    sent = await trial.send(**({"card": CARDS[trial.platform]} if kind == "card" else {"text": "first"}))
    said = await trial.said(kind)
    if "segments" in said:  # among words: a file cannot take the place of a text
        said["segments"].insert(0, {"type": "text", "data": {"text": "see "}})
    await trial.call("message.update", **sent, **said)


async def _delete(trial: Trial, _: str) -> None:
    await trial.call("message.delete", **await trial.send(text="x"))


async def _get(trial: Trial, _: str) -> None:
    sent = await trial.send(text="x")
    assert (await trial.call("message.get", **sent))["message_id"] == sent["message_id"]


async def _react(trial: Trial, _: str) -> None:
    await trial.call("reaction.create", message_id=trial.received, emoji="OK")


async def _unreact(trial: Trial, _: str) -> None:
    await _react(trial, "")
    await trial.call("reaction.delete", message_id=trial.received, emoji="OK")


async def _type(trial: Trial, _: str) -> None:
    await trial.call("typing.set", chat=trial.chat)


async def _change_card(trial: Trial, kind: str) -> None:
    card = await trial.send(**await trial.said(kind))
    if kind == "card":
        await trial.call("card.update", **card, card=CHANGED[trial.platform])
        return
    grown = await trial.call("card.update", **card, stream={"text": "ab", "final": True})
    assert grown == {"shown": True}


async def _respond(trial: Trial, kind: str) -> None:
    await trial.call("card.respond", event=await trial.click(), **{kind: SHOWN[kind]})


async def _upload(trial: Trial, kind: str) -> None:
    await trial.upload(kind)


async def _download(trial: Trial, _: str) -> None:
    file = await trial.upload("file")
    sent = await trial.send(segments=[{"type": "file", "data": {"file_id": file, "name": "a.pdf"}}])
    got = await trial.call("media.download", **sent, resource=file, offset=3, length=4)
    assert len(got["data"]) == 4


async def _call(trial: Trial, _: str) -> None:
    await trial.call("platform.call", path=CALLS[trial.platform])


WAYS: Mapping[str, Way] = {
    "message.create": _create,
    "message.update": _update,
    "message.delete": _delete,
    "message.get": _get,
    "reaction.create": _react,
    "reaction.delete": _unreact,
    "typing.set": _type,
    "card.update": _change_card,
    "card.respond": _respond,
    "media.upload": _upload,
    "media.download": _download,
    "platform.call": _call,
}
ANSWER = ("message.create", "an answer")


def rows(details: Mapping[str, Any], methods: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Return command and kind of content of each row, in the order of `WAYS` and of what is declared."""
    known = {name for platform in PLATFORMS for name in methods[platform]}
    known |= {name for platform in PLATFORMS for name in details[platform].get("missing", {})}
    assert known <= set(WAYS), "a declared command has no trial here"
    found: list[tuple[str, str]] = []
    for method in WAYS:
        kinds = [details[platform].get("contents", {}).get(method, ()) for platform in PLATFORMS]
        merged = list(dict.fromkeys(kind for some in kinds for kind in some)) or [""]
        found += [(method, kind) for kind in merged]
    return [*found, ANSWER]


async def outcome(trial: Trial, method: str, kind: str, supported: Mapping[str, Any]) -> str:
    """Try a command; return what came of it, for the table."""
    way = _answer if (method, kind) == ANSWER else WAYS[method]
    contents = supported.get("contents", {}).get(method, ())
    missing: str | None = supported.get("missing", {}).get(method)
    if missing is None and (kind in ("", ANSWER[1]) or kind in contents):
        await way(trial, kind)
        return "works"
    with pytest.raises(CommandError) as refusal:
        await way(trial, kind)
    assert refusal.value.retcode == RetCode.UNSUPPORTED
    assert (missing or "") in refusal.value.message
    return f"unsupported: {missing}" if missing else "unsupported"


def render(table: list[list[str]], details: Mapping[str, Any]) -> str:
    """Return the document."""
    limits = {name: details[name].get("limits", {}) for name in PLATFORMS}
    names = sorted({limit for some in limits.values() for limit in some})
    told = [
        [f"{limits[name][limit]:,}" if limit in limits[name] else "" for name in PLATFORMS] for limit in names
    ]
    paces = [
        [scope, *(_in_words(details[name].get("rates", {}).get(scope, [])) for name in PLATFORMS)]
        for scope in ("app", "chat")
    ]
    lines = [
        "# Commands",
        "",
        "What a client can do on each platform, as `get_supported` says beforehand: each was tried through",
        "an installed supervisor, real processes and the simulators. This file is written by that trial",
        "(`tests/acceptance/test_commands_document.py`); `make docs` does it anew. The params are in",
        "[protocol.md](protocol.md#methods).",
        "",
        "| command | with | Lark | DingTalk |",
        "| --- | --- | --- | --- |",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        "## Limits",
        "",
        "| limit | Lark | DingTalk |",
        "| --- | --- | --- |",
        *(f"| `{name}` | {' | '.join(cells)} |" for name, cells in zip(names, told, strict=True)),
        "",
        "Commands that come faster than their platform takes them wait for their turn, until their deadline.",
        "So many go in any such time:",
        "",
        "| of one | Lark | DingTalk |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(cells)} |" for cells in paces),
        "",
    ]
    return "\n".join(lines)


def _in_words(rates: list[dict[str, Any]]) -> str:
    return ", ".join(f"{rate['most']:,} in {rate['within_s']:g} s" for rate in rates)


async def received(simulator: Simulator, client: Client) -> dict[str, tuple[str, str]]:
    """Let somebody write to each bot; return message and chat by platform, once the bots have it."""
    found: dict[str, tuple[str, str]] = {}
    events = client.subscribe("document", start="all", types=["message.created"])
    await events.open()
    await simulator.inject_lark(LarkEvent(app=APPS["lark"], text="hello"))
    await simulator.inject_dingtalk(DingTalkEvent(app=APPS["dingtalk"], text="hello"))
    while len(found) < len(PLATFORMS):
        event = await anext(events)
        assert event.chat is not None
        found[event.platform] = (str(event.message_id), event.chat.id)
    return found


@pytest.mark.timeout(240)
async def test_the_document_of_commands_tells_what_works_on_each_platform(
    simulator: Simulator, longwire: Longwire
) -> None:
    url = simulator.url
    longwire.configure(
        {
            "lark": lark(url, APPS["lark"], card_respond_s=MAX_RESPOND_S),
            "dingtalk": dingtalk(url, APPS["dingtalk"], card_respond_s=MAX_RESPOND_S),
        }
    )
    await longwire.start()
    await longwire.until_online()
    await simulator.fault(LarkNoLimits(platform="lark"))  # they are not what is tried here
    supported = await longwire.client.call("get_supported")
    details = supported["details"]
    assert "message.get" in supported["methods"], "with a receipt, for every platform"
    wrote = await received(simulator, longwire.client)
    trials = {name: Trial(name, longwire.client, simulator, *wrote[name]) for name in PLATFORMS}
    table = []
    for method, kind in rows(details, supported["connectors"]):
        outcomes = [await outcome(trials[name], method, kind, details[name]) for name in PLATFORMS]
        table.append([f"`{method}`", kind, *outcomes])
    document = render(table, details)
    if os.environ.get("LONGWIRE_WRITE_DOCUMENTS"):
        DOCUMENT.write_text(document, encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == document, "run `make docs`"
