"""Changes of webhooks by command: `webhook.add`, `update` and `remove`, over what the file says.

Who asks for a tenant is that tenant as far as this knows, and tenants are hostile: their requests may not
reach where they should not, nor name what only the operator can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from longwire.changes import UNTIL, Changer, convert_wanted
from longwire.config import Overlay, Secret
from longwire.config.secrets import ENV, FILE
from longwire.config.webhooks import Webhook, references
from longwire.configuration import Configuration
from longwire.courier.target import overreach
from longwire.logger import get_logger
from longwire_protocol.errors import CommandError, ConfigError, Problem, RetCode
from longwire_protocol.messages import Request

_log = get_logger("longwire.webhooks")

_SECTION: Final = "webhooks"


class WebhookChanged(msgspec.Struct, frozen=True):
    """What a command changed, by names of webhooks."""

    webhook: str
    added: list[str]
    removed: list[str]
    changed: list[str]
    until: str | None
    """`None`: the file says the same of it."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The params of `webhook.add` and `webhook.update`."""

    webhook: str
    config: dict[str, Any] = {}
    secrets: dict[str, str | list[str]] = {}
    """`secret`: the value itself, or two of them while they are rotated."""

    def table(self) -> dict[str, Any]:
        """Return the webhook's keys, those of `secrets` as `Secret`."""
        hidden = {
            key: Secret(value) if isinstance(value, str) else [Secret(each) for each in value]
            for key, value in self.secrets.items()
        }
        return {**self.config, **hidden}

    def table_of_a_tenant(self) -> dict[str, Any]:
        """Return the same, with headers that stand for themselves: no vault is asked for what is sent."""
        table = self.table()
        headers = table.get("headers")
        if isinstance(headers, Mapping):
            given = cast("Mapping[str, object]", headers)
            table["headers"] = {
                name: Secret(value) if isinstance(value, str) else value for name, value in given.items()
            }
        return table


class WebhookChanger:
    """Carries them out, in turn with every other change of the configuration."""

    def __init__(self, changer: Changer, configuration: Configuration) -> None:
        self._changer = changer
        self._configuration = configuration

    async def add(self, request: Request) -> WebhookChanged:
        """Have one webhook more, by the params `webhook`, `config` and `secrets`.

        Raises:
            ConfigError: with every mistake found; nothing was changed.
            CommandError: there is one of that name, or the params are no such.
        """
        wanted = convert_wanted(request.params, Wanted)
        table = _table(request, wanted)
        if request.tenant is not None:
            table.setdefault("tenant", request.tenant)
        async with self._changer.turn:
            if wanted.webhook in self._configuration.config.webhooks:
                text = f"there is a webhook {wanted.webhook!r}; webhook.update changes it"
                raise CommandError(RetCode.WEBHOOK_EXISTS, text)
            overlay = self._configuration.webhooks.added(wanted.webhook, table)
            return await self._change(request, wanted.webhook, overlay)

    async def update(self, request: Request) -> WebhookChanged:
        """Lay keys over a webhook, by the same params; a key that is `None` goes. A disabled one tries again.

        Raises:
            ConfigError: with every mistake found; nothing was changed.
            CommandError: there is none of that name, or the params are no such.
        """
        wanted = convert_wanted(request.params, Wanted)
        table = _table(request, wanted)
        async with self._changer.turn:
            present = self._present(wanted.webhook, request.tenant)
            if request.tenant is not None:
                _refuse_to_carry_headers(wanted, present)
            overlay = self._configuration.webhooks.updated(wanted.webhook, table)
            return await self._change(request, wanted.webhook, overlay)

    async def remove(self, request: Request) -> WebhookChanged:
        """Have a webhook no more; its position and its dead letters are forgotten.

        Raises:
            CommandError: there is none of that name.
        """
        wanted = convert_wanted(request.params, Wanted)
        if wanted.config or wanted.secrets:
            raise CommandError(RetCode.BAD_PARAM, "webhook.remove takes nothing but `webhook`")
        async with self._changer.turn:
            self._present(wanted.webhook, request.tenant)
            overlay = self._configuration.without_webhook(wanted.webhook)
            return await self._change(request, wanted.webhook, overlay)

    async def _change(self, request: Request, name: str, overlay: Overlay) -> WebhookChanged:
        candidate = await self._configuration.changed(name, overlay)
        webhook = candidate.config.webhooks.get(name)
        if request.tenant is not None and webhook is not None:
            _refuse_overreach(name, webhook, request.tenant)
        changes = (await self._changer.adopt(candidate, enable=name)).webhooks
        _log.info(
            "webhook_configured",
            webhook=name,
            method=request.method,
            added=changes.added,
            removed=changes.removed,
            changed=changes.changed,
        )
        until = None if self._configuration.is_as_in_the_file(_SECTION, name) else UNTIL
        return WebhookChanged(name, changes.added, changes.removed, changes.changed, until)

    def _present(self, name: str, tenant: str | None) -> Webhook:
        webhook = self._configuration.config.webhooks.get(name)
        if webhook is None or tenant not in {None, webhook.tenant}:
            raise CommandError(RetCode.UNKNOWN_WEBHOOK, f"no webhook {name!r} in the configuration")
        return webhook


def _table(request: Request, wanted: Wanted) -> dict[str, Any]:
    """Return the keys; keep a tenant from having read, and sent to it, what only the operator can read."""
    if request.tenant is None:
        return wanted.table()
    if any(text.startswith((ENV, FILE)) for text in references({"": wanted.config})):
        text = "only an operator may name env: or file:; give the secret itself in `secrets`"
        raise ConfigError([Problem(f"{_SECTION}.{wanted.webhook}", text)])
    return wanted.table_of_a_tenant()


def _refuse_to_carry_headers(wanted: Wanted, present: Webhook) -> None:
    """Keep headers, which may be an operator's credentials, from going where a tenant likes."""
    if present.target.headers and "url" in wanted.config and "headers" not in wanted.config:
        text = "give `headers` with it: those that are there were meant for the present one"
        raise ConfigError([Problem(f"{_SECTION}.{wanted.webhook}.url", text)])


def _refuse_overreach(name: str, webhook: Webhook, tenant: str) -> None:
    problems = [
        Problem(f"{_SECTION}.{name}.{problem.place}", problem.message)
        for problem in overreach(webhook.target)
    ]
    if webhook.tenant != tenant:
        text = f"the request is of the tenant {tenant!r}, so the webhook must be, too"
        problems.append(Problem(f"{_SECTION}.{name}.tenant", text))
    if problems:
        raise ConfigError(problems)
