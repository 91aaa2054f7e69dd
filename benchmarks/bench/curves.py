"""The picture of growth: what fleets of different sizes cost, each cost over the number of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.rows import Row

_COLUMNS = 3
_PANEL_IN = (4.0, 3.0)
_ROOM = 1.6
"""How far the axis of accounts goes beyond the first and the last point: a factor."""

_MARGIN = 0.3
"""Of the other axis: for the labels and the legend."""

_GROWN = (
    "Lark: start to all online",
    "Lark: all memory",
    "Lark: children idle",
    "supervisor RSS",
    "supervisor idle",
    "status, p50",
)
"""Costs of all accounts together, so that one which grows as they do is parallel to the dotted line."""

_FEW = 10
"""Accounts from which on growth is looked at: with fewer one pays for what is there anyway."""

_WHOLE = 100


def draw(plt: Any, rows: Sequence[Row]) -> Any:
    """Return the figure, `None` where nothing was measured with several numbers of accounts."""
    curves = _curves(rows)
    if not curves:
        return None
    lines = -(-len(curves) // _COLUMNS)
    width, height = _PANEL_IN
    figure, axes = plt.subplots(
        lines, _COLUMNS, figsize=(width * _COLUMNS, height * lines), squeeze=False, layout="constrained"
    )
    for number, axis in enumerate(axes.flat):
        if number < len(curves):
            _panel(axis, curves[number])
        else:
            axis.set_axis_off()
    return figure


def _curves(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each cost that was measured with several numbers of accounts, fewest first."""
    found: dict[str, list[Row]] = {name: [] for name in _GROWN}
    for row in rows:
        if row.accounts is not None and row.value > 0 and row.name in found:
            found[row.name].append(row)
    return [sorted(curve, key=_accounts) for curve in found.values() if len(curve) > 1]


def _panel(axis: Any, curve: Sequence[Row]) -> None:
    """Draw what was measured, its baseline, and how it would grow in proportion."""
    sizes, values = [_accounts(row) for row in curve], [row.value for row in curve]
    few = next((row for row in curve if _accounts(row) >= _FEW), curve[-1])
    _line(axis, sizes, values, "Longwire", color="black", marker="o", markersize=4)
    if known := [row for row in curve if row.baseline]:
        baseline = [row.baseline or 0.0 for row in known]
        _line(axis, [_accounts(row) for row in known], baseline, "baseline", color="black", linestyle="--")
    later = [size for size in sizes if size >= _accounts(few)]
    in_proportion = [few.value / _accounts(few) * size for size in later]
    _line(axis, later, in_proportion, f"as {_accounts(few)} accounts, each", color="gray", linestyle=":")
    for size, value in zip(sizes, values, strict=True):
        axis.annotate(
            _number(value),
            (size, value),
            xytext=(0, -13),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    axis.set_title(f"{curve[0].name} [{curve[0].unit}]", loc="left", fontsize=10)
    axis.set_xlim(sizes[0] / _ROOM, sizes[-1] * _ROOM)
    axis.margins(y=_MARGIN)
    axis.minorticks_off()
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7, frameon=False, loc="upper left")


def _line(axis: Any, sizes: Sequence[int], values: Sequence[float], label: str, **style: Any) -> None:
    axis.loglog(sizes, values, label=label, linewidth=1, **style)


def _accounts(row: Row) -> int:
    return row.accounts or 1


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"
