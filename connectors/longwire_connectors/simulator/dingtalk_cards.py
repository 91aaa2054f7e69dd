"""DingTalk's REST calls for interactive cards: made and shown, changed, and grown word by word."""

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import json_answer
from longwire_connectors.simulator.counters import SentMessage, keep
from longwire_connectors.simulator.dingtalk_desk import Desk, Json, read_json, refused
from longwire_connectors.simulator.dingtalk_openapi import DingTalkOpenApi
from longwire_connectors.simulator.fault_kinds import ApiName
from longwire_connectors.simulator.tickets import ExpiringTable

__all__ = ["DingTalkCards"]

MONTH_S = 30 * 86_400.0
MAX_CARDS = 1_000
"""Cards of an app whose look is kept."""
_CREATE = {"cardTemplateId", "outTrackId", "cardData", "openSpaceId"}
_STREAM = {"outTrackId", "guid", "key", "content", "isFull", "isFinalize", "isError"}


class DingTalkCards:
    """Answers under ``/v1.0/card``. What a card shows is in ``cards`` of the app's state."""

    def __init__(self, desk: Desk, messages: DingTalkOpenApi) -> None:
        self._desk = desk
        self._platform = desk.platform
        self._messages = messages
        self._owners: ExpiringTable[str] = ExpiringTable(max_entries=100_000)

    def routes(self) -> list[web.RouteDef]:
        """Return what is answered here."""
        return [
            web.post("/v1.0/card/instances/createAndDeliver", self.create),
            web.put("/v1.0/card/instances", self.change),
            web.put("/v1.0/card/streaming", self.stream),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a card and show it: it is a message of the robot. One `outTrackId` names one card."""
        body = await read_json(request)
        app = await self._desk.enter(request, call="send")
        if isinstance(app, web.Response):
            return app
        if missing := _CREATE - body.keys():
            return refused("param.error", f"missing {', '.join(sorted(missing))}")
        track, space = str(body["outTrackId"]), str(body["openSpaceId"])
        now = self._platform.clock.now()
        if self._owners.get(track, now=now) is not None:
            return refused("param.outTrackIdExist", "outTrackId exists")
        self._owners.put(track, value=app, expires_at=now + MONTH_S)
        carrier = self._messages.carrier(space)
        sent = SentMessage(at=now, via="card", message_id=track, target=space, body=body)
        keep(self._platform.state(app).messages, item=sent)
        self._show(app, track, _params(body))
        result = {"success": True, "spaceType": space.partition("//")[2].partition(".")[0]}
        results: list[Json] = [{**result, "spaceId": space.partition(".")[2], "carrierId": carrier}]
        return json_answer({"success": True, "result": {"outTrackId": track, "deliverResults": results}})

    async def change(self, request: web.Request) -> web.Response:
        """Change a card's variables; those that are not named stay, if so asked."""
        body = await read_json(request)
        app = await self._of(request, "card", body, needed={"outTrackId"})
        if isinstance(app, web.Response):
            return app
        self._desk.record(app, "card", target=str(body["outTrackId"]), body=body)
        match body.get("cardUpdateOptions"):
            case {"updateCardDataByKey": True}:
                is_added = True
            case _:
                is_added = False
        self._show(app, str(body["outTrackId"]), _params(body), is_added=is_added)
        return json_answer({"success": True, "result": True})

    async def stream(self, request: web.Request) -> web.Response:
        """Show a text as far as it is known."""
        body = await read_json(request)
        app = await self._of(request, "card_text", body, needed=_STREAM)
        if isinstance(app, web.Response):
            return app
        self._desk.record(app, "card_text", target=str(body["outTrackId"]), body=body)
        self._show(app, str(body["outTrackId"]), {str(body["key"]): str(body["content"])}, is_added=True)
        return json_answer({"success": True, "result": True})

    async def _of(
        self, request: web.Request, call: ApiName, body: Json, *, needed: set[str]
    ) -> str | web.Response:
        app = await self._desk.enter(request, call=call)
        if isinstance(app, web.Response):
            return app
        if missing := needed - body.keys():
            return refused("param.error", f"missing {', '.join(sorted(missing))}")
        owner = self._owners.get(str(body["outTrackId"]), now=self._platform.clock.now())
        return app if owner == app else refused("param.cardNotExist", "card does not exist", status=404)

    def _show(self, app: str, track: str, params: dict[str, str], *, is_added: bool = False) -> None:
        cards = self._platform.state(app).cards
        cards[track] = {**cards.get(track, {}), **params} if is_added else params
        while len(cards) > MAX_CARDS:
            del cards[next(iter(cards))]


class _CardData(msgspec.Struct, rename="camel"):
    card_param_map: dict[str, str] = {}


def _params(body: Json) -> dict[str, str]:
    try:
        return msgspec.convert(body.get("cardData", {}), _CardData).card_param_map
    except msgspec.ValidationError:
        return {}
