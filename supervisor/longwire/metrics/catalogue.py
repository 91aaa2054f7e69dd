"""Which metrics there are: one table, in the order in which they are told. Pure.

Names follow the conventions of Prometheus: base units, `_total` for what only grows. docs/metrics.md has
the same table for people; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from longwire.metrics import records
from longwire.metrics.records import Record

PREFIX: Final = "longwire_"

_MS_S: Final = 1e-3
_PERCENT: Final = 1e-2
_MIB: Final = 2.0**20


class Measure(msgspec.Struct, frozen=True):
    """One metric of each record of a group."""

    name: str
    """Without `longwire_`. It is a counter if it ends with `_total`, else a gauge."""
    path: str
    """Where its value is in the record, names parted by dots. What is null there is left out."""
    help: str
    factor: float = 1.0
    """Makes the metric's base unit of the field's."""
    states: tuple[str, ...] = ()
    """If any: a sample for each, with the label `state`; 1 for the one that it is in, 0 for the others."""

    @property
    def is_counter(self) -> bool:
        """Whether it only grows, but for restarts of who counts."""
        return self.name.endswith("_total")


class Group(msgspec.Struct, frozen=True):
    """Metrics of things of one kind."""

    records: Callable[[Record], Iterable[Record]]
    labels: Mapping[str, str]
    """Which field gives which label. Records with the same labels are added up."""
    measures: tuple[Measure, ...]


UP: Final = Measure("up", "", "Whether the supervisor answered; all else is there only if it did.")

_ACCOUNT: Final = {"account": "account", "tenant": "tenant", "connector": "connector"}
_TEMPLATE: Final = {"connector": "connector", "python": "python", "state": "state"}

SUPERVISOR_STATES: Final = ("ok", "degraded", "draining")
ACCOUNT_STATES: Final = (
    "starting",
    "connecting",
    "online",
    "degraded",
    "backoff",
    "parked",
    "stopping",
    "stopped",
)
COURIER_STATES: Final = ("starting", "ready", "stopped")
WEBHOOK_STATES: Final = ("starting", "opening", "delivering", "probing", "resting", "refused", "disabled")
BREAKER_STATES: Final = ("closed", "open", "probing")

GROUPS: Final = (
    Group(
        records.supervisor,
        {},
        (
            Measure("supervisor_state", "state", "The supervisor's state.", states=SUPERVISOR_STATES),
            Measure("supervisor_uptime_seconds", "uptime_s", "Since the supervisor was started."),
            Measure("supervisor_resident_memory_bytes", "rss_bytes", "Memory of the supervisor's process."),
            Measure("clients", "clients", "Connected clients, the one that asks among them."),
            Measure("subscriptions", "subscriptions", "Subscriptions that exist, open or not."),
            Measure("journal_last_seq", "last_seq", "The newest number of the journal."),
            Measure("journal_removed_to_seq", "removed_to", "Events up to this number were removed."),
            Measure("commands_queued", "outbox.queued", "Commands that wait for turn, link or next try."),
            Measure("commands_under_way", "outbox.under_way", "Commands that are being tried."),
            Measure(
                "commands_oldest_age_seconds",
                "outbox.oldest_age_s",
                "Since the oldest command that has not ended was accepted.",
            ),
        ),
    ),
    Group(
        lambda status: ({**each, "is": 1} for each in records.supervisor(status)),
        {"version": "version"},
        (Measure("info", "is", "Always 1; its label has the supervisor's version."),),
    ),
    Group(
        records.outcomes,
        {"outcome": "outcome"},
        (Measure("commands_ended_total", "commands", "Accepted commands that have ended, by how."),),
    ),
    Group(
        records.templates,
        _TEMPLATE,
        (
            Measure("templates", "templates", "Processes from which children are forked."),
            Measure("template_children", "children", "Living children of templates."),
            Measure("template_resident_memory_bytes", "rss_bytes", "Memory of templates."),
        ),
    ),
    Group(
        records.outages,
        {"connector": "connector"},
        (
            Measure("outage_accounts", "accounts", "Accounts of a connector that fail together."),
            Measure("outage_start_timestamp_seconds", "since", "When the outage began."),
        ),
    ),
    Group(
        records.accounts,
        _ACCOUNT,
        (
            Measure("account_state", "state", "The account's state.", states=ACCOUNT_STATES),
            Measure("account_state_timestamp_seconds", "since", "When it came into its state."),
            Measure(
                "account_consecutive_failures", "attempt", "Failures in a row that the next delay counts."
            ),
            Measure("account_next_retry_timestamp_seconds", "next_retry_at", "When the present delay ends."),
            Measure("account_connected_timestamp_seconds", "connected_since", "When its link was proven."),
            Measure("account_last_frame_timestamp_seconds", "last_frame_at", "When it last got anything."),
            Measure("account_last_event_timestamp_seconds", "last_event_at", "When it last got an event."),
            Measure("account_last_proof_timestamp_seconds", "last_proof_at", "When its peer last answered."),
            Measure("account_last_error_timestamp_seconds", "last_error.at", "When it was last not online."),
            Measure(
                "account_last_incident_timestamp_seconds",
                "last_incident.at",
                "When its process was last killed as hung, or ended unasked.",
            ),
            Measure("account_restarts_total", "restarts", "Processes started after its first."),
            Measure("account_events_total", "events", "Its events that were committed."),
            Measure("account_duplicates_total", "duplicates", "Redeliveries that were recognised."),
            Measure("account_unstored_events", "unstored", "Its events that are not committed yet."),
            Measure("account_commands_queued", "sending.queued", "Its commands that wait."),
            Measure("account_commands_under_way", "sending.under_way", "Its commands that are being tried."),
            Measure("account_proportional_memory_bytes", "pss_bytes", "Its process's share of memory (PSS)."),
            Measure("account_resident_memory_bytes", "rss_bytes", "All of its process that is in memory."),
            Measure("account_memory_limit_bytes", "limits.memory_mb", "How much its process may take.", _MIB),
            Measure("account_cpu_ratio", "cpu_percent", "CPU of its process; 1 is a whole core.", _PERCENT),
        ),
    ),
    Group(
        records.layers,
        {**_ACCOUNT, "layer": "layer"},
        (
            Measure("account_liveness_age_seconds", "age_s", "Age of the last proof of a layer of liveness."),
            Measure("account_liveness_limit_seconds", "limit_s", "How old that proof may get."),
        ),
    ),
    Group(
        records.counters,
        {**_ACCOUNT, "counter": "counter"},
        (Measure("account_counters_total", "value", "What its process refused, dropped, called, by name."),),
    ),
    Group(
        records.subscriptions,
        {"subscription": "name", "tenant": "filters.tenant"},
        (
            Measure("subscription_clients", "clients", "Who has it open."),
            Measure("subscription_low_water_seq", "low_water", "Everything up to this number is done."),
            Measure("subscription_lag", "lag", "At most so many events wait for it."),
            Measure("subscription_in_flight_events", "in_flight", "Events sent and not acknowledged."),
            Measure("subscription_dead_letters", "dead_letters", "Events that were given up, and are kept."),
            Measure(
                "subscription_dead_letters_dropped_total",
                "dead_letters_dropped",
                "Dead letters that were dropped for newer ones.",
            ),
        ),
    ),
    Group(
        records.courier,
        {},
        (
            Measure("courier_state", "state", "The process that posts.", states=COURIER_STATES),
            Measure("courier_restarts_total", "restarts", "Couriers started after the first."),
            Measure("courier_in_flight_posts", "in_flight", "Posts under way, to all webhooks."),
            Measure("courier_waiting_posts", "waiting", "Posts that wait: as many are under way as may be."),
            Measure("courier_loop_lag_p99_seconds", "loop_lag_p99_ms", "How late its turns are.", _MS_S),
            Measure("courier_resident_memory_bytes", "rss_bytes", "Memory of the courier."),
        ),
    ),
    Group(
        records.webhooks,
        {"webhook": "name", "tenant": "tenant"},
        (
            Measure("webhook_state", "state", "The webhook's state.", states=WEBHOOK_STATES),
            Measure("webhook_breaker_state", "breaker", "Its breaker's state.", states=BREAKER_STATES),
            Measure("webhook_consecutive_failures", "failures", "Posts that failed in a row."),
            Measure("webhook_retry_timestamp_seconds", "retry_at", "Until when it is left alone."),
            Measure("webhook_lag", "lag", "At most so many events wait for it."),
            Measure("webhook_queued_events", "queued", "Events that the courier has and has not posted."),
            Measure("webhook_in_flight_posts", "in_flight", "Posts under way."),
            Measure("webhook_oldest_age_seconds", "oldest_age_s", "Since its oldest that waits came."),
            Measure("webhook_delivered_events_total", "delivered", "Events that were delivered."),
            Measure("webhook_failed_posts_total", "failed", "Posts without success."),
            Measure("webhook_superseded_events_total", "superseded", "Events left out for a newer one."),
            Measure("webhook_dead_letters", "dead", "Events that were given up, and are kept."),
            Measure("webhook_commands_total", "commands", "Commands in answers that were accepted."),
            Measure("webhook_refused_commands_total", "refused_commands", "Those refused for good."),
            Measure("webhook_last_delivered_timestamp_seconds", "last_delivered_at", "Its last success."),
            Measure("webhook_last_error_timestamp_seconds", "last_error.at", "Its last failure."),
        ),
    ),
)
"""Every metric but `UP`."""
