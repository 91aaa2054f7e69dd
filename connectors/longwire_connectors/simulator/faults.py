"""Which fault bites now: matching by kind, platform and app, with limits in time and number.

Pure: time comes in as an argument (Unix seconds). The kinds themselves are in ``fault_kinds.py``.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.fault_kinds import DingTalkFault, FaultBase, LarkFault

__all__ = ["ActiveFault", "FaultBook", "read_fault"]

F = TypeVar("F", bound=FaultBase)
MAX_ACTIVE = 1_000


class _Platform(msgspec.Struct):
    platform: str


class ActiveFault(msgspec.Struct, kw_only=True):
    """A fault in force and how much of it is left."""

    id: str
    fault: FaultBase
    ends_at: float | None
    times_left: int | None

    def has_ended(self, now: float) -> bool:
        """Tell whether either limit is reached."""
        return self.times_left == 0 or (self.ends_at is not None and now >= self.ends_at)


class FaultBook:
    """The faults in force. The one added last wins where several match; at most 1,000 at a time."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveFault] = {}
        self._added = 0

    def add(self, fault: FaultBase, *, now: float) -> str:
        """Put a fault in force and return its id; AdminRequestError (status 429) when there are too many."""
        self._sweep(now)
        if len(self._active) >= MAX_ACTIVE:
            raise AdminRequestError(f"{MAX_ACTIVE} faults are in force already", status=429)
        self._added += 1
        fault_id = f"fault-{self._added}"
        ends_at = None if fault.for_s is None else now + fault.for_s
        self._active[fault_id] = ActiveFault(
            id=fault_id, fault=fault, ends_at=ends_at, times_left=fault.times
        )
        return fault_id

    def take(
        self,
        kind: type[F],
        *,
        platform: str,
        app: str,
        now: float,
        where: Callable[[F], bool] | None = None,
    ) -> F | None:
        """Return the fault of this kind that bites ``app`` now and use one of its times.

        ``where`` narrows it further. None if there is none.
        """
        for active in reversed(self._active.values()):
            fault = active.fault
            if not isinstance(fault, kind) or active.has_ended(now):
                continue
            if fault.platform == platform and fault.app in ("*", app) and (where is None or where(fault)):
                _use(active)
                return fault
        return None

    def remove(self, fault_id: str | None = None) -> int:
        """End one fault, or all for None, and return how many there were."""
        if fault_id is None:
            count = len(self._active)
            self._active.clear()
            return count
        return 0 if self._active.pop(fault_id, None) is None else 1

    def active(self, *, now: float) -> list[ActiveFault]:
        """Return what is still in force."""
        self._sweep(now)
        return list(self._active.values())

    def _sweep(self, now: float) -> None:
        self._active = {key: active for key, active in self._active.items() if not active.has_ended(now)}


def _use(active: ActiveFault) -> None:
    if active.times_left is not None:
        active.times_left -= 1


def read_fault(body: bytes) -> FaultBase:
    """Return the fault that a request's JSON describes.

    msgspec.ValidationError (or DecodeError, for what is not JSON) names what is wrong with it.
    """
    is_dingtalk = msgspec.json.decode(body, type=_Platform).platform == "dingtalk"
    fault: FaultBase = (_DINGTALK if is_dingtalk else _LARK).decode(body)
    return fault


_LARK: msgspec.json.Decoder[FaultBase] = msgspec.json.Decoder(LarkFault)
_DINGTALK: msgspec.json.Decoder[FaultBase] = msgspec.json.Decoder(DingTalkFault)
