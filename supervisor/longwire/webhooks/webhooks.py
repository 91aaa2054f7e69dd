"""The webhooks of a running supervisor: their subscriptions, what is on disk of them, and how they are."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from longwire.config.webhooks import Webhook
from longwire.courier import urls
from longwire.courier.target import MAX_TARGETS, MOST_CREDIT, Target, credit_of
from longwire.courier.wire import RESERVED, Disabled, FromCourier, Report, Reports, Tested
from longwire.deliveries import Deliveries
from longwire.delivery import Filters
from longwire.fleet import Changes
from longwire.journal import EventStore
from longwire.logger import get_logger
from longwire.subscriptions import Limits
from longwire.webhooks.status import CourierStatus, TargetStatus
from longwire.webhooks.trials import Trials, no_courier
from longwire.webhooks.warden import Warden
from longwire_protocol.errors import CommandError, RetCode

_log = get_logger("longwire.webhooks")

STATE_PREFIX = "webhook/"

_WINDOW_EVENTS, _WINDOW_BYTES = MOST_CREDIT, 4 * 1024 * 1024
"""Of each subscription's window, at most. What does not fit stays in the journal."""

_ALL_WINDOWS_BYTES = 256 * 1024 * 1024
"""Of all together: the windows of targets that are down are full, and what was read from the journal is
shared by none. A thousand get 262 KiB each, some hundred events."""

_MOST_ACK_S = 86_400.0
"""What a subscription may have at most."""


_PREPARED_AT_ONCE = 100
"""New subscriptions that are written together, at the start with many of them."""


class Off(msgspec.Struct, frozen=True):
    """A target that wants no more; on disk."""

    url: str
    """A digest: a URL may hold a secret."""
    message: str
    at: float


class Webhooks:
    """Every webhook.

    Args:
        journal: keeps which are disabled.
        deliveries: has their subscriptions.
        disabled: which are, by state key.
    """

    def __init__(self, journal: EventStore, deliveries: Deliveries, *, disabled: Mapping[str, Off]) -> None:
        self._journal = journal
        self._deliveries = deliveries
        self._off = {key.removeprefix(STATE_PREFIX): off for key, off in disabled.items()}
        self._present: dict[str, Webhook] = {}
        self._reports: dict[str, Report] = {}
        self._trials = Trials()
        self._removed: dict[str, None] = {}
        self.warden: Warden | None = None
        """Set once there is an endpoint for the courier; until then nothing is delivered."""
        deliveries.in_use = lambda name: name.removeprefix(RESERVED) in self._present

    @classmethod
    async def open(cls, journal: EventStore, deliveries: Deliveries) -> Webhooks:
        """Return the webhooks as an earlier supervisor left them. Raises JournalError."""
        return cls(journal, deliveries, disabled=await journal.get_states(STATE_PREFIX, Off))

    @property
    def present(self) -> Mapping[str, Webhook]:
        """Those that are configured, by name."""
        return self._present

    async def prepare(self, wanted: Mapping[str, Webhook]) -> None:
        """Have the subscriptions of these on disk, so that no event from now on is lost to them.

        Raises:
            CommandError: the journal is closing; or one is new, and earlier runs left too many behind.
        """
        self._refuse_if_many_are_left(wanted)
        differing = [name for name, webhook in wanted.items() if self._present.get(name) != webhook]
        for start in range(0, len(differing), _PREPARED_AT_ONCE):  # they share commits
            some = {name: wanted[name] for name in differing[start : start + _PREPARED_AT_ONCE]}
            failed = await asyncio.gather(
                *(
                    self._deliveries.reserve(RESERVED + name, _filters(webhook), _limits(webhook))
                    for name, webhook in some.items()
                ),
                return_exceptions=True,
            )
            for error in filter(None, failed):
                raise error

    def _refuse_if_many_are_left(self, wanted: Mapping[str, Webhook]) -> None:
        """Bound what keeps events on disk, and is read by nobody; a start goes on with what it has."""
        reserved = {name.removeprefix(RESERVED) for name in self._deliveries.reserved}
        left = reserved - wanted.keys() - self._present.keys()
        if self.warden is not None and len(left) >= MAX_TARGETS and wanted.keys() - reserved:
            text = (
                f"{len(left)} webhooks of earlier runs keep their positions, and the journal with them; "
                f"forget those that do not come back, as {RESERVED}{min(left)}: longwire events forget NAME"
            )
            raise CommandError(RetCode.SATURATED, text)

    def apply(self, wanted: Mapping[str, Webhook], *, enable: str | None = None) -> Changes:
        """Deliver to exactly these from now on; only what differs is touched.

        Args:
            wanted: by name, prepared.
            enable: one that gets a new chance, if it is disabled.
        """
        present = self._present
        changes = Changes(
            added=[name for name in wanted if name not in present],
            removed=[name for name in present if name not in wanted],
            changed=[name for name in wanted if name in present and present[name] != wanted[name]],
        )
        self._present = dict(wanted)
        self._share_room()
        self._removed |= dict.fromkeys(changes.removed)
        for name in (*changes.removed, *changes.changed):
            self._reports.pop(name, None)
        for name in [*self._off]:
            if name == enable or name in changes.removed or self._has_moved(name):
                self._switch_on(name)
        self._tell()
        return changes

    async def forget_removed(self) -> None:
        """Forget the positions of those that were removed."""
        for name in [*self._removed]:
            del self._removed[name]
            if name not in self._present:
                try:
                    await self._deliveries.release(RESERVED + name)
                except CommandError as exc:  # it is gone from memory, and so it will be forgotten by hand
                    _log.error("webhook_not_forgotten", webhook=name, text=exc.message)

    async def stop(self) -> None:
        """End the courier; what it has not delivered comes again after the next start."""
        if self.warden is not None:
            await self.warden.stop()

    def heard(self, frame: FromCourier) -> None:
        """See `warden.Listener`."""
        match frame:
            case Reports():
                for report in frame.targets:
                    if report.name in self._present:
                        self._reports[report.name] = report
            case Disabled():
                self._switch_off(frame)
            case Tested():
                self._trials.heard(frame)
            case _:
                pass

    def courier_gone(self) -> None:
        """See `warden.Listener`."""
        self._reports.clear()
        self._trials.courier_gone()

    async def test(self, name: str) -> dict[str, Any]:
        """Post a made-up event to a target now, whatever its state; return what became of it.

        Raises:
            CommandError: there is no courier, or it has too much to do.
        """
        if self.warden is None:
            raise no_courier()
        tested = await self._trials.ask(self.warden, self._present[name].target)
        if tested.outcome == "busy":
            retry_after_ms = round((tested.retry_after_s or 1.0) * 1000)
            raise CommandError(
                RetCode.SATURATED, tested.message, retryable=True, retry_after_ms=retry_after_ms
            )
        return {
            "outcome": tested.outcome,
            "status": tested.status,
            "message": tested.message,
            "duration_s": tested.duration_s,
        }

    def courier(self) -> CourierStatus | None:
        """Return how the process is that posts; `None` as long as there was never one."""
        return None if self.warden is None else self.warden.status()

    def status(self, hows: Mapping[str, Any]) -> list[TargetStatus]:
        """Return how they are; `hows` says which are not what the file says."""
        return [self._target(name, webhook, hows.get(name)) for name, webhook in self._present.items()]

    def _target(self, name: str, webhook: Webhook, how: Any) -> TargetStatus:
        report, off = self._reports.get(name), self._off.get(name)
        subscription = self._deliveries.find(RESERVED + name)
        oldest_at = None if subscription is None else subscription.window.oldest_at
        last_error = None if report is None else report.last_error
        is_well = report is not None and report.state in {"opening", "delivering"}
        message = (
            off.message if off is not None else None if is_well or not last_error else last_error.message
        )
        return TargetStatus(
            name=name,
            tenant=webhook.tenant,
            url=urls.origin(webhook.target.url),
            state="disabled" if off is not None else "starting" if report is None else report.state,
            message=message,
            breaker="closed" if report is None else report.breaker,
            failures=0 if report is None else report.failures,
            retry_at=None if report is None or off is not None else report.retry_at,
            queued=0 if report is None or off is not None else report.queued,
            in_flight=0 if report is None or off is not None else report.under_way,
            lag=0 if subscription is None else subscription.window.lag,
            oldest_age_s=None if oldest_at is None else max(0.0, time.time() - oldest_at),
            delivered=0 if report is None else report.delivered,
            failed=0 if report is None else report.failed,
            superseded=0 if report is None else report.superseded,
            dead=0 if subscription is None else len(subscription.letters),
            commands=0 if report is None else report.commands,
            refused_commands=0 if report is None else report.refused_commands,
            last_error=last_error,
            last_delivered_at=None if report is None else report.last_delivered_at,
            by_command=how,
        )

    def _tell(self) -> None:
        if self.warden is not None:
            on = {name: each.target for name, each in self._present.items() if name not in self._off}
            self.warden.have(on)

    def _share_room(self) -> None:
        each = min(_WINDOW_BYTES, _ALL_WINDOWS_BYTES // max(1, len(self._present)))
        for name in self._present:
            subscription = self._deliveries.find(RESERVED + name)
            if subscription is not None:
                subscription.set_room(each)

    def _has_moved(self, name: str) -> bool:
        return name in self._present and self._off[name].url != _digest(self._present[name].target.url)

    def _switch_off(self, frame: Disabled) -> None:
        webhook = self._present.get(frame.name)
        if webhook is None or webhook.target.url != frame.url:  # it was changed meanwhile
            return
        off = self._off[frame.name] = Off(_digest(frame.url), frame.message, time.time())
        self._journal.put_state(STATE_PREFIX + frame.name, off)
        _log.warning("webhook_disabled", webhook=frame.name, tenant=webhook.tenant, text=frame.message)
        self._tell()

    def _switch_on(self, name: str) -> None:
        del self._off[name]
        self._journal.put_state(STATE_PREFIX + name, None)


def _digest(url: str) -> str:
    return hashlib.blake2b(url.encode(), digest_size=16).hexdigest()


def _filters(webhook: Webhook) -> Filters:
    target = webhook.target
    return Filters(
        accounts=None if target.accounts is None else frozenset(target.accounts),
        types=None if target.types is None else frozenset(target.types),
        tenant=target.tenant,
    )


def _limits(webhook: Webhook) -> Limits:
    return Limits(
        ack_timeout_s=_ack_timeout_s(webhook.target),
        max_attempts=webhook.max_attempts,
        chat_block_max_s=webhook.give_up_after_s,
        order=webhook.target.order,
        backoff_initial_s=webhook.retry_initial_s,
        backoff_max_s=webhook.retry_max_s,
        max_events=_WINDOW_EVENTS,
    )


def _ack_timeout_s(target: Target) -> float:
    """Return how long the courier may have an event: all that it may have before it, as slow as can be.

    The courier is watched, and what it has comes back when it ends. So this is for a bug of ours only.
    """
    return min((2 * credit_of(target) + 1) * (target.connect_timeout_s + target.read_timeout_s), _MOST_ACK_S)
