"""Who the bot is: asked of the platform in the background; the link does not wait for it.

Events do, for a moment, where nobody knows it yet: a mention in the first of them is recognised, too.

By a blocking call on a thread: `aiohttp` would cost each child 6 MB for this one question, also those that
never send.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import msgspec

from longwire_connectors import webcall
from longwire_connectors.base import Host
from longwire_connectors.lark.options import LarkOptions
from longwire_protocol.event import Bot
from longwire_protocol.threads import in_thread

WHOLE_TIMEOUT_S = 30.0
"""For both calls; nobody waits for it."""
PAUSES_S = (0.0, 60.0, 600.0, 3600.0)
"""Before each try. The first is at once, since mentions are not recognised before; the others are rare,
because a platform without this call (a proxy that blocks it) will not grow one soon."""
KNOWN_PAUSE_S = 30.0
"""Before the first try where an earlier incarnation told who the bot is: at most its name is new, so it need
not add to the rush of a start."""

HOLD_S = 1.5
"""How long events are held for the first answer. Half of the 3 s in which Lark wants its ack; two calls take
some 0.1 s, and a platform that hangs or refuses must not cost more than a delay."""

_log = logging.getLogger(__name__)

Call = Callable[..., webcall.Reply]


class _Token(msgspec.Struct):
    tenant_access_token: str


class _Bot(msgspec.Struct):
    open_id: str
    app_name: str | None = None


class _Info(msgspec.Struct):
    bot: _Bot


async def introduce(options: LarkOptions, *, host: Host, done: asyncio.Event) -> None:
    """Ask who the bot is until it is known or not worth asking; tell the host. Raises nothing.

    `done` is set as soon as no event needs to wait for it any more.
    """
    alarm = asyncio.get_running_loop().call_later(HOLD_S, done.set)
    try:
        await _tell_identity(options, host=host, tried=done.set)
    finally:
        alarm.cancel()
        done.set()


async def _tell_identity(options: LarkOptions, *, host: Host, tried: Callable[[], None]) -> None:
    ask = partial(ask_identity, options)
    for number, pause_s in enumerate(PAUSES_S):
        await asyncio.sleep(KNOWN_PAUSE_S if number == 0 and host.bot is not None else pause_s)
        try:
            bot = await in_thread(ask, name="lark identity", timeout_s=WHOLE_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  best effort: the link is as good without it
            _log.info("identity_unknown", extra={"error": type(error).__name__})
        else:
            host.identify(bot)
            return
        finally:
            tried()


def ask_identity(options: LarkOptions, *, call: Call = webcall.call) -> Bot:
    """Return who the bot is; blocks.

    Raises:
        OSError: the network's errors.
        msgspec.MsgspecError: the platform answered something else, as its refusals are.
    """
    credentials = {"app_id": options.app_id, "app_secret": options.app_secret}
    url = f"{options.base}/open-apis/auth/v3/tenant_access_token/internal"
    reply = call("POST", url, json=credentials)
    token = msgspec.json.decode(reply.body, type=_Token).tenant_access_token
    reply = call("GET", f"{options.base}/open-apis/bot/v3/info", headers={"Authorization": f"Bearer {token}"})
    bot = msgspec.json.decode(reply.body, type=_Info).bot
    return Bot(id=bot.open_id, name=bot.app_name or None)
