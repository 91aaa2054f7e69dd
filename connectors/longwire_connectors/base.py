"""What a connector is: the one class to write for a new platform.

A connector lives alone in a child process and drives one platform's SDK for one account. It makes *one*
attempt each time it is asked to `serve`, and says how that attempt ended; when to try again is decided by
the parent, so the SDK's own reconnect policy must be off. Everything around it (heartbeats, hand-over to
the journal, commands, stop, logs) is the run time's business (`longwire_connectors.runtime`).

Modules named by the entry point group `longwire.connectors` must be importable without their SDK: the
declaration is read from them, and only `load` may import it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any, ClassVar, Protocol

import msgspec

from longwire_connectors.clicks import Clicks
from longwire_protocol.declaration import Rates, Supported
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot, Event
from longwire_protocol.link import LinkFailure
from longwire_protocol.probing import Probe


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a connector that the parent must know without importing its SDK."""

    options: type[msgspec.Struct]
    """The connector's own keys of an account: a Struct with `forbid_unknown_fields`, each field described."""
    platform: str
    """`platform` of its events."""
    secrets: tuple[str, ...] = ()
    """Options that hold secrets: they may be written `env:NAME` or `file:PATH` and are never shown."""
    identity: str | None = None
    """The option that names the app on its platform; the same value twice is a configuration error."""
    extra: str | None = None
    """The extra of `longwire` that installs the SDK."""
    methods: tuple[str, ...] = ()
    """Commands that `call` knows, as `message.create`."""
    is_forkable: bool = False
    """Whether its children may be forked from a process that has done `preload`; each is a fresh one else."""
    is_overlap_allowed: bool = False
    """Whether the platform bears two links of an account for a moment, and deals each event to one of them:
    then a planned replacement is made first, and the account never goes offline for it."""
    backoff_initial_s: float = 0.1
    backoff_max_s: float = 60.0
    link_burst: int | None = None
    """New connections of one account that the platform bears in short order, whatever they are for; after
    them one each `backoff_initial_s` of the account. `None`: it does not mind, the backoff law is enough."""
    repeat_window_s: float = 0.0
    """For how long after the first time the platform tells by a command's key that it is asked for the same
    again, and has no second effect; 0 where it cannot."""
    rates: Rates = Rates()
    """What the platform publishes of its limits for commands."""
    supported: Supported = Supported()
    """What the commands take, and what the platform lacks."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the account that a connector may need."""

    account: str
    tenant: str
    platform: str
    link_timeout_s: float
    """How old socket proof may get; send a WebSocket ping every third of it."""
    is_link_timeout_explicit: bool
    """Whether the operator chose it; Lark's pong window then follows it where it is the longer."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an event that do not come from its payload."""

    id: str
    recv_time: float
    """Unix seconds of the child's clock."""
    tenant: str
    account: str
    platform: str
    bot: Bot | None
    """The account's own identity, as far as known."""


class Host(Protocol):
    """What the run time offers a connector for its whole life. Used on the child's loop only."""

    @property
    def account(self) -> Account:
        """The account this child works for."""
        ...

    @property
    def bot(self) -> Bot | None:
        """The last identity given to `identify`, also by an earlier incarnation."""
        ...

    @property
    def clicks(self) -> Clicks:
        """Clicks on cards whose acks are held for an answer."""
        ...

    def identify(self, bot: Bot) -> None:
        """Say who the bot is on its platform, as soon as it is known."""
        ...

    def stamp(self) -> Stamp:
        """Return a new event's id and place, with the present time."""
        ...

    def count(self, what: str) -> None:
        """Count something refused, dropped or malformed, under a constant name."""
        ...


class Link(Protocol):
    """What the run time offers for one attempt. Used on the child's loop only."""

    def proven(self, connection: str) -> None:
        """Say that the platform answered on the new connection; `connection` names it and is no secret."""
        ...

    def frame(self) -> None:
        """Say that a frame of the platform arrived; socket proof too."""
        ...

    def pong(self) -> None:
        """Say that the peer answered a WebSocket ping; socket proof."""
        ...

    def platform_answered(self, *, timeout_s: float) -> None:
        """Say that the platform itself answered (Lark pong), and how old that may get before it is stale."""
        ...

    def room(self) -> Awaitable[object]:
        """Wait until another event may be handed over; call it before reading the next frame."""
        ...

    def hand_over(self, event: Event, *, timeout_s: float) -> asyncio.Future[bool]:
        """Give an event to the journal; it is on its way when this returns, in the order of the calls.

        One of a sender who may not talk to the account goes no further, and counts as on disk.

        Returns:
            Whether it is on disk (or was there before). `False`: not in `timeout_s` seconds, so the
            platform must not be acknowledged and will deliver again; it may be committed later, too.
        """
        ...


class Connector(ABC):
    """Drives one platform for one account. Made after the child's loop runs, in that loop."""

    declaration: ClassVar[Declaration]

    @abstractmethod
    def __init__(self, options: Any, host: Host) -> None:
        """Keep what is given; do no work yet.

        Args:
            options: an instance of `declaration.options`, its secrets resolved.
            host: the run time.
        """

    @classmethod
    def preload(cls) -> None:
        """Import what `load` and connecting need, once, in a process that children are then forked from.

        It has no loop. No thread, descriptor or loop may be left behind: every child would share it.

        Raises:
            ImportError: the SDK is not installed.
        """
        return

    @classmethod
    def probe(cls, options: Any) -> Probe:
        """Try the account's credentials on the platform without taking a connection.

        Called on a thread of a short-lived process, beside others; may block, and ends by itself within some
        seconds. The answer's texts hold no secret.

        Args:
            options: as for `__init__`.
        """
        del options
        return Probe(was_tried=False)

    @abstractmethod
    def load(self) -> str:
        """Import the SDK and prepare it; called once, before the first heartbeat.

        Returns:
            Its name and version, for people.

        Raises:
            ImportError: it is not installed; the account is parked with the command that mends it.
        """

    @abstractmethod
    async def serve(self, link: Link) -> LinkFailure:
        """Make one attempt to connect and serve the connection until it ends.

        Cancelled when the link is to be closed: close the socket with a proper close frame, within about
        a second, and let the cancellation through. Nothing of the attempt may be left when this is over.
        The loop must go on turning throughout: what blocks runs in a thread, with a timeout.

        Returns:
            Why there is no link any more.
        """

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        """Do something on the platform and return its data; cancelled when the deadline is over.

        Args:
            method: one of `declaration.methods`.
            params: as the client gave them.
            key: the same each time that this is asked for again; to be handed to a platform that can tell
                repetitions by it (`repeat_window_s`). At most 50 characters.

        Raises:
            CommandError: refused, by us or by the platform.
        """
        del params, key
        raise CommandError(RetCode.UNKNOWN_METHOD, f"this connector does not know {method!r}")

    async def close(self) -> None:
        """Release what outlives a connection, as HTTP sessions; called once, at the end."""
        return
