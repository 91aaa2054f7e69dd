"""What `status` says: plain data, times in Unix seconds or null."""

from __future__ import annotations

from typing import Literal

import msgspec

from longwire.delivery import Filters
from longwire.incident import LastIncident
from longwire.lifecycle import State
from longwire.limits import Limits
from longwire.liveness import Liveness
from longwire.webhooks.status import CourierStatus, TargetStatus
from longwire_protocol.declaration import Rates
from longwire_protocol.event import Bot
from longwire_protocol.frames import Phase


class LastError(msgspec.Struct, frozen=True, kw_only=True):
    """Why it was last not online, also while it is again."""

    at: float
    reason: str
    error_code: str | None
    message: str


class SendingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far an account's durable commands are, and what the platform's limits leave."""

    queued: int
    """Those that wait for their turn, the link, or their next try."""
    under_way: int
    retry_after_ms: int | None
    """Until its app may be asked again, by its limits and by what the platform said; 0: now. `None`: not
    before something under way is answered. A single chat may have to wait longer."""
    rates: Rates
    """The limits that are kept to, of the app and of each chat."""


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One account, as clients and operators see it."""

    account: str
    tenant: str
    connector: str
    state: State
    reason: str | None
    """A constant name for why it is not online."""
    error_code: str | None
    message: str | None
    user_action: str | None
    """What the operator can do, in English."""
    user_action_zh: str | None
    """The same in Chinese."""
    since: float
    """When it came into this state."""
    attempt: int
    """Failures in a row that the next delay counts."""
    next_retry_at: float | None
    incarnation: int
    pid: int | None
    isolation: Literal["fork", "spawn"] | None
    """How its process was really made."""
    python: str | None
    """The interpreter that the configuration names."""
    template_pid: int | None
    """From which its process was forked."""
    connected_since: float | None
    connection: str | None
    """The platform's name for the connection."""
    last_frame_at: float | None
    last_event_at: float | None
    last_proof_at: float | None
    """When the peer last answered anything, a WebSocket ping included."""
    last_error: LastError | None
    """In this supervisor's time."""
    phase: Phase | None
    """What its process is doing; `None` without one."""
    phase_since: float | None
    liveness: Liveness
    """Its four layers, as old as they are at this moment."""
    last_incident: LastIncident | None
    """The last time that its process was killed as hung, or ended unasked."""
    restarts: int
    """Processes started after the first, by this supervisor."""
    events: int
    """Events committed, by this supervisor."""
    duplicates: int
    """Redeliveries recognised, by this supervisor."""
    unstored: int
    """Events the child has handed over and that are not committed."""
    queued: int
    """As `sending.queued`."""
    sending: SendingStatus
    pss_bytes: int | None
    """Memory of its process, what it shares divided among those who share it; looked at from time to time."""
    rss_bytes: int | None
    """Memory of its process, all that is resident; at most some seconds old."""
    cpu_percent: float | None
    """Of one core, in the last 5 to 10 s."""
    limits: Limits
    """What its process may take."""
    sdk: str | None
    bot: Bot | None
    counters: dict[str, int]
    """What the child refused, dropped or could not read, by name."""


class TemplateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A process from which children are forked."""

    connector: str
    python: str | None
    """The interpreter that runs it; `None` for the supervisor's own."""
    pid: int | None
    state: Literal["warming", "ready", "retired", "unfit"]
    """Whether it still imports; can be forked from; only waits for its children; or cannot be forked from."""
    children: int
    reason: str | None
    """Why it is retired or unfit."""
    rss_bytes: int | None


class OutageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Many accounts of a connector that fail together: the platform's trouble, or the network's."""

    connector: str
    since: float
    accounts: int
    """Who fails; no name, as they are of all tenants."""
    reason: str
    """What most of them failed with."""


class OutboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The commands that were accepted."""

    queued: int
    """Those that wait for their turn, the link, or their next try."""
    under_way: int
    done: int
    """In this supervisor's time, as the following."""
    failed: int
    expired: int
    uncertain: int
    oldest_age_s: float | None
    """Since the oldest that has not ended was accepted; `None` if all have."""


class SupervisorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor itself."""

    version: str
    pid: int
    supervisor_id: str
    """Changes with each start."""
    uptime_s: float
    endpoint: str
    endpoints: list[str]
    state: Literal["ok", "degraded", "draining"]
    reason: str | None
    last_seq: int
    """The newest position of the journal."""
    removed_to: int
    """Every event up to this position was removed."""
    clients: int
    subscriptions: int
    rss_bytes: int | None
    templates: list[TemplateStatus]
    by_command: dict[str, Literal["added", "updated", "removed"]]
    """Accounts that are not what the file says, until the next start of the supervisor, by name."""
    outages: list[OutageStatus]
    outbox: OutboxStatus


class SubscriptionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription, durable or not."""

    name: str
    clients: int
    """Who has it open."""
    low_water: int
    """Everything up to this number is done."""
    lag: int
    """Numbers between that and the journal's end; it waits for at most so many events."""
    in_flight: int
    """Events sent and not acknowledged."""
    dead_letters: int
    dead_letters_dropped: int
    """Given up for newer ones, in this supervisor's time."""
    filters: Filters
    ack_timeout_s: float
    max_attempts: int
    chat_block_max_s: float


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `status`."""

    supervisor: SupervisorStatus
    accounts: list[AccountStatus]
    subscriptions: list[SubscriptionStatus]
    courier: CourierStatus | None
    """The process that posts to webhooks; `None` as long as there was never one."""
    webhooks: list[TargetStatus]

    def of_tenant(self, tenant: str) -> Status:
        """Return what of it concerns this tenant; the supervisor itself is everybody's."""
        accounts = [account for account in self.accounts if account.tenant == tenant]
        names = {account.account for account in accounts}
        by_command = {name: how for name, how in self.supervisor.by_command.items() if name in names}
        return msgspec.structs.replace(
            self,
            supervisor=msgspec.structs.replace(self.supervisor, by_command=by_command),
            accounts=accounts,
            subscriptions=[each for each in self.subscriptions if each.filters.tenant == tenant],
            webhooks=[each for each in self.webhooks if each.tenant == tenant],
        )
