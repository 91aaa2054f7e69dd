"""An account as `status` shows it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from longwire.child import Child
from longwire.config import AccountConfig
from longwire.incident import LastIncident, Summary
from longwire.lifecycle import Life
from longwire.limits import Excess, Limits, Meter
from longwire.liveness import NO_PROCESS
from longwire.remarks import remarks
from longwire.status import AccountStatus, LastError, SendingStatus
from longwire_protocol.event import Bot
from longwire_protocol.link import LinkFailure

Wall = Callable[[float], float]
"""Turns a moment of the loop's clock into Unix seconds."""


class Tally(msgspec.Struct):
    """What happened to an account in this supervisor's time."""

    starts: int = 0
    events: int = 0
    duplicates: int = 0
    frame_at: float | None = None
    event_at: float | None = None
    """Of earlier processes; on the loop's clock."""


class Sitter(msgspec.Struct, frozen=True, kw_only=True):
    """What an account knows of itself."""

    config: AccountConfig
    life: Life
    attempt: int
    """Failures in a row that count."""
    incarnation: int
    child: Child | None
    """Of the account; not a second one."""
    tally: Tally
    bot: Bot | None
    in_outage: int
    """How many accounts are in the outage that it is in; 0 if it is in none."""
    excess: Excess | None
    in_vain: LinkFailure | None
    """Why a successor failed."""
    waits_for: str | None
    """The account that has its app, and has to go first."""
    limits: Limits
    meter: Meter | None
    """Of this process or an earlier one."""
    last_incident: Summary | None
    last_failure: tuple[float, LinkFailure] | None
    """When it was, on the loop's clock."""
    sending: SendingStatus


def portrait(sitter: Sitter, *, wall: Wall) -> AccountStatus:
    """Return what is known of it now."""
    life, child, config = sitter.life, sitter.child, sitter.config
    vitals, health = (child.vitals, child.health) if child else (None, None)
    meter = sitter.meter if child and sitter.meter and sitter.meter.pid == child.pid else None
    beat = vitals.beat if vitals else None
    judgement = health.judgement() if health else None
    said = remarks(
        life,
        is_starved=health is not None and health.is_starved,
        is_proven=judgement is None or judgement.is_proven,
        in_outage=sitter.in_outage,
        excess=sitter.excess,
        in_vain=sitter.in_vain,
        waits_for=sitter.waits_for,
    )

    def at(moment: float | None) -> float | None:
        return None if moment is None else wall(moment)

    return AccountStatus(
        account=config.account,
        tenant=config.tenant,
        connector=config.connector,
        state=said.state,
        reason=said.reason,
        error_code=said.error_code,
        message=said.message,
        user_action=said.user_action,
        user_action_zh=said.user_action_zh,
        since=wall(life.since),
        attempt=sitter.attempt,
        next_retry_at=at(life.retry_at),
        incarnation=sitter.incarnation,
        pid=child.pid if child else None,
        isolation=child.isolation if child else None,
        python=config.settings.python,
        template_pid=child.template_pid if child else None,
        connected_since=at(life.proven_at),
        connection=vitals.connection if vitals else None,
        last_frame_at=at((vitals and vitals.frame_at) or sitter.tally.frame_at),
        last_event_at=at((vitals and vitals.event_at) or sitter.tally.event_at),
        last_proof_at=at(health.proof_at if health else None),
        last_error=_last_error(sitter, wall=wall),
        phase=health.phase[0] if health else None,
        phase_since=at(health.phase[1] if health else None),
        liveness=judgement.liveness if judgement else NO_PROCESS,
        last_incident=_last_incident(sitter.last_incident),
        restarts=max(0, sitter.tally.starts - 1),
        events=sitter.tally.events,
        duplicates=sitter.tally.duplicates,
        unstored=beat.unstored if beat else 0,
        queued=sitter.sending.queued,
        sending=sitter.sending,
        pss_bytes=meter.pss_bytes if meter else None,
        rss_bytes=meter.rss_bytes if meter else None,
        cpu_percent=meter.cpu_percent if meter else None,
        limits=sitter.limits,
        sdk=vitals.sdk if vitals else None,
        bot=sitter.bot,
        counters=beat.counters if beat else {},
    )


def _last_error(sitter: Sitter, *, wall: Wall) -> LastError | None:
    if sitter.last_failure is None:
        return None
    moment, why = sitter.last_failure
    return LastError(at=wall(moment), reason=why.reason, error_code=why.error_code, message=why.message)


def _last_incident(last: Summary | None) -> LastIncident | None:
    return None if last is None else LastIncident(id=last.id, at=last.at, kind=last.kind, reason=last.reason)
