"""A connector without a platform, for tests and benchmarks: makes events at a set rate and answers commands.

Its link is proven as long as its loop turns. `message.create` answers at once; with `echo` what was sent
comes back as an event of the chat's other side.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
from collections import deque
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from longwire_connectors.base import Connector, Declaration, Host, Link, Stamp
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot, Chat, Event, Segment, Sender
from longwire_protocol.link import LinkFailure

STORED_WITHIN_S = 60.0
"""After this an event is counted as late; nobody waits for an answer here, so only a stuck journal is."""
MAX_LAG_S = 0.1
"""How far production may catch up after it was held up; what is beyond stays unmade, so the rate holds."""
EVENTS_PER_TURN = 256
"""After so many the loop gets a turn even if nothing has to be waited for."""
PROOFS_PER_TIMEOUT = 3
BOT = Bot(id="loopback-bot", name="Loopback")
PEER = Sender(id="loopback-peer", name="Peer", is_bot=False)

Rate = Annotated[float, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=8 * 1024 * 1024)]


class LoopbackOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator gives for `connector = "loopback"`."""

    rate_per_s: Rate = 0.0
    """Events per second; 0 (the default) makes none, `inf` as many as are stored."""
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How many events to make in the life of the process; none (the default) means without end."""
    size_bytes: Size = 16
    """Length of each event's text; the event's number stands in it even if it is longer."""
    chats: AtLeastOne = 1
    """Over how many chats the events are dealt out in turn."""
    ids: Literal["random", "sequential"] = "random"
    """How message ids look, which decides what the journal's dedup index costs: platforms' own are random."""
    echo: bool = False
    """Whether a message that is sent comes back as an event."""

    def __post_init__(self) -> None:
        if math.isnan(self.rate_per_s):
            raise ValueError("rate_per_s must be a number")


class LoopbackConnector(Connector):
    """Produces events and answers commands without leaving the process."""

    declaration: ClassVar[Declaration] = Declaration(
        options=LoopbackOptions,
        platform="loopback",
        methods=("message.create",),
        is_forkable=True,
        is_overlap_allowed=True,
    )

    def __init__(self, options: LoopbackOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._made = 0
        self._links = itertools.count(1)
        self._link: Link | None = None
        self._epoch = ""
        """Makes sequential ids unique: they grow over restarts, too."""

    def load(self) -> str:
        """See `Connector.load`."""
        return "loopback"

    async def serve(self, link: Link) -> LinkFailure:
        """See `Connector.serve`; never ends by itself."""
        self._host.identify(BOT)
        self._epoch = self._epoch or f"{int(self._host.stamp().recv_time * 1e6):x}"
        interval_s = self._host.account.link_timeout_s / PROOFS_PER_TIMEOUT
        link.proven(f"loopback-{next(self._links)}")
        self._link = link
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._options.rate_per_s:
                    tasks.create_task(self._produce(link), name="loopback producer")
                while True:
                    link.pong()
                    await asyncio.sleep(interval_s)
        finally:
            self._link = None

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        """See `Connector.call`; knows `message.create`."""
        if method not in self.declaration.methods:
            return await super().call(method, params, key=key)
        chat, text = _read_chat(params), _read_text(params)
        stamp = self._host.stamp()
        if self._options.echo:
            if self._link is None:
                raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, "there is no link to echo on", retryable=True)
            reply_to = params.get("reply_to")
            event = _event(stamp, chat=chat, text=text, message_id=stamp.id)
            event.reply_to = reply_to if isinstance(reply_to, str) else None
            await self._link.hand_over(event, timeout_s=STORED_WITHIN_S)
        return {"message_id": stamp.id}

    async def _produce(self, link: Link) -> None:
        """Make and hand over events until there are enough."""
        pace = _Pace(self._options.rate_per_s)
        under_way: deque[asyncio.Future[bool]] = deque()
        count = sys.maxsize if self._options.count is None else self._options.count
        while self._made < count:
            for _ in range(min(await pace.due(), count - self._made)):
                await link.room()
                self._made += 1
                under_way.append(link.hand_over(self._next_event(), timeout_s=STORED_WITHIN_S))
            while under_way and under_way[0].done():
                self._judge(is_stored=under_way.popleft().result())
        for stored in under_way:
            self._judge(is_stored=await stored)

    def _judge(self, *, is_stored: bool) -> None:
        if not is_stored:
            self._host.count("not_stored_in_time")

    def _next_event(self) -> Event:
        options, number, stamp = self._options, self._made, self._host.stamp()
        return _event(
            stamp,
            chat=f"loopback-{number % options.chats}",
            text=str(number).ljust(options.size_bytes, "."),
            message_id=stamp.id if options.ids == "random" else f"{self._epoch}-{number:012d}",
            number=number,
        )


class _Pace:
    """How many events of a link are due; with `inf` a second always as many as one turn may make."""

    def __init__(self, rate_per_s: float) -> None:
        self._gap_s = 1 / rate_per_s
        self._loop = asyncio.get_running_loop()
        self._due_at = self._loop.time()

    async def due(self) -> int:
        """Wait until at least one event is due, if only for a turn of the loop, and return how many are."""
        await asyncio.sleep(self._due_at - self._loop.time())
        if not self._gap_s:
            return EVENTS_PER_TURN
        now = self._loop.time()
        self._due_at = max(self._due_at, now - MAX_LAG_S)
        due = min(int((now - self._due_at) / self._gap_s) + 1, EVENTS_PER_TURN)
        self._due_at += due * self._gap_s
        return due


def _event(stamp: Stamp, *, chat: str, text: str, message_id: str, number: int | None = None) -> Event:
    return Event(
        id=stamp.id,
        type="message.created",
        time=stamp.recv_time,
        recv_time=stamp.recv_time,
        tenant=stamp.tenant,
        account=stamp.account,
        platform=stamp.platform,
        bot=stamp.bot,
        chat=Chat(id=chat, type="private"),
        sender=PEER,
        message_id=message_id,
        text=text,
        to_me=True,
        segments=[Segment("text", {"text": text})],
        raw={"number": number},
        dedup_key=f"m:{message_id}",
    )


def _read_chat(params: dict[str, Any]) -> str:
    match params.get("chat", params.get("user")):
        case str(chat) | {"id": str(chat)} if chat:
            return chat
        case _:
            raise CommandError(RetCode.BAD_PARAM, "`chat` or `user` must say where the message goes")


def _read_text(params: dict[str, Any]) -> str:
    match params:
        case {"text": str(text)} if text:
            return text
        case {"segments": [*segments]}:
            return "".join(_text_of(segment) for segment in segments)
        case _:
            raise CommandError(RetCode.BAD_PARAM, "`text` or `segments` must hold the message")


def _text_of(segment: Any) -> str:
    match segment:
        case {"type": "text", "data": {"text": str(text)}}:
            return text
        case _:
            raise CommandError(RetCode.BAD_PARAM, "loopback knows only segments of text")
