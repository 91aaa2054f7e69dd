"""The settings after every check: what the supervisor works with.

The types carry the limits. Unknown keys, and what one setting demands of another, are looked after where the
file is read (`sections`, `accounts`), because all mistakes are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from longwire.config.secrets import Secret
from longwire.config.webhooks import Webhook
from longwire_protocol.declaration import Rates, Supported

_DAY_S = 86_400.0
_SenderId = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class SupervisorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[supervisor]`."""

    data_dir: Path
    """Where the journal, sockets and state are, absolute; made with mode 0700. In the file relative to the
    file's own folder; `var` by default, so that a project keeps its data beside its configuration."""

    endpoints: tuple[str, ...]
    """Where clients connect, ipc paths absolute, at least one. In the file `endpoint`, a string or an array;
    by default `longwire.sock` in `data_dir`, which only the owner can enter."""

    connect_rate_per_s: Annotated[float, msgspec.Meta(gt=0.0, le=10_000.0)] = 50.0
    """New platform connections per second and connector. 50: a hundred accounts are up within seconds, and a
    platform does not see a thundering herd."""

    connect_burst: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 50
    """Connections of a connector that may be opened at once before the rate bites. 50: a second's worth."""

    tenant_connect_rate_per_s: Annotated[float, msgspec.Meta(gt=0.0, le=10_000.0)] = 50.0
    """The same for one tenant's accounts of a connector. 50: a tenant that is alone has the whole rate; where
    several wait they take turns anyway."""

    tenant_connect_burst: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 50
    """Connections of one tenant's accounts of a connector that may be opened at once."""

    dedup_window_s: Annotated[float, msgspec.Meta(ge=1.0, le=30 * _DAY_S)] = _DAY_S
    """For how long a redelivery is recognised, at least. 86,400: Lark delivers for the last time after 7 h; a
    key costs 2 bytes of memory and 20 of disk meanwhile."""

    journal_max_bytes: Annotated[int, msgspec.Meta(ge=1_048_576, le=2**50)] = 2 * 1024**3
    """How large the journal may grow, free pages and the write-ahead log apart. Then the oldest events go,
    also those that a subscription has not acknowledged. 2 GiB: 1.4 million events with texts of 500
    characters, a busy company's week, and no disk's problem."""

    journal_max_age_s: Annotated[float, msgspec.Meta(ge=1.0, le=3_660 * _DAY_S)] = 7 * _DAY_S
    """How long an event stays that every durable subscription has acknowledged. 7 days: last week's trouble
    can be looked at and replayed."""

    ack_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=_DAY_S)] = 30.0
    """How long a subscriber may take to acknowledge an event before it has failed. 30: longer than most
    effects of a message take, short enough that nobody gives up on the bot."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    """After how many failures an event becomes a dead letter of its subscription. 10: with the backoff some
    three minutes, which outlasts the restart of what the subscriber depends on."""

    chat_block_max_s: Annotated[float, msgspec.Meta(ge=0.1, le=7 * _DAY_S)] = 600.0
    """How long a failing event may hold up its chat; its next failure makes it a dead letter. 600: after ten
    minutes nobody waits for the answer any more, and those behind it do."""


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[defaults]` and what an account sets itself. Seconds, unless the name says otherwise."""

    isolation: Literal["fork", "spawn"]
    """How the child is made: forked from a warm template of its connector, or a fresh process. By default
    `fork` where the connector declares that it may be."""

    python: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """The Python that runs the child and its template, absolute, links not followed; in the file relative to
    the file's own folder. `None`: the supervisor's own, which most need."""

    heartbeat_interval_s: Annotated[float, msgspec.Meta(ge=0.05, le=60.0)] = 1.0
    """How often the child's loop says that it turns. 1: a hundred children cost under 1 % of a core, and a
    hang is known to the second."""

    heartbeat_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3_600.0)] = 5.0
    """Silence after which the child counts as hung and is killed; longer than the interval. 5: a few beats
    may be lost to a garbage collection or a busy machine."""

    start_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3_600.0)] = 60.0
    """How long the child may take until its SDK is imported and its loop turns. Time in which it waits for a
    CPU does not count, so a start of many cannot end itself. 60: twenty times what lark-oapi takes."""

    link_timeout_s: Annotated[float, msgspec.Meta(ge=0.5, le=_DAY_S)] = 60.0
    """How old the peer's last frame or pong may get; the child pings every third of it. 60: a ping each 20 s
    also keeps NAT tables and proxies warm, which forget after 30 s and more."""

    is_link_timeout_explicit: bool = False
    """Whether the file sets `link_timeout_s`, here or in `[defaults]`; no key of the file. Lark's pong window
    follows a chosen value where it is the longer."""

    stop_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=600.0)] = 4.0
    """The whole of a stop, from the request to the process being gone. 4: honcho kills after 5."""

    stable_after_s: Annotated[float, msgspec.Meta(ge=0.0, le=_DAY_S)] = 60.0
    """How long a link must have been proven until the backoff returns to its beginning. 60: not less than the
    longest usual delay, so that a platform that accepts and drops counts as failing."""

    backoff_initial_s: Annotated[float, msgspec.Meta(ge=0.0, le=_DAY_S)]
    """d of the first retry; the delay is uniform in [d/2, d]. By default what the connector declares, as
    platforms differ in patience (Lark 0.1, DingTalk 20). 0: at once."""

    backoff_max_s: Annotated[float, msgspec.Meta(ge=0.0, le=_DAY_S)]
    """Cap of d = min(max, initial x 2^n); not under the initial one. By default what the connector declares
    (Lark 60, DingTalk 300)."""

    memory_limit_mb: Annotated[int, msgspec.Meta(ge=16, le=1_048_576)] = 256
    """Memory in MiB at which the child is replaced, planned and without loss: its proportional share (PSS),
    or all of it (RSS) where that cannot be read. 256: a child with all of lark-oapi imported has 161."""

    cpu_limit_percent: Annotated[float, msgspec.Meta(ge=0.0, le=100_000.0)] = 0.0
    """CPU, in percent of one core, over which the child is replaced likewise. 0: none, as a storm of events
    is honest work, and a loop that no longer turns is noticed by its heartbeats."""

    cpu_window_s: Annotated[float, msgspec.Meta(ge=1.0, le=3_600.0)] = 60.0
    """Over how long that is measured, at least; the child is looked at every 5 to 10 s. 60: starting, and
    catching up after an outage, take some seconds of a whole core."""

    allow_senders: Annotated[tuple[_SenderId, ...], msgspec.Meta(max_length=500)] | None = None
    """Who may talk to the account: ids of senders, of any kind their platform has (Lark open_id, union_id,
    user_id; DingTalk staff id, sender id), `*` for everybody. What others send is acknowledged to the
    platform and goes no further; events that nobody sent pass. `None`: everybody, so that a bot answers
    before anyone has read this. 500 of 100 characters fit the pipe by which the child gets them."""

    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 0
    """Niceness of the child, where the supervisor's own is not higher. 0: it gets its share like anyone."""

    max_open_files: Annotated[int, msgspec.Meta(ge=64, le=1_048_576)] = 1024
    """Descriptors the child may have open, soft and hard limit (RLIMIT_NOFILE), where the supervisor itself
    may have as many. 1024: a connected child has 20, and one that leaks them meets its own limit first."""


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`[accounts.NAME]`, complete. Equal means: nothing to do at a reload. Its repr shows no secret."""

    account: str
    """The name, unique in the file."""

    connector: str
    """Which connector drives it."""

    platform: str
    """`platform` of its events, as the connector declares it."""

    app: str | None = None
    """Its app's name on the platform, which says whether it is still the same bot; `None` where the connector
    has none, or where that is a secret."""

    methods: tuple[str, ...] = ()
    """Commands that the connector knows."""

    is_overlap_allowed: bool = False
    """Whether its platform bears two connections of the account for a moment."""

    link_burst: int | None = None
    """New connections of the account that its platform bears in short order; `None` for any number."""

    repeat_window_s: float = 0.0
    """For how long its platform recognises a command that is repeated."""

    rates: Rates = Rates()
    """What its platform publishes of its limits for commands."""

    supported: Supported = Supported()
    """What its commands take, and what its platform lacks."""

    tenant: str = "default"
    """To whom it belongs. `default` serves those who have only one."""

    allow_shared_app: bool = False
    """Whether another account may use the same app, though the platform then deals events out at random."""

    settings: AccountSettings

    options: Mapping[str, object]
    """The connector's own keys as the file gives them, secrets resolved and wrapped in `Secret`."""

    def plain_options(self) -> dict[str, Any]:
        """Return the options with their secrets in the clear: for the child's private descriptor alone."""
        return {
            key: value.reveal() if isinstance(value, Secret) else value for key, value in self.options.items()
        }

    def secret_values(self) -> tuple[str, ...]:
        """Return the secrets in the clear: what a `Redactor` has to blank."""
        return tuple(value.reveal() for value in self.options.values() if isinstance(value, Secret))


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration that passed every check."""

    supervisor: SupervisorSettings
    accounts: Mapping[str, AccountConfig]
    """By name, in the order of the file."""

    webhooks: Mapping[str, Webhook] = {}
    """Likewise."""

    path: Path | None = None
    """The file it came from, absolute; `None` for a host's own mapping."""

    def secret_values(self) -> Iterator[str]:
        """Yield all secrets in the clear: what a log must not show."""
        for account in self.accounts.values():
            yield from account.secret_values()
        for webhook in self.webhooks.values():
            yield from webhook.secret_values()
