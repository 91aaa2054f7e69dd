"""Carries out the commands on Lark: one method each, by name."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from longwire_connectors.lark import calls, refusals
from longwire_connectors.lark.api import Api, unreadable
from longwire_connectors.lark.cards import Cards
from longwire_connectors.lark.fetched import read_message
from longwire_connectors.lark.outgoing import Request, message_request
from longwire_connectors.lark.transfers import Transfers
from longwire_protocol.errors import CommandError

_MAX_PAGES: Final = 40
"""Of 50 reactions each. Lark's clients show one emoji of some hundred people at most."""

Given = dict[str, Any]
Act = Callable[[Given, str | None], Awaitable[Any]]


class LarkCommands:
    """Everything one app does on the platform when it is told to.

    Args:
        api: calls the platform.
        app_id: by which reactions of our own are known.
    """

    def __init__(self, api: Api, *, app_id: str) -> None:
        self._api = api
        self._app_id = app_id
        self._cards = Cards(api)
        self._transfers = Transfers(api)
        self._acts: dict[str, Act] = {
            "message.create": self._create,
            "message.update": self._update,
            "message.delete": self._delete,
            "message.get": self._get,
            "reaction.create": self._react,
            "reaction.delete": self._unreact,
            "card.update": self._card,
            "media.upload": self._upload,
            "media.download": self._download,
            "platform.call": self._platform,
        }

    def find(self, method: str) -> Act | None:
        """Return what carries out a command; `None` for one that is not known."""
        return self._acts.get(method)

    def close(self) -> None:
        """Let go of what waits for its next part."""
        self._transfers.close()

    async def _create(self, given: Given, key: str | None) -> Any:
        request = message_request(given)
        # The platform drops repeats for an hour, so a second try of ours is safe, and one with the same key.
        body = {**(request.body or {}), "uuid": key or str(uuid.uuid4())}
        answer = await self._api.ask(msgspec.structs.replace(request, body=body))
        return {"message_id": _text(answer, "message_id")}

    async def _update(self, given: Given, _: str | None) -> Any:
        await self._api.ask(calls.update(given))
        return {"message_id": given["message_id"]}

    async def _delete(self, given: Given, _: str | None) -> Any:
        await self._unless(calls.delete(given), code=refusals.RECALLED)
        return {"message_id": given["message_id"]}

    async def _get(self, given: Given, _: str | None) -> Any:
        answer = await self._api.ask(calls.get(given))
        message = read_message(answer.get("data") or {})
        if message is None:
            raise unreadable("message")
        return message

    async def _react(self, given: Given, _: str | None) -> Any:
        answer = await self._api.ask(calls.add_reaction(given))
        return {"reaction_id": _text(answer, "reaction_id")}

    async def _unreact(self, given: Given, _: str | None) -> Any:
        message_id, emoji, reaction_id = calls.read_unreaction(given)
        found = reaction_id or await self._own_reaction(message_id, emoji=emoji or "")
        if found is None:  # gone already, as after a first try whose answer was lost
            return {}
        await self._unless(calls.remove_reaction(message_id, found), code=refusals.NO_REACTION)
        return {"reaction_id": found}

    async def _own_reaction(self, message_id: str, *, emoji: str) -> str | None:
        page_token: str | None = None
        for _ in range(_MAX_PAGES):
            answer = await self._api.ask(calls.list_reactions(message_id, emoji=emoji, page_token=page_token))
            page: Any = answer.get("data") or {}
            for item in page.get("items") or ():
                match item:
                    case {"operator": {"operator_id": self._app_id}, "reaction_id": str(found)}:
                        return found
                    case _:
                        continue
            page_token = page.get("page_token")
            if not (page.get("has_more") and page_token):
                break
        return None

    async def _card(self, given: Given, key: str | None) -> Any:
        asked = calls.update_card(given)
        if isinstance(asked, Request):
            await self._api.ask(asked)
            return {"message_id": given["message_id"]}
        return await self._cards.write(asked, key=key)

    async def _upload(self, given: Given, _: str | None) -> Any:
        return await self._transfers.upload(given)

    async def _download(self, given: Given, _: str | None) -> Any:
        return await self._transfers.download(given)

    async def _platform(self, given: Given, _: str | None) -> Any:
        return await self._api.ask(calls.platform(given))

    async def _unless(self, request: Request, *, code: int) -> None:
        """Ask; a refusal with this code says that it was done before."""
        try:
            await self._api.ask(request)
        except CommandError as error:
            if refusals.code_of(error) != code:
                raise


def _text(answer: Given, name: str) -> str:
    match answer:
        case {"data": {**data}} if isinstance(data.get(name), str):
            return str(data[name])
        case _:
            raise unreadable(name)
