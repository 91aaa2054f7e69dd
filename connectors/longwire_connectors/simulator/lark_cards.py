"""Lark's card entities, as far as texts are streamed into them (documents cardkit-v1)."""

import secrets
from collections.abc import Callable
from typing import cast

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import path_part
from longwire_connectors.simulator.lark_gate import Json, LarkGate, Refusal, refuse
from longwire_connectors.simulator.lark_limits import CARD_LIMITS
from longwire_connectors.simulator.lark_store import Store, Stored, decoded

__all__ = ["LarkCards"]

OVERTAKEN = 300317
"""«sequence number compare failed» (QwenPaw#4572)."""
STREAM_CLOSED = 300309
"""«streaming mode is closed» (openhanako#2335)."""
NO_ELEMENT = 300313
"""Not established."""
NO_CARD = 300314
"""Likewise."""
MAX_SEQUENCE = 2**31 - 1


class _Card(msgspec.Struct):
    """One card; it was sent as JSON 2.0."""

    message: Stored
    is_streaming: bool
    sequence: int = 0
    seen: set[str] = msgspec.field(default_factory=set[str])
    """The ``uuid`` of what was done."""


class LarkCards:
    """Streams texts into cards that were sent as messages."""

    def __init__(self, gate: LarkGate, store: Store) -> None:
        self._gate = gate
        self._store = store
        self._ids: dict[str, str] = {}
        self._cards: dict[str, _Card] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return what this answers to."""
        card = "/open-apis/cardkit/v1/cards/{card_id}"
        return [
            web.post("/open-apis/cardkit/v1/cards/id_convert", self._convert),
            web.put(f"{card}/elements/{{element_id}}/content", self._content),
            web.patch(f"{card}/settings", self._settings),
        ]

    async def _convert(self, request: web.Request) -> web.StreamResponse:
        async def act(app: str, body: Json) -> Json:
            message = self._store.own(str(body.get("message_id", "")), app=app)
            card = decoded(message.content) or {}
            if message.kind != "interactive" or card.get("schema") != "2.0":
                raise refuse("message_id (a card of JSON 2.0)")
            card_id = self._ids.setdefault(message.message_id, str(secrets.randbelow(9 * 10**18) + 10**18))
            self._cards.setdefault(card_id, _Card(message, _is_streaming(card)))
            return {"card_id": card_id}

        return await self._gate.serve(request, call="card_id", target="", act=act)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        element_id = path_part(request, "element_id")

        def change(card: _Card, body: Json) -> None:
            if not card.is_streaming:
                raise Refusal(STREAM_CLOSED, "streaming mode is closed")
            content = decoded(card.message.content) or {}
            element = next((one for one in _elements(content) if one.get("element_id") == element_id), None)
            if element is None:
                raise Refusal(NO_ELEMENT, "element not found")
            element["content"] = body.get("content")
            card.message.content = msgspec.json.encode(content).decode()

        return await self._change(request, call="card_text", change=change)

    async def _settings(self, request: web.Request) -> web.StreamResponse:
        def change(card: _Card, body: Json) -> None:
            match decoded(body.get("settings")):
                case {"config": {"streaming_mode": bool(is_streaming)}}:
                    card.is_streaming = is_streaming
                case _:  # ignored without a word (openhanako#2335)
                    pass

        return await self._change(request, call="card_settings", change=change)

    async def _change(
        self, request: web.Request, *, call: str, change: Callable[[_Card, Json], None]
    ) -> web.StreamResponse:
        target = path_part(request, "card_id")

        async def act(app: str, body: Json) -> Json:
            card = self._cards.get(target)
            if card is None or card.message.app != app:
                raise Refusal(NO_CARD, "card not found")
            self._gate.limit(f"{app} card {target}", limits=CARD_LIMITS, app=app)
            uuid, sequence = str(body.get("uuid", "")), body.get("sequence")
            if uuid and uuid in card.seen:
                return {}
            if not isinstance(sequence, int) or not card.sequence < sequence <= MAX_SEQUENCE:
                raise Refusal(OVERTAKEN, "sequence number compare failed")
            change(card, body)
            card.sequence = sequence
            card.seen.add(uuid)
            return {}

        return await self._gate.serve(request, call=call, target=target, act=act)


def _is_streaming(card: Json) -> bool:
    match card:
        case {"config": {"streaming_mode": bool(is_streaming)}}:
            return is_streaming
        case _:
            return False


def _elements(card: Json) -> list[Json]:
    """Return the card's own elements, not copies: a text is written into one."""
    body = card.get("body")
    elements = cast("Json", body).get("elements") if isinstance(body, dict) else None
    return cast("list[Json]", elements) if isinstance(elements, list) else []
