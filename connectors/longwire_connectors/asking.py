"""What one HTTP call is, and what is known of it so far. Pure data; see `http`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import msgspec

from longwire_protocol.breaker import Event

NOTHING: Mapping[str, str] = MappingProxyType({})
FAIR_S = 3.0
"""A host that had less than this for its answer did not fail. Ten times what Lark takes; a client with
shorter deadlines shall not have the host left alone for everyone."""


class Reply(msgspec.Struct, frozen=True):
    """What was answered, whatever the status."""

    status: int
    headers: Mapping[str, str]
    """Their names are found in any case."""
    body: bytes

    def json(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, `None` if it is none."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None


class Part(msgspec.Struct, frozen=True):
    """One field of a multipart form."""

    name: str
    content: str | bytes | BinaryIO
    """A file is read in threads from where it stands, and closed at the end."""
    filename: str | None = None
    content_type: str | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it is asked for. The fields are the arguments of `Http.call`."""

    method: str
    url: str
    headers: Mapping[str, str] = NOTHING
    query: Mapping[str, str] = NOTHING
    data: bytes | None = None
    parts: Sequence[Part] = ()
    total_s: float
    is_harmless: bool

    @property
    def host(self) -> str:
        """Host and port, for people: nothing secret."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def origin(self) -> str:
        """What one breaker is for: scheme, host and port."""
        return f"{urlsplit(self.url).scheme}://{self.host}"


class Attempt(msgspec.Struct):
    """A call under way."""

    asked: Asked
    ends_at: float
    """Seconds, on the loop's clock."""
    was_sent: bool = False
    """Whether any of its bytes may be on the way."""
    is_queued: bool = False
    """Whether it waits for a place in the pool."""
    asked_at: float = 0.0
    """Since when the host was asked, on the loop's clock: without the wait for a place."""
    is_reused: bool = False
    """Whether it went over a connection that had been idle."""
    outcome: Event = Event.GIVEN_UP
    """As far as the host's breaker is concerned."""

    @property
    def was_host_given_time(self) -> bool:
        """Whether a timeout says something of the host, and not of our own pool or of a short deadline."""
        return not self.is_queued and self.ends_at - self.asked_at >= FAIR_S
