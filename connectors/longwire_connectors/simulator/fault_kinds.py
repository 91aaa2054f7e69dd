"""Everything that can be made to go wrong, one Struct each.

A new fault is a Struct here, its entry in the union below, and one line where it bites: a ``faults.take(Kind,
...)``. The ``name`` of a fault in the admin plane is the Struct's tag. Each models something seen in the wild
or something a client must survive; ``docs/platforms.md`` has the sources.
"""

from typing import Annotated, Literal

import msgspec

__all__ = [
    "AcceptThenClose",
    "AckLost",
    "ApiError",
    "ApiHang",
    "DingTalkFault",
    "DingTalkHandshakeStatus",
    "DingTalkOpenStatus",
    "DingTalkRates",
    "DiscoveryBadJson",
    "DiscoveryHang",
    "Fault",
    "FaultBase",
    "Frozen",
    "HandshakeHang",
    "LarkClientConfig",
    "LarkConnectionLimit",
    "LarkDiscoveryCode",
    "LarkDiscoveryStatus",
    "LarkFault",
    "LarkHandshakeRefusal",
    "LarkNoLimits",
    "LarkNoPong",
    "LarkNoRanges",
    "LarkPongConfig",
    "NoWsPong",
    "Slow",
]

HttpStatus = Annotated[int, msgspec.Meta(ge=200, le=599)]
CloseCode = Annotated[int, msgspec.Meta(ge=1000, le=4999)]
Times = Annotated[int, msgspec.Meta(ge=1)]
ApiName = Literal[
    "any",
    "token",
    "bot_info",
    "send",
    "update",
    "patch",
    "delete",
    "get",
    "react",
    "reactions",
    "unreact",
    "card_id",
    "card_text",
    "card_settings",
    "image",
    "file",
    "download",
    "recall",
    "status",
    "emotion",
    "card",
    "upload",
    "other",
]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
ConfigValues = dict[str, int | float | str | None]


class FaultBase(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="name"):
    """What all faults have in common; a fault lasts until both limits, or its deletion, end it."""

    platform: Literal["lark", "dingtalk"]
    app: str = "*"
    """The app it hits, ``*`` for all."""
    for_s: Seconds | None = None
    """Seconds until it ends by itself; None for no such end."""
    times: Times | None = None
    """How often it bites before it ends; None for no such end."""


class DiscoveryHang(FaultBase, frozen=True, tag="discovery_hang"):
    """The discovery request is accepted and never answered (oapi-sdk-python#169: deaf for three days)."""


class DiscoveryBadJson(FaultBase, frozen=True, tag="discovery_bad_json"):
    """Discovery answers 200 with a text that is not JSON."""

    body: str = "<html>bad gateway</html>"


class HandshakeHang(FaultBase, frozen=True, tag="handshake_hang"):
    """The WebSocket's request is accepted and never answered; clients bound it by themselves (10 s)."""


class Slow(FaultBase, frozen=True, tag="slow"):
    """An answer comes only after ``delay_s`` seconds, as under load."""

    step: Literal["discovery", "handshake", "api"]
    delay_s: Seconds


class Frozen(FaultBase, frozen=True, tag="frozen"):
    """Open connections are black holes: TCP stays, nothing is heard and what is sent never arrives.

    So look a stopped server and a path that forgot the connection (openclaw#52618, #91899). Lost frames stay
    lost when it ends. Discovery and new handshakes go on; ``discovery_hang`` stops those.
    """


class NoWsPong(FaultBase, frozen=True, tag="no_ws_pong"):
    """WebSocket pings of the client stay unanswered, as with a frozen peer."""


class AcceptThenClose(FaultBase, frozen=True, tag="accept_then_close"):
    """The handshake succeeds and the server closes at once (dingtalk-stream alone: 1,856 connects in 5 s)."""

    code: CloseCode = 1000
    reason: str = "bye"


class AckLost(FaultBase, frozen=True, tag="ack_lost"):
    """An ack of the client is not heard, so the ladder of redeliveries goes on (AionCore#796, botmux#328)."""


class ApiError(FaultBase, frozen=True, tag="api_error"):
    """A REST call is refused.

    ``call`` says which; ``headers`` may carry x-ogw-ratelimit-reset and the like.
    """

    call: ApiName = "any"
    status: HttpStatus = 500
    code: int | str = 1
    msg: str = "system busy"
    headers: dict[str, str] = {}


class ApiHang(FaultBase, frozen=True, tag="api_hang"):
    """A REST call is accepted and never answered."""

    call: ApiName = "any"


class LarkDiscoveryStatus(FaultBase, frozen=True, tag="discovery_status"):
    """Discovery answers with an HTTP status other than 200; clients retry it."""

    status: HttpStatus = 500
    code: int | None = None
    """Of the body; None repeats the status. 99991400 is Lark's rate limit."""
    msg: str = "system busy"
    headers: dict[str, str] = {}
    """Beside it, as x-ogw-ratelimit-reset or Retry-After."""


class LarkDiscoveryCode(FaultBase, frozen=True, tag="discovery_code"):
    """Discovery answers 200 with a code: 1 and 1000040343 are transient, all others permanent for the SDK."""

    code: int = 1
    msg: str = "system busy"


class LarkClientConfig(FaultBase, frozen=True, tag="client_config"):
    """Discovery sends other ClientConfig values: ``values`` replaces, ``missing`` leaves out."""

    values: ConfigValues = {}
    missing: list[str] = []


class LarkPongConfig(FaultBase, frozen=True, tag="pong_config"):
    """Pongs carry a ClientConfig with other values (openclaw#72828: ReconnectCount=1 pushed in a pong)."""

    values: ConfigValues = {}
    missing: list[str] = []
    is_empty: bool = False
    """True sends pongs without any payload, which is legal."""


class LarkHandshakeRefusal(FaultBase, frozen=True, tag="handshake_refusal"):
    """The WebSocket handshake is refused; a header that is None is left out.

    514 with autherrcode 1000040350 and 403 are permanent for the SDK, all else is retried.
    """

    status: HttpStatus = 514
    handshake_status: int | None = 514
    handshake_msg: str | None = "system busy"
    autherrcode: int | None = 1
    headers: dict[str, str] = {}
    """Others beside them, as Retry-After."""


class LarkConnectionLimit(FaultBase, frozen=True, tag="connection_limit"):
    """An app may have only ``limit`` connections; others are refused with 1000040350.

    The documents say 50; mateclaw#86 was refused at the third.
    """

    limit: Annotated[int, msgspec.Meta(ge=0)] = 2


class LarkNoPong(FaultBase, frozen=True, tag="no_pong"):
    """Lark pings stay unanswered while the WebSocket is alive; ``times`` counts pongs withheld."""


class LarkNoLimits(FaultBase, frozen=True, tag="no_limits"):
    """The published limits of REST calls do not hold, as for a tenant with raised ones."""


class LarkNoRanges(FaultBase, frozen=True, tag="no_ranges"):
    """A download's ``Range`` is not understood, as behind some proxies: the whole is sent."""


class DingTalkOpenStatus(FaultBase, frozen=True, tag="open_status"):
    """``connections/open`` answers this status and body; None is the real systemError (AstrBot#1628)."""

    status: HttpStatus = 400
    body: dict[str, object] | None = None
    headers: dict[str, str] = {}
    """Beside it, as Retry-After."""


class DingTalkHandshakeStatus(FaultBase, frozen=True, tag="handshake_status"):
    """The WebSocket handshake is answered with this status; the ticket is used up."""

    status: HttpStatus = 503
    headers: dict[str, str] = {}


class DingTalkRates(FaultBase, frozen=True, tag="rates"):
    """DingTalk's limits bite: without this the simulator takes whatever comes.

    Of an app ``per_second`` calls for each interface, else 403; of a session webhook ``per_minute`` messages,
    else errcode 130101 for ``penalty_s`` seconds.
    """

    per_second: Times = 20
    per_minute: Times = 20
    penalty_s: Seconds = 600.0


Fault = FaultBase
LarkFault = (
    DiscoveryHang
    | DiscoveryBadJson
    | HandshakeHang
    | Slow
    | Frozen
    | NoWsPong
    | AcceptThenClose
    | AckLost
    | ApiError
    | ApiHang
    | LarkDiscoveryStatus
    | LarkDiscoveryCode
    | LarkClientConfig
    | LarkPongConfig
    | LarkHandshakeRefusal
    | LarkConnectionLimit
    | LarkNoPong
    | LarkNoLimits
    | LarkNoRanges
)
DingTalkFault = (
    DiscoveryHang
    | DiscoveryBadJson
    | HandshakeHang
    | Slow
    | Frozen
    | NoWsPong
    | AcceptThenClose
    | AckLost
    | ApiError
    | ApiHang
    | DingTalkOpenStatus
    | DingTalkHandshakeStatus
    | DingTalkRates
)
