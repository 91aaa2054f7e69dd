"""URLs in the options of connectors, checked before anything is sent there."""

from __future__ import annotations

from typing import Annotated

import msgspec

HttpUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[1-9][0-9]{0,4})?(/[^\s?#@]*)?$",
        description="an http or https URL without user, query and fragment",
    ),
]
"""A pattern, so that `longwire check` knows it too, which sees no connector's code."""
