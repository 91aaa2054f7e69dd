"""What the rest of the supervisor knows of the journal, and all of it.

Who takes events in (`longwire.intake`) and who hands them on (`longwire.deliveries`) are written against this
and not against SQLite, because a store that several machines share may stand here one day. Where that stands,
how it keeps within its limits, and how it is copied are a store's own matter (`longwire.keeper`, `copying.py`
for the one we have). What shows of it here is `removed_to`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from longwire.journal.records import Arrivals, CommandRow, Commit, Page, Stored

T = TypeVar("T")


class EventStore(Protocol):
    """The durable, ordered record of events, and small state by key. For one event loop.

    The methods that wait raise the errors of `longwire.journal.errors`; what each means is said there.
    """

    on_committed: Callable[[list[Stored]], None]
    """Called once per commit with the new events in `seq` order; none lies between two calls."""
    on_trouble: Callable[[str | None], None]
    """Called with a reason when commits begin to fail, with `None` when they work again."""

    @property
    def head(self) -> int:
        """The number of the last event that was published."""
        ...

    @property
    def removed_to(self) -> int:
        """Every event up to this number was removed, or is being removed; 0 if none was."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that no more is taken; ends with a commit."""
        ...

    @property
    def oldest_wait_s(self) -> float:
        """How long what waits to be written has waited; 0 if nothing does."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why commits fail at present; `None` if they do not."""
        ...

    @property
    def damage(self) -> str | None:
        """Which events were found to be unreadable; `None` if none were."""
        ...

    def append(self, arrivals: Arrivals, *, done: Callable[[Commit], None]) -> None:
        """Have the arrivals written in this order; `done` is called once they are durable, never before.

        What has a known account and `dedup_key` is not written again.
        """
        ...

    def record(self, arrivals: Arrivals, *, done: Callable[[Commit], None]) -> None:
        """As `append` for what must not be refused, because it has happened; the caller bounds how many."""
        ...

    async def open_commands(self) -> tuple[int, list[CommandRow]]:
        """Return the highest number there is (0 if none), and the commands that have not ended, in order."""
        ...

    async def find_command(
        self, *, receipt: str | None = None, scope: bytes | None = None
    ) -> CommandRow | None:
        """Return the durable command with this receipt, or else with this scope; `None` if there is none."""
        ...

    async def read(self, after_seq: int, *, limit: int, max_bytes: int) -> Page:
        """Return what comes after `after_seq`, and how far was looked."""
        ...

    def put_state(self, key: str, value: Any) -> None:
        """Have `value` written under `key` soon; the last one of several wins, `None` deletes."""
        ...

    def put_states(self, states: Mapping[str, Any]) -> None:
        """As `put_state` for several keys: all of them become durable, or none does."""
        ...

    async def save_state(self, key: str, value: Any) -> None:
        """Return when `value` is durable under `key`."""
        ...

    async def save_states(self, states: Mapping[str, Any]) -> None:
        """Return when all of these are durable; they become so together."""
        ...

    async def get_states(
        self, prefix: str, value_type: type[T], *, after: str = "", max_bytes: int | None = None
    ) -> dict[str, T]:
        """Return the durable values under keys that begin with `prefix`, after one, until `max_bytes`."""
        ...

    async def next_incarnation(self, account: str) -> int:
        """Return a number the account never had before, durable already."""
        ...

    async def close(self) -> bool:
        """Write what waits, as far as that goes in time; return whether all was."""
        ...
