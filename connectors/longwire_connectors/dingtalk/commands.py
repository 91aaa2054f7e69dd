"""Carries out the commands of one account: what they mean is in `bodies`, `cards` and `calls`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from longwire_connectors.dingtalk import calls, cards
from longwire_connectors.dingtalk.bodies import Content, Message, content_of
from longwire_connectors.dingtalk.calls import OfMessage, Reaction
from longwire_connectors.dingtalk.cards import NewCard, Streamed
from longwire_connectors.dingtalk.errors import is_session_over
from longwire_connectors.dingtalk.memory import Memory
from longwire_connectors.dingtalk.openapi import OpenApi
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.dingtalk.outcomes import card_carrier, check_recalled, check_receiver
from longwire_connectors.dingtalk.params import (
    Json,
    Place,
    Placed,
    Target,
    bad,
    place_of,
    read,
    require,
    target_of,
)
from longwire_connectors.dingtalk.recent import Recent
from longwire_connectors.dingtalk.transfers import Transfers
from longwire_connectors.dingtalk.typist import Typist
from longwire_connectors.http import nobody
from longwire_protocol.errors import CommandError

Carry = Callable[[Json, str | None], Awaitable[Any]]


class _Sent(msgspec.Struct, frozen=True):
    """A message of the robot."""

    target: Target
    key: str
    """By which it is recalled."""


class RobotCommands:
    """The commands of one account. Used on one loop; `close` it at the end."""

    def __init__(
        self, options: DingTalkOptions, memory: Memory, *, count: Callable[[str], None] = nobody
    ) -> None:
        self._memory = memory
        self._client_id = options.client_id
        self._api = OpenApi(
            base=options.base,
            client_id=options.client_id,
            client_secret=options.client_secret,
            count=count,
        )
        self._typist = Typist(self._api)
        self._transfers = Transfers(self._api, allows_http=memory.allows_http)
        self._sent: Recent[_Sent] = Recent()
        self._methods: dict[str, Carry] = {
            "message.create": self._create,
            "message.delete": self._delete,
            "message.get": self._get,
            "reaction.create": self._add_reaction,
            "reaction.delete": self._remove_reaction,
            "card.update": self._update_card,
            "media.upload": self._upload,
            "media.download": self._download,
            "platform.call": self._platform,
        }

    async def call(self, method: str, params: Json, *, key: str | None) -> Any:
        """Carry out one of the declared methods; see `Connector.call`."""
        return await self._methods[method](params, key)

    async def close(self) -> None:
        """Release what is open."""
        self._transfers.close()
        await self._api.close()

    @property
    def _robot(self) -> str:
        """The robot's code, if a message has told it; it is the client id for most apps."""
        bot = self._memory.bot
        return (bot.code if bot else None) or self._client_id

    async def _create(self, params: Json, key: str | None) -> Json:
        """Send a message and return `{message_id}`; a webhook answers no id, so then it is absent."""
        message = read(params, Message)
        content, place = content_of(message), place_of(message)
        if isinstance(content, NewCard):
            return await self._deliver(content, self._target(place), track=key or uuid.uuid4().hex)
        if await self._by_webhook(content, place):
            return {}
        target = self._target(place)
        answer = await self._api.call(calls.send(target, content.encoded, robot_code=self._robot))
        check_receiver(answer, target)
        return self._remembered(answer.get("processQueryKey"), target)

    async def _by_webhook(self, content: Content, place: Place) -> bool:
        """Send by the chat's session webhook, if one carries it; return whether that was done."""
        if content.webhook is None or place.chat is None:
            return False
        webhook = self._memory.webhooks.find(place.chat, user=place.user, now=_now())
        if webhook is None:
            return False
        try:
            await self._api.post_webhook(webhook, content.webhook)
        except CommandError as error:
            if not is_session_over(error):
                raise
            self._memory.webhooks.forget(webhook)
            return False
        return True

    async def _deliver(self, card: NewCard, target: Target, *, track: str) -> Json:
        request = cards.deliver(card, target, track=track, robot_code=self._robot)
        carrier = card_carrier(await self._api.call(request))
        self._sent.put(track, _Sent(target, carrier or track))
        return {"message_id": track}

    def _remembered(self, message_id: Any, target: Target) -> Json:
        if not isinstance(message_id, str) or not message_id:
            return {}
        self._sent.put(message_id, _Sent(target, message_id))
        return {"message_id": message_id}

    async def _delete(self, params: Json, _key: str | None) -> Json:
        wanted = read(params, OfMessage)
        sent = self._of_ours(wanted)
        answer = await self._api.call(calls.recall(sent.key, sent.target, robot_code=self._robot))
        check_recalled(answer, sent.key)
        return {"message_id": wanted.message_id}

    async def _get(self, params: Json, _key: str | None) -> Json:
        wanted = read(params, OfMessage)
        sent = self._of_ours(wanted)
        answer = await self._api.call(calls.status(sent.key, sent.target, robot_code=self._robot))
        return calls.read_status(wanted.message_id, answer)

    async def _add_reaction(self, params: Json, _key: str | None) -> Json:
        return await self._react(read(params, Reaction), is_added=True)

    async def _remove_reaction(self, params: Json, _key: str | None) -> Json:
        return await self._react(read(params, Reaction), is_added=False)

    async def _react(self, params: Reaction, *, is_added: bool) -> Json:
        chat = place_of(params).chat or self._memory.chats.get(params.message_id)
        if chat is None:
            raise bad("`chat` must be given: this process did not receive that message")
        await self._api.call(calls.react(params, chat, robot_code=self._robot, is_added=is_added))
        return {}

    async def _update_card(self, params: Json, _key: str | None) -> Json:
        """Change a card; return `{message_id}`, or for a text `{shown}`: whether it was, or a newer one."""
        update = cards.read_update(params)
        if isinstance(update, Streamed):
            return {"shown": await self._typist.show(update)}
        await self._api.call(update)
        return {"message_id": params["message_id"]}

    async def _upload(self, params: Json, _key: str | None) -> Json:
        return await self._transfers.upload(params)

    async def _download(self, params: Json, _key: str | None) -> Json:
        return await self._transfers.download(params, robot_code=self._robot)

    async def _platform(self, params: Json, _key: str | None) -> Json:
        return await self._api.call(calls.platform(params))

    def _target(self, place: Place) -> Target:
        return target_of(place, partner=self._memory.webhooks.partner(place.chat) if place.chat else None)

    def _of_ours(self, params: OfMessage) -> _Sent:
        """Return a message of the robot: where it is by the parameters, else as it was sent."""
        message_id = require(params.message_id, "message_id")
        sent = self._sent.get(message_id)
        if params.chat is None and params.user is None and sent is not None:
            return sent
        return _Sent(self._target(_place(params)), sent.key if sent else message_id)


def _place(params: Placed) -> Place:
    place = place_of(params)
    if place.chat is None and place.user is None:
        raise bad("`chat` or `user` must be given: the message was sent before the connector started")
    return place


def _now() -> float:
    return asyncio.get_running_loop().time()
