"""The connector that drives dingtalk-stream for one account."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from longwire_connectors import webcall
from longwire_connectors.base import Connector, Declaration, Host, Link
from longwire_connectors.clickbook import RESPOND
from longwire_connectors.dingtalk import clicks, probe, supported
from longwire_connectors.dingtalk.memory import Memory
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.dingtalk.webhooks import is_loopback_http
from longwire_protocol.link import LinkFailure
from longwire_protocol.probing import Probe

if TYPE_CHECKING:
    from longwire_connectors.dingtalk.commands import RobotCommands


class DingTalkConnector(Connector):
    """DingTalk, over Stream and OpenAPI. The SDK, websockets and aiohttp are imported when needed."""

    declaration: ClassVar[Declaration] = Declaration(
        options=DingTalkOptions,
        platform="dingtalk",
        secrets=("client_secret",),
        identity="client_id",
        extra="dingtalk",
        methods=supported.METHODS,
        rates=supported.RATES,
        supported=supported.SUPPORTED,
        is_forkable=True,
        # Never under 10 s apart (the law draws from [d/2, d]) and at most 23 attempts in an hour's refusal;
        # the SDK alone made 1,856 in 5 s against a server that closed at once (D3).
        backoff_initial_s=20.0,
        backoff_max_s=300.0,
        # A start, a hand-over and a restart; DingTalk dislikes more in a row. No source gives a number.
        link_burst=3,
    )

    def __init__(self, options: DingTalkOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._memory = Memory(allows_http=is_loopback_http(options.base), bot=host.bot)
        self._commands: RobotCommands | None = None

    @classmethod
    def preload(cls) -> None:
        """See `Connector.preload`."""
        _load()
        webcall.prepare()

    @classmethod
    def probe(cls, options: DingTalkOptions) -> Probe:
        """See `Connector.probe`."""
        return probe.probe(options)

    def load(self) -> str:
        """See `Connector.load`."""
        return _load()

    async def serve(self, link: Link) -> LinkFailure:
        """See `Connector.serve`."""
        from longwire_connectors.dingtalk.session import Session  # noqa: PLC0415  needs the SDK

        return await Session(self._options, self._host, link, self._memory).serve()

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        """See `Connector.call`."""
        if method == RESPOND:
            return await self._host.clicks.respond(params, form=clicks.shown)
        if method not in self.declaration.methods:
            return await super().call(method, params, key=key)
        if self._commands is None:
            # Most accounts of a quiet day send nothing, and need none of it.
            from longwire_connectors.dingtalk.commands import RobotCommands  # noqa: PLC0415

            self._commands = RobotCommands(self._options, self._memory, count=self._host.count)
        return await self._commands.call(method, params, key=key)

    async def close(self) -> None:
        """See `Connector.close`."""
        if self._commands is not None:
            await self._commands.close()


@cache
def _load() -> str:
    from longwire_connectors.dingtalk import sdk  # noqa: PLC0415  needs the SDK

    import_module("longwire_connectors.dingtalk.session")  # now, not in the first attempt
    return sdk.load()
