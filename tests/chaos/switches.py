"""Every switch of the simulators, in all the ways in which a campaign throws it.

A new kind of fault is thrown by itself, as it is when made of nothing but its platform, its app and its
length; here stand those that have more to vary, or that allow an account more than the promises do.
"""

from __future__ import annotations

import random
from typing import Any, get_args

import msgspec

from longwire_connectors.simulator.admin_models import PlatformName
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    AckLost,
    ApiError,
    ApiHang,
    DingTalkFault,
    DingTalkHandshakeStatus,
    DingTalkOpenStatus,
    DiscoveryBadJson,
    FaultBase,
    Frozen,
    LarkClientConfig,
    LarkConnectionLimit,
    LarkDiscoveryCode,
    LarkDiscoveryStatus,
    LarkFault,
    LarkHandshakeRefusal,
    LarkNoPong,
    LarkPongConfig,
    NoWsPong,
    Slow,
)

KINDS: dict[PlatformName, tuple[type[FaultBase], ...]] = {
    "lark": get_args(LarkFault),
    "dingtalk": get_args(DingTalkFault),
}


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to throw a switch, and what an account may do then."""

    values: dict[str, Any] = {}
    may_park: bool = False
    wait_s: float = 0.0
    """How long an account may stay away after it: what the platform asks for, beyond the backoff cap."""


_TOO_MANY_S = 90.0
"""docs/platforms.md: at the limit of connections an account waits for at least a minute, and a half more."""

_CONFIGS = [
    Way(values={"values": {"PingInterval": value}}) for value in (0, -5, 10**9, 0.5, None, "90", 3)
] + [
    Way(values={"values": {"ReconnectCount": 1}}),
    Way(values={"missing": ["PingInterval", "ReconnectInterval", "ReconnectNonce", "ReconnectCount"]}),
]

WAYS: dict[type[FaultBase], list[Way]] = {
    AcceptThenClose: [Way(), Way(values={"code": 1011}), Way(values={"code": 4000})],
    ApiError: [
        Way(),
        Way(values={"status": 429, "code": 99991400, "headers": {"x-ogw-ratelimit-reset": "1"}}),
    ],
    DiscoveryBadJson: [Way(), Way(values={"body": "{}"}), Way(values={"body": "[]"})],
    LarkClientConfig: _CONFIGS,
    LarkPongConfig: [*_CONFIGS, Way(values={"is_empty": True})],
    LarkConnectionLimit: [Way(values={"limit": 1}), Way(values={"limit": 0}, wait_s=_TOO_MANY_S)],
    LarkDiscoveryStatus: [
        Way(),
        Way(values={"status": 404}),
        Way(values={"status": 503}),
        Way(values={"status": 429, "code": 99991400, "headers": {"x-ogw-ratelimit-reset": "2"}}),
    ],
    LarkDiscoveryCode: [
        Way(),
        Way(values={"code": 1000040343}),
        Way(values={"code": 1000040350}, wait_s=_TOO_MANY_S),
        Way(values={"code": 1000040346}, may_park=True),
        Way(values={"code": 1000040351}, may_park=True),
    ],
    LarkHandshakeRefusal: [
        Way(),
        Way(values={"status": 502, "handshake_status": None, "handshake_msg": None, "autherrcode": None}),
        Way(values={"autherrcode": 1000040350}, wait_s=_TOO_MANY_S),
        Way(values={"status": 403, "handshake_status": 403}, may_park=True),
    ],
    DingTalkHandshakeStatus: [
        Way(),
        Way(values={"status": 401}),
        Way(values={"status": 429, "headers": {"Retry-After": "2"}}),
    ],
    DingTalkOpenStatus: [
        Way(),
        Way(values={"status": 500}),
        Way(values={"status": 429}, wait_s=_TOO_MANY_S),
        Way(values={"status": 401, "body": {"code": "authFailed"}}, may_park=True),
    ],
    Slow: [Way(values={"step": step, "delay_s": 2.0}) for step in ("discovery", "handshake", "api")],
}


WHILE_CONNECTED = {AckLost, ApiError, ApiHang, Frozen, LarkNoPong, LarkPongConfig, NoWsPong}
"""They bite who is connected; all others, so far as is known, who connects."""


def ways_of(kind: type[FaultBase]) -> list[Way]:
    """Return how this switch is thrown; a kind that is not named here, plainly."""
    return WAYS.get(kind, [Way()])


def throw(kind: type[FaultBase], way: Way, *, platform: PlatformName, app: str, for_s: float) -> FaultBase:
    """Return the fault for the simulator.

    Raises:
        TypeError: a kind that needs more than these has no way of its own in `WAYS`.
    """
    return kind(platform=platform, app=app, for_s=for_s, **way.values)


class Deck:
    """Deals kinds of faults: each comes once before any comes again.

    Args:
        rng: what is random.
        patience_s: ways after which an account stays away for longer are left out.
    """

    def __init__(self, rng: random.Random, *, patience_s: float) -> None:
        self._rng = rng
        self._patience_s = patience_s
        self._left: list[tuple[PlatformName, type[FaultBase]]] = []

    def deal(self) -> tuple[PlatformName, type[FaultBase], Way]:
        """Return the next platform and kind, and one of its ways."""
        if not self._left:
            self._left = [(platform, kind) for platform, kinds in KINDS.items() for kind in kinds]
            self._rng.shuffle(self._left)
        platform, kind = self._left.pop()
        return platform, kind, self._rng.choice([w for w in ways_of(kind) if w.wait_s <= self._patience_s])
