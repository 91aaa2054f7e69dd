"""What the parent knows of a connector without importing its code.

`python -P -m longwire_connectors.describe` prints a `Description` as JSON, with a `ConnectorSpec` for each
entry point of the group; the parent checks the configuration against it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

ENTRY_POINT_GROUP: Final = "longwire.connectors"
"""Where a distribution names its connectors."""

OptionType = Literal[
    "string",
    "integer",
    "number",
    "boolean",
    "array of string",
    "array of integer",
    "array of number",
    "array of boolean",
    "any",
]
"""In the words of TOML. `any` is what these words cannot say; only the child checks such a value."""


class Constraints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of a value, as `msgspec.Meta` names them; for an array, of each of its items.

    The limits of an integer are integers.
    """

    ge: int | float | None = None
    gt: int | float | None = None
    le: int | float | None = None
    lt: int | float | None = None
    multiple_of: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None


class OptionSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a connector's own keys of an account."""

    name: str
    """The key, as the file writes it."""
    type: OptionType
    required: bool = False
    default: Any = None
    """What an absent key means; `None` for a required one and for one whose absence is its meaning."""
    description: str | None = None
    """For people, from `msgspec.Meta(description=...)`."""
    choices: tuple[str | int, ...] = ()
    """The only values allowed; empty where any will do."""
    constraints: Constraints = Constraints()
    is_secret: bool = False
    """Whether it may be written `env:NAME` or `file:PATH`, and must never be shown."""


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution that a connector's SDK consists of."""

    name: str
    wanted: str
    """As pip understands it, `websockets<16,>=13`."""
    installed: str | None
    """The version that is there."""


class Rate(msgspec.Struct, frozen=True):
    """So many requests within a time, as a platform publishes it."""

    most: int
    within_s: float


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What a platform takes of one app: each of these limits holds."""

    app: tuple[Rate, ...] = ()
    chat: tuple[Rate, ...] = ()
    """For each chat of it."""


class Supported(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a connector's commands can do, for clients that ask before they try (`get_supported`)."""

    contents: dict[str, tuple[str, ...]] = {}
    """By command, the kinds of content it takes: `text`, `markdown`, a type of segment, `card`, `stream`."""
    limits: dict[str, int] = {}
    """Sizes and lengths, named with their units: `image_bytes`, `text_bytes`."""
    missing: dict[str, str] = {}
    """Commands of the protocol that the platform has nothing for, each with the reason or what to do instead;
    they are answered with `UNSUPPORTED`."""
    unrepeatable: tuple[str, ...] = ()
    """Commands that may have a second effect when they are carried out again with the same key within
    `repeat_window_s`; of all others the platform recognises the repetition, or it changes nothing."""


class ConnectorSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A connector, or why there is none under this name."""

    name: str
    """As `connector` of an account names it."""
    distribution: str | None = None
    """What was installed, with its version, as `longwire 0.1.0`; several where they quarrel over the name."""
    error: str | None = None
    """Why it cannot be used; the other fields are then empty."""
    platform: str = ""
    options: tuple[OptionSpec, ...] = ()
    identity: str | None = None
    extra: str | None = None
    methods: tuple[str, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    """What its extra installs, by the distribution that defines it."""
    is_forkable: bool = False
    is_overlap_allowed: bool = False
    backoff_initial_s: float = 0.1
    backoff_max_s: float = 60.0
    link_burst: int | None = None
    repeat_window_s: float = 0.0
    rates: Rates = Rates()
    supported: Supported = Supported()


class Description(msgspec.Struct, frozen=True):
    """What an interpreter has installed."""

    protocol: int
    """`CHILD_PROTOCOL` of its longwire."""
    connectors: list[ConnectorSpec]
    version: str | None = None
    """Of its longwire; the first ones did not say."""
