"""Whether a child is alive, in four layers, and what to do where it is not: pure.

process
    There is one, and it is not stopped. The kernel tells of its end at once (pidfd).
loop
    The loop on which the SDK runs turns: it sends heartbeats. Before the first one, at the start, what counts
    is the child's own progress: time that it waited for a CPU is not its fault.
socket
    The peer answers on the connection: a frame, or the pong of a WebSocket ping.
subscription
    The platform itself answers, where it has such a thing (Lark's own pong).

A child judges its link itself, with fresher knowledge. So what is *shown* is measured by the plain limits,
and the parent *steps in* only well beyond them: first it tells the child to give the link up, in place; a
child that does not is replaced, and so is one whose loop stands still.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec

from longwire.evidence import Condition
from longwire_protocol.frames import Phase
from longwire_protocol.link import LinkState


class Layer(msgspec.Struct, frozen=True):
    """One layer, as `status` shows it."""

    age_s: float | None = None
    """How old its last proof is; `None` without one."""
    limit_s: float | None = None
    """How old it may get; `None` where nothing is to be proven."""
    is_ok: bool | None = None
    """Whether it is proven; `None` where there is nothing to prove now."""


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """The four layers of a child."""

    process: Layer
    loop: Layer
    socket: Layer
    subscription: Layer


class LinkFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a child said of its link, its ages brought to the moment of the judgement; in seconds."""

    state: LinkState = LinkState.DOWN
    socket_age_s: float | None = None
    platform_age_s: float | None = None
    platform_limit_s: float | None = None
    connecting_s: float = 0.0
    """For how long it has been making this attempt."""
    doubts: int = 0
    """Heartbeats in a row, this one apart, that gave reason to step in."""
    told_s: float | None = None
    """How long ago it was told to give the link up; `None` if it was not."""
    asked_s: float | None = None
    """How long ago it was asked to connect and has done nothing since; `None` if it owes us no attempt."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a child at a moment."""

    phase: Phase
    silent_s: float
    """Running time since the last heartbeat; while it imports, its own progress since the start."""
    limit_s: float
    """How long that may be: `heartbeat_timeout_s`, or `start_timeout_s`."""
    link_timeout_s: float
    condition: Condition | None = None
    """What /proc shows, where it was looked at."""
    link: LinkFacts = LinkFacts()


class Remedy(Enum):
    """What to do."""

    NONE = "none"
    RECONNECT = "reconnect"  # tell the child to give its link up; the next attempt is made in place
    RESTART = "restart"  # kill it: a fresh one takes its place


Doubt = Literal["link_timeout", "platform_silent", "connect_timeout", "connect_ignored"]


class Judgement(msgspec.Struct, frozen=True):
    """What is to be thought of a child, and done about it."""

    liveness: Liveness
    remedy: Remedy = Remedy.NONE
    reason: str | None = None
    """A constant name, for a remedy, or for what keeps us from one."""
    doubt: Doubt | None = None
    """What gives reason to step in, though perhaps not yet."""

    @property
    def is_proven(self) -> bool:
        """Whether nothing speaks against the link: no proof of it is older than it may get."""
        return self.liveness.socket.is_ok is not False and self.liveness.subscription.is_ok is not False


_MARGIN = 1.25
_MARGIN_S = 5.0
"""The child judges its link itself, with fresher knowledge; the parent steps in only well after it."""

_PATIENCE_BEATS = 3
"""Heartbeats in a row that must say the same: the first after a child was stopped carries stale ages."""

_CONNECT_S = 30.0
"""Beyond the link timeout, for discovery (13 s) and the WebSocket's opening (10 s)."""

_OBEY_S = 10.0
"""How long a child may take to give up a link it was told to (its own bound is 3 s), or to begin an attempt,
which it does at once. Whoever does not obey is replaced."""

NO_PROCESS = Liveness(process=Layer(is_ok=False), loop=Layer(), socket=Layer(), subscription=Layer())
"""Of an account that has none."""


def judge(known: Known) -> Judgement:
    """Return the layers and the remedy."""
    liveness = _liveness(known)
    if not liveness.loop.is_ok:
        return Judgement(liveness, *_silent(known))
    doubt = _doubt(known)
    if doubt is None:
        return Judgement(liveness)
    return Judgement(liveness, *_doubtful(known.link, doubt), doubt)


def _liveness(known: Known) -> Liveness:
    link, process = known.link, Layer(0.0, None, known.condition is not Condition.STOPPED)
    loop = Layer(known.silent_s, known.limit_s, known.silent_s < known.limit_s)
    if link.state is LinkState.UP:
        socket = _proof(link.socket_age_s, known.link_timeout_s)
        platform = _proof(link.platform_age_s, link.platform_limit_s)
    elif link.state is LinkState.CONNECTING:
        socket, platform = Layer(None, known.link_timeout_s, is_ok=False), Layer()
    else:
        socket, platform = Layer(), Layer()
    return Liveness(process=process, loop=loop, socket=socket, subscription=platform)


def _proof(age_s: float | None, limit_s: float | None) -> Layer:
    """Return the layer of a link that is up; a connector need not know of every proof."""
    return Layer(age_s, limit_s, None if age_s is None or limit_s is None else age_s <= limit_s)


def _silent(known: Known) -> tuple[Remedy, str]:
    """What to do about a loop that does not turn."""
    if known.condition is Condition.STARVED:
        return Remedy.NONE, "starved"
    if known.phase is Phase.IMPORTING:
        return Remedy.RESTART, "start_timeout"
    return Remedy.RESTART, "heartbeat_timeout"


def _doubt(known: Known) -> Doubt | None:
    link = known.link
    if link.state is LinkState.UP:
        if _is_stale(link.socket_age_s, known.link_timeout_s):
            return "link_timeout"
        if _is_stale(link.platform_age_s, link.platform_limit_s):
            return "platform_silent"
    elif link.state is LinkState.CONNECTING and link.connecting_s > known.link_timeout_s + _CONNECT_S:
        return "connect_timeout"
    elif link.state is LinkState.DOWN and link.asked_s is not None and link.asked_s > _OBEY_S:
        return "connect_ignored"
    return None


def _is_stale(age_s: float | None, limit_s: float | None) -> bool:
    return age_s is not None and limit_s is not None and age_s > limit_s * _MARGIN + _MARGIN_S


def _doubtful(link: LinkFacts, doubt: Doubt) -> tuple[Remedy, str | None]:
    """What to do about a link that its own child should have given up."""
    if link.told_s is not None:
        return (Remedy.RESTART, "link_did_not_end") if link.told_s > _OBEY_S else (Remedy.NONE, doubt)
    if link.doubts + 1 < _PATIENCE_BEATS:
        return Remedy.NONE, doubt
    return Remedy.RESTART if doubt == "connect_ignored" else Remedy.RECONNECT, doubt
