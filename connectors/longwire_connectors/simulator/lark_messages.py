"""Lark's REST calls on messages that are there, and on reactions to them.

Documents: im-v1/message (update, patch, delete, get) and im-v1/message-reaction.
"""

import secrets

from aiohttp import web

from longwire_connectors.simulator.answers import path_part
from longwire_connectors.simulator.lark_gate import Json, LarkGate, Refusal, refuse
from longwire_connectors.simulator.lark_store import Store, Stored, decoded

__all__ = ["LarkMessages"]

MAX_EDITS = 20
EDITED_TOO_OFTEN = 230072
NOT_YOURS = 231007
NO_REACTION = 231011
PAGE = 50


class LarkMessages:
    """Edits, recalls, looks up; reacts."""

    def __init__(self, gate: LarkGate, store: Store) -> None:
        self._gate = gate
        self._store = store
        self._reactions: dict[str, dict[tuple[str, str], str]] = {}
        """By message: reaction id by app and emoji."""

    def routes(self) -> list[web.RouteDef]:
        """Return what this answers to."""
        message = "/open-apis/im/v1/messages/{message_id}"
        return [
            web.put(message, self._update),
            web.patch(message, self._patch),
            web.delete(message, self._delete),
            web.get(message, self._get),
            web.post(f"{message}/reactions", self._react),
            web.get(f"{message}/reactions", self._list),
            web.delete(f"{message}/reactions/{{reaction_id}}", self._unreact),
        ]

    async def _update(self, request: web.Request) -> web.StreamResponse:
        target = path_part(request, "message_id")

        async def act(app: str, body: Json) -> Json:
            message = self._store.own(target, app=app)
            if message.kind not in ("text", "post") or body.get("msg_type") not in ("text", "post"):
                raise refuse("msg_type (text and post can be edited)")
            if message.edits >= MAX_EDITS:
                raise Refusal(EDITED_TOO_OFTEN, "The message has been edited too often.")
            self._edit(message, body)
            return message.item()

        return await self._gate.serve(request, call="update", target=target, act=act)

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        target = path_part(request, "message_id")

        async def act(app: str, body: Json) -> Json:
            message = self._store.own(target, app=app)
            if message.kind != "interactive":
                raise refuse("message_id (a card can be patched)")
            self._gate.limit_chat(target, app=app)
            self._edit(message, {**body, "msg_type": "interactive"})
            return {}

        return await self._gate.serve(request, call="patch", target=target, act=act)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        target = path_part(request, "message_id")

        async def act(app: str, _: Json) -> Json:
            self._store.own(target, app=app).is_recalled = True
            return {}

        return await self._gate.serve(request, call="delete", target=target, act=act)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        target = path_part(request, "message_id")

        async def act(_: str, __: Json) -> Json:
            message = self._store.find(target)
            return {"items": [(message or self._store.there(target)).item()]}

        return await self._gate.serve(request, call="get", target=target, act=act)

    async def _react(self, request: web.Request) -> web.StreamResponse:
        target = path_part(request, "message_id")

        async def act(app: str, body: Json) -> Json:
            self._store.there(target)
            match body:
                case {"reaction_type": {"emoji_type": str(emoji)}} if emoji:
                    given = self._reactions.setdefault(target, {})
                    return self._told(given.setdefault((app, emoji), secrets.token_urlsafe(24)), app, emoji)
                case _:
                    raise refuse("reaction_type")

        return await self._gate.serve(request, call="react", target=target, act=act)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        target = path_part(request, "message_id")
        emoji, first = request.query.get("reaction_type"), int(request.query.get("page_token", "0"))
        size = int(request.query.get("page_size", str(PAGE)))

        async def act(_: str, __: Json) -> Json:
            self._store.there(target)
            found = [
                self._told(reaction, app, kind)
                for (app, kind), reaction in self._reactions.get(target, {}).items()
                if emoji in (None, kind)
            ]
            has_more = len(found) > first + size
            more: Json = {"page_token": str(first + size)} if has_more else {}
            return {"items": found[first : first + size], "has_more": has_more, **more}

        return await self._gate.serve(request, call="reactions", target=target, act=act)

    async def _unreact(self, request: web.Request) -> web.StreamResponse:
        target, reaction_id = path_part(request, "message_id"), path_part(request, "reaction_id")

        async def act(app: str, _: Json) -> Json:
            given = self._reactions.get(target, {})
            found = next((key for key, reaction in given.items() if reaction == reaction_id), None)
            if found is None:
                raise Refusal(NO_REACTION, "The request has an invalid reaction_id.")
            if found[0] != app:
                raise Refusal(NOT_YOURS, "The operator has no permission to delete this reaction.")
            del given[found]
            return self._told(reaction_id, *found)

        return await self._gate.serve(request, call="unreact", target=target, act=act)

    def _edit(self, message: Stored, body: Json) -> None:
        content = body.get("content")
        if decoded(content) is None:
            raise refuse("content (a JSON text)")
        message.kind, message.content = str(body["msg_type"]), str(content)
        message.updated = str(int(self._gate.platform.clock.now() * 1000))
        message.edits += 1

    def _told(self, reaction_id: str, app: str, emoji: str) -> Json:
        return {
            "reaction_id": reaction_id,
            "operator": {"operator_id": app, "operator_type": "app"},
            "action_time": str(int(self._gate.platform.clock.now() * 1000)),
            "reaction_type": {"emoji_type": emoji},
        }
