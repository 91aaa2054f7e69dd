"""The two platforms, as far as measures treat them alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from harness.longwire import dingtalk, lark
from harness.simulator import Simulator
from longwire_connectors.simulator.admin_models import PlatformName
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent


class Platform(msgspec.Struct, frozen=True):
    """A simulated platform and its SDK."""

    name: PlatformName
    title: str
    account: Callable[[str, str], Mapping[str, Any]]
    """From the simulator's URL and an app to an account of Longwire."""
    inject: Callable[[Simulator, str, int, float | None], Awaitable[object]]
    """Lets so many messages happen to an app, so many a second or all at once."""


async def _inject_lark(simulator: Simulator, app: str, count: int, rate_per_s: float | None) -> object:
    return await simulator.inject_lark(LarkEvent(app=app, count=count, rate_per_s=rate_per_s))


async def _inject_dingtalk(simulator: Simulator, app: str, count: int, rate_per_s: float | None) -> object:
    return await simulator.inject_dingtalk(DingTalkEvent(app=app, count=count, rate_per_s=rate_per_s))


LARK = Platform("lark", "Lark", lark, _inject_lark)
DINGTALK = Platform("dingtalk", "DingTalk", dingtalk, _inject_dingtalk)
