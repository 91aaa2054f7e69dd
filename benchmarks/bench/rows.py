"""What a measure gives: rows, each with its baseline of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    """The lowest and the highest of several rounds."""

    low: float
    high: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    """The same thing without Longwire, measured in the same run; `None` where there is no such thing."""
    target: str
    """What `docs` demand, for people; nothing is asserted."""
    note: str = ""
    """What the baseline is, and what the reader must know."""
    against: str = ""
    """The baseline's name, where a value has several."""
    bounds: Bounds | None = None
    """Of the rounds whose median the value is; `None` where there was one."""
    baseline_bounds: Bounds | None = None
    accounts: int | None = None
    """With how many accounts it was measured, where it was measured with several numbers of them."""

    points: tuple[tuple[float, float], ...] = ()
    """What it was at which second, where that is drawn."""

    @property
    def title(self) -> str:
        """The name, and with how many accounts."""
        if self.accounts is None:
            return self.name
        return f"{self.name}, {self.accounts:,} account{'s' if self.accounts > 1 else ''}"

    @property
    def ratio(self) -> float | None:
        """The value in units of the baseline."""
        return self.value / self.baseline if self.baseline else None


class Target(msgspec.Struct, frozen=True):
    """What is demanded of the middle and of the tail."""

    p50: str
    tail: str


def spread(
    name: str,
    values: Sequence[float],
    *,
    tail: int,
    unit: str,
    target: Target,
    baseline: Sequence[float] | None = None,
    note: str = "",
) -> list[Row]:
    """Return two rows: the median and the percentile `tail` of the values, against those of the baseline."""
    return [
        Row(
            name=f"{name}, p{percent}",
            value=percentile(values, percent),
            unit=unit,
            baseline=percentile(baseline, percent) if baseline else None,
            target=demanded,
            note=note,
        )
        for percent, demanded in ((50, target.p50), (tail, target.tail))
    ]


def middle(
    name: str,
    values: Sequence[float],
    *,
    unit: str,
    target: str = "-",
    baseline: Sequence[float] = (),
    against: str = "",
    note: str = "",
) -> Row:
    """Return one row: the median of the rounds against that of the baseline's rounds."""
    return Row(
        name=name,
        value=statistics.median(values),
        unit=unit,
        baseline=statistics.median(baseline) if baseline else None,
        target=target,
        note=note,
        against=against,
        bounds=_bounds(values),
        baseline_bounds=_bounds(baseline),
    )


def _bounds(values: Sequence[float]) -> Bounds | None:
    return Bounds(min(values), max(values)) if len(values) > 1 else None


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile from 1 to 99, between the samples where it falls between them."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
