"""Requests and answers of the admin plane.

Those of events are in ``injections.py``, those of faults in ``fault_kinds.py``.
"""

from typing import Annotated, Literal

import msgspec

from longwire_connectors.simulator.clicks import ClickSeen
from longwire_connectors.simulator.deliveries import DeliveryRecord
from longwire_connectors.simulator.diary import Entry

__all__ = [
    "Added",
    "Changed",
    "Deliveries",
    "DiaryPage",
    "Drop",
    "FaultEntry",
    "Faults",
    "GivenOut",
    "Injected",
    "InjectedIds",
    "Redeliver",
    "Register",
]

PlatformName = Literal["lark", "dingtalk"]


class Register(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /_sim/apps``: an app becomes known, or gets another secret or name."""

    platform: PlatformName
    app: str
    secret: str
    name: str | None = None
    """What the platform calls the bot; None keeps the name, or makes one."""


class Drop(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /_sim/drop``: connections end."""

    platform: PlatformName
    app: str = "*"
    how: Literal["close", "abort", "midframe"] = "close"
    """close: a close frame, as the platforms do; abort: the TCP connection is reset; midframe: it ends within
    a frame."""
    code: Annotated[int, msgspec.Meta(ge=1000, le=4999)] = 1000
    reason: str = "bye"
    connection: str | None = None


class Redeliver(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /_sim/PLATFORM/redeliver``: push again now, whatever became of the first time."""

    app: str
    id: str
    """A message, event or frame id."""


class InjectedIds(msgspec.Struct, kw_only=True):
    """The ids of one injected event, empty where they do not apply."""

    message_id: str
    event_id: str
    frame_message_id: str


class Injected(msgspec.Struct, kw_only=True):
    """Answer to an injection, in order."""

    ids: list[InjectedIds]


class Added(msgspec.Struct, kw_only=True):
    """Answer to a new fault."""

    id: str


class Changed(msgspec.Struct, kw_only=True):
    """How many connections, faults or deliveries a request concerned."""

    count: int


class FaultEntry(msgspec.Struct, kw_only=True):
    """A fault in force; ``fault`` is the request that made it."""

    id: str
    fault: dict[str, object]
    ends_at: float | None = None
    times_left: int | None = None


class Faults(msgspec.Struct, kw_only=True):
    """Answer of ``GET /_sim/faults``."""

    faults: list[FaultEntry]


class GivenOut(msgspec.Struct, kw_only=True):
    """Answer of ``GET /_sim/secrets``: what whoever has it can act with; at most 10,000 of each platform."""

    values: list[str]


class Deliveries(msgspec.Struct, kw_only=True):
    """Answer of ``GET /_sim/PLATFORM/deliveries``, in the order of injection."""

    deliveries: list[DeliveryRecord]


class Clicks(msgspec.Struct, kw_only=True):
    """Answer of ``GET /_sim/PLATFORM/clicks``, in the order of injection."""

    clicks: list[ClickSeen]


class DiaryPage(msgspec.Struct, kw_only=True):
    """Answer of ``GET /_sim/diary?after=N``: what was written after entry N, as far as it is kept."""

    entries: list[Entry]
