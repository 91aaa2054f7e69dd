"""Carries out `message.create`: by the chat's session webhook while there is one, else by OpenAPI."""

from __future__ import annotations

import asyncio
from typing import Any

from longwire_connectors.dingtalk.openapi import OpenApi
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.dingtalk.outgoing import openapi_body, read_message, target_of, webhook_body
from longwire_connectors.dingtalk.webhooks import Webhooks


class Sending:
    """The sending half of one account. Made in the loop; `close` it at the end."""

    def __init__(self, options: DingTalkOptions, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._client_id = options.client_id
        self._api = OpenApi(
            base=options.base, client_id=options.client_id, client_secret=options.client_secret
        )

    async def create(self, params: dict[str, Any], *, robot_code: str | None) -> dict[str, Any]:
        """Send a message and return `{"message_id"}`; a webhook answers no id, so then it is absent.

        Args:
            params: as of `message.create`.
            robot_code: the robot's code, if a message has told it; it is the client id for most apps.

        Raises:
            CommandError: refused, by us or by DingTalk.
        """
        message = read_message(params)
        now = asyncio.get_running_loop().time()
        webhook = message.chat and self._webhooks.find(message.chat, user=message.user, now=now)
        if webhook:
            await self._api.post_webhook(webhook, webhook_body(message))
            return {}
        target = target_of(message, partner=message.chat and self._webhooks.partner(message.chat))
        body = openapi_body(message, target, robot_code=robot_code or self._client_id)
        key = await self._api.send(target, body)
        return {} if key is None else {"message_id": key}

    async def close(self) -> None:
        """Release the HTTP session."""
        await self._api.close()
