"""`webhook.*`: what clients ask about webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from longwire.configuration import Configuration
from longwire.webhooks.changes import WebhookChanger
from longwire.webhooks.status import CourierStatus, TargetStatus
from longwire.webhooks.webhooks import Webhooks
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Request


class WebhookCommands:
    """Carries them out; `webhooks` is asked anew each time, as there are none before the supervisor is up."""

    def __init__(
        self, changer: WebhookChanger, webhooks: Callable[[], Webhooks], configuration: Configuration
    ) -> None:
        self.changer = changer
        self._webhooks = webhooks
        self._configuration = configuration

    def courier(self) -> CourierStatus | None:
        """Return how the process is that posts; `None` as long as there was never one."""
        return self._webhooks().courier()

    def status(self) -> list[TargetStatus]:
        """Return how all of them are."""
        return self._webhooks().status(self._configuration.webhooks.hows())

    def list(self, request: Request) -> list[TargetStatus]:
        """Return how those of a tenant are, or all."""
        return [each for each in self.status() if request.tenant in {None, each.tenant}]

    async def test(self, request: Request) -> dict[str, Any]:
        """Post a made-up event.

        Raises:
            CommandError: there is no such webhook, or nothing can be posted now.
        """
        name = request.params.get("webhook")
        if not isinstance(name, str):
            raise CommandError(RetCode.BAD_PARAM, "webhook: the name of a webhook is needed")
        webhook = self._webhooks().present.get(name)
        if webhook is None or request.tenant not in {None, webhook.tenant}:
            raise CommandError(RetCode.UNKNOWN_WEBHOOK, f"no webhook {name!r}")
        return await self._webhooks().test(name)
