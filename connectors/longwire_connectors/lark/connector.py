"""The Lark connector's declaration, and its ways in. Imports neither the SDK nor aiohttp."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from longwire_connectors import webcall
from longwire_connectors.base import Connector, Declaration, Host, Link
from longwire_connectors.clickbook import RESPOND
from longwire_connectors.lark import clicks, probe, sdk
from longwire_connectors.lark.api import LarkApi
from longwire_connectors.lark.commands import LarkCommands
from longwire_connectors.lark.openapi import OpenApi
from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.lark.supported import METHODS, RATES, REPEAT_WINDOW_S, SUPPORTED
from longwire_protocol.link import LinkFailure
from longwire_protocol.probing import Probe

__all__ = ["LarkConnector", "LarkOptions"]


class LarkConnector(Connector):
    """Drives Lark or Feishu for one app."""

    declaration = Declaration(
        options=LarkOptions,
        platform="lark",
        secrets=("app_secret",),
        identity="app_id",
        extra="lark",
        methods=METHODS,
        is_forkable=True,
        repeat_window_s=REPEAT_WINDOW_S,
        rates=RATES,
        supported=SUPPORTED,
        is_overlap_allowed=True,  # 50 links an app, each event to one of them (docs/platforms.md 1.4)
    )

    def __init__(self, options: LarkOptions, host: Host) -> None:
        """See `Connector`."""
        self._options = options
        self._host = host
        self._api = OpenApi(options, count=host.count)
        self._commands = LarkCommands(LarkApi(self._api), app_id=options.app_id)

    @classmethod
    def preload(cls) -> None:
        """See `Connector.preload`."""
        sdk.load()
        import_module("longwire_connectors.lark.session")
        webcall.prepare()

    @classmethod
    def probe(cls, options: LarkOptions) -> Probe:
        """See `Connector.probe`."""
        return probe.probe(options)

    def load(self) -> str:
        """Import the SDK; see `sdk.load`."""
        version = sdk.load()
        from longwire_connectors.lark import session  # noqa: PLC0415  needs the SDK

        self._serve = session.serve
        return version

    async def serve(self, link: Link) -> LinkFailure:
        """Make one attempt; see `Connector.serve`."""
        return await self._serve(self._options, host=self._host, link=link)

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        """Carry out a command; see `Connector.call`."""
        if method == RESPOND:
            return await self._host.clicks.respond(params, form=clicks.shown)
        act = self._commands.find(method)
        if act is None:
            return await super().call(method, params, key=key)
        return await act(params, key)

    async def close(self) -> None:
        """Close the connections, and forget uploads under way."""
        self._commands.close()
        await self._api.close()
