"""What a simulator counts: the vocabulary of ``GET /_sim/state``."""

from typing import Literal, TypeVar

import msgspec

__all__ = ["ApiCall", "AppState", "ConnectionState", "SentMessage", "State", "keep"]

KEPT = 10_000
"""How many entries of each list are kept per app; the counts beside them go on. Enough for a storm of some
minutes."""

Jsonable = dict[str, object]
T = TypeVar("T")


class ConnectionState(msgspec.Struct, kw_only=True):
    """One WebSocket, open or closed; times are Unix seconds, None while they have not come."""

    id: str
    opened_at: float
    closed_at: float | None = None
    close_code: int | None = None
    """1006 when the socket ended without a close frame."""
    closed_by: Literal["client", "server"] | None = None
    user_agent: str = ""
    subscriptions: list[str] = []
    frames_in: int = 0
    frames_out: int = 0
    pings: int = 0
    """Lark ping frames."""
    pongs: int = 0
    """Lark pong frames sent back."""
    ws_pings: int = 0
    last_frame_in_at: float | None = None


class SentMessage(msgspec.Struct, kw_only=True):
    """A message a bot sent; ``body`` is the request's JSON."""

    at: float
    via: str
    message_id: str
    target: str
    body: Jsonable


class ApiCall(msgspec.Struct, kw_only=True):
    """A REST call, and how it was answered."""

    at: float
    call: str
    """The interface, as ``send``, ``patch``, ``card_text``."""
    target: str
    """What it concerns: a message, a card, a key."""
    code: int | str
    """0 for a success."""
    body: Jsonable
    """Empty where it was no JSON."""


class AppState(msgspec.Struct, kw_only=True):
    """Everything counted for one app; ``discovery`` is ``connections/open`` on DingTalk."""

    app: str
    discovery_calls: int = 0
    discovery_refused: int = 0
    discovery_times: list[float] = []
    tokens_issued: int = 0
    api_errors: int = 0
    handshakes_refused: int = 0
    connections_open: int = 0
    connections_total: int = 0
    connections_max_open: int = 0
    """The most that were open at once: more than 1 is an overlap."""
    connections: list[ConnectionState] = []
    frames_in: int = 0
    frames_out: int = 0
    bad_frames_in: int = 0
    pings: int = 0
    pongs: int = 0
    ws_pings: int = 0
    events_injected: int = 0
    events_sent: int = 0
    """Sendings, redeliveries included."""
    redeliveries: int = 0
    dropped: int = 0
    """Not pushed: no connection (DingTalk robot messages), or no subscription."""
    acks: int = 0
    """Ack frames, whatever became of them."""
    acked: int = 0
    """Events finished by an ack."""
    ack_codes: dict[int, int] = {}
    ack_outcomes: dict[str, int] = {}
    ack_times: list[float] = []
    messages: list[SentMessage] = []
    api_calls: list[ApiCall] = []
    limited: int = 0
    """REST calls refused because they were over a limit of the platform."""
    cards: dict[str, dict[str, str]] = {}
    """What DingTalk's cards show: the variables of each, by its outTrackId."""


class State(msgspec.Struct, kw_only=True):
    """The answer of ``GET /_sim/state``: apps by id, per platform."""

    lark: dict[str, AppState] = {}
    dingtalk: dict[str, AppState] = {}


def keep(items: list[T], *, item: T, limit: int = KEPT) -> None:
    """Append ``item``, dropping the oldest ones beyond ``limit``."""
    items.append(item)
    if len(items) > limit:
        del items[: len(items) - limit]
