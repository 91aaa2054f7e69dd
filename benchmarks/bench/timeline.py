"""The picture of a blackout: attempts a second and accounts online, over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.rows import Row

_SIZE_IN = (9.0, 5.0)
_ATTEMPTS, _ONLINE = "blackout: attempts a second", "blackout: accounts online"
_LENGTH = "blackout: length"


def draw(plt: Any, rows: Sequence[Row]) -> Any:
    """Return the figure, `None` where no blackout was measured."""
    found = {row.name: row for row in rows}
    if not found.keys() >= {_ATTEMPTS, _ONLINE, _LENGTH}:
        return None
    figure, (above, below) = plt.subplots(2, 1, figsize=_SIZE_IN, sharex=True, layout="constrained")
    attempts, online = found[_ATTEMPTS], found[_ONLINE]
    above.bar(*_axes(attempts), width=1.0, align="edge", color="black")
    above.set_title(f"attempts a second at the platforms (at most {attempts.value:,.0f})", **_LEFT)
    below.step(*_axes(online), where="post", color="black", linewidth=1)
    below.set_title(f"accounts online ({online.value:,.0f} s until all are back)", **_LEFT)
    below.set_xlabel("seconds since the platforms went dark; dotted: dark and light again", fontsize=9)
    for axis in (above, below):
        for moment in (0.0, found[_LENGTH].value):
            axis.axvline(moment, color="gray", linestyle=":", linewidth=1)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=7)
    return figure


_LEFT: dict[str, Any] = {"loc": "left", "fontsize": 10}


def _axes(row: Row) -> tuple[list[float], list[float]]:
    return [at for at, _ in row.points], [value for _, value in row.points]
