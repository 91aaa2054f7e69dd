"""The picture of what was measured beside several others: a panel of bars for each figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.rows import Bounds, Row

_COLUMNS = 2
_WIDTH_IN = 11.0
_BAR_IN, _FRAME_IN = 0.34, 0.95
"""Height of a bar, and of what stands above and below the bars of a panel."""

_ROOM = 1.75
"""How far the axis goes beyond the longest bar, for the labels."""

_OURS = {"color": "black"}
_OTHERS = {"color": "white", "edgecolor": "black", "hatch": "///"}
_WHOLE = 100


def draw(plt: Any, rows: Sequence[Row]) -> Any:
    """Return the figure, `None` where nothing has several baselines."""
    panels = _panels(rows)
    if not panels:
        return None
    lines = [panels[at : at + _COLUMNS] for at in range(0, len(panels), _COLUMNS)]
    bars = [1 + max(len(panel) for panel in line) for line in lines]
    heights = [_FRAME_IN + _BAR_IN * count for count in bars]
    figure, axes = plt.subplots(
        len(lines),
        _COLUMNS,
        figsize=(_WIDTH_IN, sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for number, axis in enumerate(axes.flat):
        if number < len(panels):
            _panel(axis, panels[number], bars=bars[number // _COLUMNS])
        else:
            axis.set_axis_off()
    return figure


def _panels(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows that have a named baseline, those of one value together."""
    panels: dict[str, list[Row]] = {}
    for row in rows:
        if row.against:
            panels.setdefault(row.name, []).append(row)
    return list(panels.values())


def _panel(axis: Any, rows: Sequence[Row], *, bars: int) -> None:
    """Draw our bar and those of the others, the ratio behind each, with room for so many."""
    first = rows[0]
    _bar(axis, "Longwire", first.value, first.bounds, label=_number(first.value), style=_OURS)
    for row in rows:
        value = row.baseline or 0.0
        label = f"{_number(value)} (ratio {row.ratio:.2f})" if row.ratio else _number(value)
        _bar(axis, row.against, value, row.baseline_bounds, label=label, style=_OTHERS)
    better = "more" if first.unit.endswith("/s") else "less"
    axis.set_title(f"{first.name} [{first.unit}; {better} is better]", loc="left", fontsize=10)
    axis.set_xlim(0, _ROOM * max([first.value, *(row.baseline or 0.0 for row in rows)]))
    axis.set_ylim(bars - 0.5, -0.5)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.locator_params(axis="x", nbins=5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=9)


def _bar(
    axis: Any, name: str, value: float, bounds: Bounds | None, *, label: str, style: dict[str, str]
) -> None:
    """Draw one bar, and from the lowest to the highest of its rounds a line."""
    end = value
    axis.barh([name], [value], height=0.7, **style)
    if bounds is not None:
        end = max(value, bounds.high)
        axis.errorbar(
            [value], [name], xerr=[[value - bounds.low], [bounds.high - value]], color="gray", capsize=3
        )
    axis.annotate(label, (end, name), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"
