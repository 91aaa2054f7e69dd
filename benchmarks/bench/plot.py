"""The pictures, as SVG: black and white, so that a printer and every eye can tell things apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import bars, curves, timeline
from bench.rows import Row

_PICTURES = {
    "benchmark.svg": (bars.draw, "ratio: Longwire / the other"),
    "fleet.svg": (curves.draw, "accounts online, on a logarithmic scale like the costs"),
    "blackout.svg": (timeline.draw, "a second is a bar above; status is asked each second below"),
}
"""Each with what draws it, and what is said under it."""

_TOLD = ("cores", "python", "fsync_ms", "load", "load_at_end", "stolen_percent")
"""Of the machine, under each picture."""


def draw(rows: Sequence[Row], machine: dict[str, Any], folder: Path) -> list[Path]:
    """Write each picture that there are rows for; the same rows give the same files.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib as mpl  # noqa: PLC0415  # only who draws needs it

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    told = ", ".join(f"{key} {machine.get(key, '-')}" for key in _TOLD)
    drawn: list[Path] = []
    # Ids that do not change, no date, text as text.
    with mpl.rc_context({"svg.hashsalt": "longwire", "svg.fonttype": "none", "hatch.linewidth": 0.6}):
        for name, (picture, caption) in _PICTURES.items():
            figure = picture(plt, rows)
            if figure is None:
                continue
            figure.supxlabel(f"{caption}. {told}", fontsize=9)
            figure.savefig(folder / name, format="svg", metadata={"Date": None})
            plt.close(figure)
            drawn.append(folder / name)
    return drawn
