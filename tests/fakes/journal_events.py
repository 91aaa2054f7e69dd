"""Journal events and windows in few words."""

from __future__ import annotations

from longwire.delivery import Progress, Sends, Window, WindowLimits
from longwire.journal import Stored


def event(seq: int, chat: str | None = None, **fields: str) -> Stored:
    return Stored(
        seq,
        fields.get("account", "bot"),
        fields.get("tenant", "acme"),
        fields.get("type", "message.created"),
        chat,
        0.0,
        b"%d" % seq,
    )


def events(text: str, *, first: int = 1) -> list[Stored]:
    """One event for each letter, which names its chat; `-` for none."""
    return [event(first + n, None if chat == "-" else chat) for n, chat in enumerate(text)]


def window(text: str = "", *, credit: int | None = 100, limits: WindowLimits | None = None) -> Window:
    """A window with the sole consumer `c` and some events."""
    made = Window(Progress(0), head=0, limits=limits)
    if credit is not None:
        made.join("c", credit=credit)
    made.offer(events(text))
    return made


def seqs(sends: Sends, consumer: str = "c") -> list[int]:
    return [entry.seq for entry in sends.get(consumer, [])]


def attempts(sends: Sends) -> list[tuple[int, int]]:
    return [(entry.seq, entry.attempt) for entries in sends.values() for entry in entries]
