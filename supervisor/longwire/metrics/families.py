"""The families of metrics that a status gives. Pure.

Of a client of Prometheus only the data types are used here; the library's own exposition writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from longwire.metrics.catalogue import GROUPS, PREFIX, UP, Group, Measure
from longwire.metrics.records import Record, at


def families(status: Record | None) -> list[Metric]:
    """Return the metrics of a status, as `status --json` prints it; `None` if the supervisor did not answer.

    What is null or not there has no sample, and what has no sample is left out.
    """
    found = [GaugeMetricFamily(PREFIX + UP.name, UP.help, value=float(status is not None))]
    if status is None:
        return [*found]
    made = (_family(group, measure, group.records(status)) for group, measure in _all())
    return [*found, *(family for family in made if family.samples)]


def described() -> list[Metric]:
    """Return every family that there can be, without samples."""
    return [GaugeMetricFamily(PREFIX + UP.name, UP.help), *(_family(*each, ()) for each in _all())]


def as_data(found: Iterable[Metric]) -> list[dict[str, Any]]:
    """Return families as plain data; a family has the name of its samples."""
    return [
        {
            "name": family.samples[0].name,
            "type": family.type,
            "help": family.documentation,
            "samples": [{"labels": sample.labels, "value": sample.value} for sample in family.samples],
        }
        for family in found
    ]


def _all() -> Iterator[tuple[Group, Measure]]:
    return ((group, measure) for group in GROUPS for measure in group.measures)


def _family(group: Group, measure: Measure, records: Iterable[Record]) -> Metric:
    labels = [*group.labels, *(["state"] if measure.states else [])]
    values: dict[tuple[str, ...], float] = {}
    for record in records:
        names = [_label(at(record, path)) for path in group.labels.values()]
        for more, value in _values(measure, at(record, measure.path)):
            key = (*names, *more)
            values[key] = values.get(key, 0.0) + value
    kind = CounterMetricFamily if measure.is_counter else GaugeMetricFamily
    family = kind(PREFIX + measure.name, measure.help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _values(measure: Measure, found: Any) -> Iterator[tuple[Sequence[str], float]]:
    """Yield the samples of a field, each with the labels that it has beside its record's."""
    if found is None:
        return
    if not measure.states:
        yield (), found * measure.factor
        return
    for state in dict.fromkeys([*measure.states, str(found)]):  # a newer supervisor may have one more
        yield (state,), float(state == found)


def _label(value: object) -> str:
    """Return a label's value; an empty one is the same to Prometheus as none."""
    return "" if value is None else str(value)
