"""One attempt of a connector: what was proven on it, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from longwire_connectors.handover import HandOverWindow
from longwire_connectors.senders import Senders
from longwire_protocol.event import Event, Sender
from longwire_protocol.frames import FromChild, Heartbeat, LinkUp
from longwire_protocol.link import LinkState

_log = logging.getLogger("longwire.child")


class Attempt:
    """The `Link` of one attempt; records proofs for the heartbeats. Useless once `end` was called.

    Args:
        tell: sends a control frame to the parent.
        window: where events go.
        senders: whose events go there.
        count: counts what is refused, by name.
    """

    def __init__(
        self,
        tell: Callable[[FromChild], None],
        window: HandOverWindow,
        *,
        senders: Senders,
        count: Callable[[str], None],
    ) -> None:
        self._tell = tell
        self._window = window
        self._senders = senders
        self._count = count
        self._now = asyncio.get_running_loop().time
        self._is_over = False
        self.state = LinkState.CONNECTING
        self.socket_proof_at: float | None = None
        self.platform_proof_at: float | None = None
        self.platform_timeout_s: float | None = None
        self.frame_at: float | None = None
        self.event_at: float | None = None

    def end(self) -> None:
        """Nothing said from now on counts: the link is over."""
        self._is_over = True
        self.state = LinkState.DOWN

    def proven(self, connection: str) -> None:
        """See `Link.proven`."""
        if self._is_over or self.state is LinkState.UP:
            return
        self.state = LinkState.UP
        self._tell(LinkUp(connection))

    def frame(self) -> None:
        """See `Link.frame`."""
        self.frame_at = self.socket_proof_at = self._now()

    def pong(self) -> None:
        """See `Link.pong`."""
        self.socket_proof_at = self._now()

    def platform_answered(self, *, timeout_s: float) -> None:
        """See `Link.platform_answered`."""
        self.platform_proof_at = self._now()
        self.platform_timeout_s = timeout_s

    def room(self) -> Awaitable[object]:
        """See `Link.room`."""
        return self._window.room()

    def hand_over(self, event: Event, *, timeout_s: float) -> asyncio.Future[bool]:
        """See `Link.hand_over`; of a sender who may not talk it is as good as stored, and goes no further."""
        self.event_at = self._now()
        sender = event.sender
        if sender is None or self._senders.may_talk(sender):
            return self._window.put(event, timeout_s=timeout_s)
        self._refuse(sender)
        stored = asyncio.get_running_loop().create_future()
        stored.set_result(True)
        return stored

    def _refuse(self, sender: Sender) -> None:
        self._count("sender_refused")
        if self._senders.is_to_be_named(sender, now=self._now()):
            extra = {"sender": sender.id, "sender_name": sender.name, "ids": sender.ids}
            _log.info("sender_refused", extra=extra)

    def facts(self, beat: Heartbeat) -> Heartbeat:
        """Return the heartbeat with what is known of this attempt."""
        now = beat.at

        def age(at: float | None) -> float | None:
            return None if at is None else max(0.0, now - at)

        return replace(
            beat,
            link=self.state,
            socket_proof_age_s=age(self.socket_proof_at),
            platform_proof_age_s=age(self.platform_proof_at),
            platform_timeout_s=self.platform_timeout_s,
            last_frame_age_s=age(self.frame_at),
            last_event_age_s=age(self.event_at),
        )
