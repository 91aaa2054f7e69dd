"""Who the bot is: asked of the platform in the background, never waited for.

Through `requests`, which the SDK has imported anyway, on a thread: `aiohttp` would cost each child 6 MB for
this one question, also those that never send.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import msgspec

from longwire_connectors.base import Host
from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.threads import in_thread
from longwire_protocol.event import Bot

TIMEOUTS_S = (3.0, 10.0)
"""To connect, and between two bytes of the answer."""
WHOLE_TIMEOUT_S = 30.0
"""For both calls; nobody waits for it."""
PAUSES_S = (0.0, 60.0, 600.0, 3600.0)
"""Before each try. The first is at once, since mentions are not recognised before; the others are rare,
because a platform without this call (a proxy that blocks it) will not grow one soon."""
KNOWN_PAUSE_S = 30.0
"""Before the first try where an earlier incarnation told who the bot is: at most its name is new, so it need
not add to the rush of a start."""

_log = logging.getLogger(__name__)


class Answer(Protocol):
    """The part of a `requests` response that is needed here."""

    @property
    def content(self) -> bytes:
        """The body."""
        ...


Send = Callable[..., Answer]


class _Token(msgspec.Struct):
    tenant_access_token: str


class _Bot(msgspec.Struct):
    open_id: str
    app_name: str | None = None


class _Info(msgspec.Struct):
    bot: _Bot


async def tell_identity(options: LarkOptions, *, host: Host) -> None:
    """Ask who the bot is until it is known or not worth asking; tell the host. Raises nothing."""
    import requests  # noqa: PLC0415  imported by the SDK, which this module must not need

    ask = partial(ask_identity, options, send=requests.request)
    for number, pause_s in enumerate(PAUSES_S):
        await asyncio.sleep(KNOWN_PAUSE_S if number == 0 and host.bot is not None else pause_s)
        try:
            bot = await in_thread(ask, name="lark identity", timeout_s=WHOLE_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  best effort: the link is as good without it
            _log.info("identity_unknown", extra={"error": type(error).__name__})
        else:
            host.identify(bot)
            return


def ask_identity(options: LarkOptions, *, send: Send) -> Bot:
    """Return who the bot is; blocks.

    Raises:
        OSError: the network's errors, as `requests` raises them.
        msgspec.MsgspecError: the platform answered something else, as its refusals are.
    """
    credentials = {"app_id": options.app_id, "app_secret": options.app_secret}
    call = partial(_call, send, options.base)
    token = call("POST", "/auth/v3/tenant_access_token/internal", _Token, json=credentials)
    headers = {"Authorization": f"Bearer {token.tenant_access_token}"}
    bot = call("GET", "/bot/v3/info", _Info, headers=headers).bot
    return Bot(id=bot.open_id, name=bot.app_name or None)


def _call(send: Send, base: str, method: str, path: str, kind: type[Any], **more: Any) -> Any:
    answer = send(method, f"{base}/open-apis{path}", timeout=TIMEOUTS_S, allow_redirects=False, **more)
    return msgspec.json.decode(answer.content, type=kind)
