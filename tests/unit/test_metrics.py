"""Which metrics a status gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from fakes.filled import Filled
from longwire.cli.metrics import REQUIREMENT
from longwire.lifecycle import State
from longwire.metrics import catalogue
from longwire.metrics.families import as_data, described, families
from longwire.metrics.server import Page
from longwire.status import Status, SupervisorStatus
from longwire.webhooks.status import CourierStatus, TargetStatus

ROOT = Path(__file__).parents[2]
ALL = Filled(Status)

LEFT_OUT = {
    "supervisor.pid",  # which one it is is no quantity; so for the following
    "supervisor.templates.pid",
    "accounts.pid",
    "accounts.incarnation",
    "accounts.template_pid",
    "courier.pid",
    "accounts.queued",  # the same as sending.queued
    "accounts.phase_since",  # no phase without its name
    "accounts.sending.retry_after_ms",  # what is configured, or follows from it
    "accounts.sending.rates.app.most",
    "accounts.sending.rates.app.within_s",
    "accounts.sending.rates.chat.most",
    "accounts.sending.rates.chat.within_s",
    "accounts.limits.cpu_percent",
    "accounts.limits.open_files",
    "accounts.limits.nice",
    "subscriptions.ack_timeout_s",
    "subscriptions.max_attempts",
    "subscriptions.chat_block_max_s",
    "webhooks.last_error.status",
}
"""Numbers of the status that no metric shows."""

LABELS = {
    "supervisor.version",
    "supervisor.templates.connector",
    "supervisor.templates.python",
    "supervisor.outages.connector",
    "accounts.account",
    "accounts.tenant",
    "accounts.connector",
    "subscriptions.name",
    "subscriptions.filters.tenant",
    "webhooks.name",
    "webhooks.tenant",
}
"""Texts of the status that are labels. No other leaves it: messages and URLs could hold a secret."""


def text_of(status: Any) -> str:
    return generate_latest(Page(lambda: status)).decode()


def samples(found: Iterable[Metric]) -> dict[str, list[tuple[dict[str, str], float]]]:
    return {
        family.samples[0].name: [(sample.labels, sample.value) for sample in family.samples]
        for family in found
    }


def one(status: dict[str, Any], name: str) -> float:
    (sample,) = samples(families(status))[f"longwire_{name}"]
    return sample[1]


def test_every_number_of_the_status_is_a_metric_or_left_out_on_purpose() -> None:
    values = {sample.value for family in families(ALL.data) for sample in family.samples}
    factors = (1.0, 1e-3, 1e-2, 2.0**20)
    shown = {
        path for path, number in ALL.numbers.items() if any(number * factor in values for factor in factors)
    }

    assert ALL.numbers.keys() - shown == LEFT_OUT


def test_every_metric_is_in_a_status_that_has_everything() -> None:
    assert samples(families(ALL.data)).keys() == {
        family.name + ("_total" if family.type == "counter" else "") for family in described()
    }


def test_nothing_but_names_becomes_a_label() -> None:
    text = text_of(ALL.data)

    assert {path for path, said in ALL.texts.items() if f'"{said}"' in text} == LABELS
    assert {*re.findall(r"text-of-[\w.]+", text)} == {ALL.texts[path] for path in LABELS}


@pytest.mark.parametrize(
    ("struct", "field", "states"),
    [
        (SupervisorStatus, "state", catalogue.SUPERVISOR_STATES),
        (CourierStatus, "state", catalogue.COURIER_STATES),
        (TargetStatus, "state", catalogue.WEBHOOK_STATES),
        (TargetStatus, "breaker", catalogue.BREAKER_STATES),
    ],
)
def test_the_states_are_those_of_the_status(
    struct: type[msgspec.Struct], field: str, states: tuple[str, ...]
) -> None:
    kind = next(each.type for each in msgspec.structs.fields(struct) if each.name == field)
    found = inspect.type_info(kind)
    kinds = found.types if isinstance(found, inspect.UnionType) else (found,)
    values = [value for kind in kinds if isinstance(kind, inspect.LiteralType) for value in kind.values]
    assert sorted(states) == sorted(map(str, values))


def test_the_states_of_accounts_are_those_of_the_lifecycle() -> None:
    assert [*State] == [*catalogue.ACCOUNT_STATES]


def test_a_supervisor_that_does_not_answer_is_down_and_has_nothing_else() -> None:
    assert samples(families(None)) == {"longwire_up": [({}, 0.0)]}


def test_one_of_another_version_has_the_metrics_of_the_fields_it_sends() -> None:
    account = {"account": "a", "state": "dreaming", "liveness": None, "counters": None, "last_error": "odd"}
    found = samples(families({"supervisor": {"uptime_s": 1.5}, "accounts": [account], "courier": None}))

    states = found.pop("longwire_account_state")
    assert found == {
        "longwire_up": [({}, 1.0)],
        "longwire_supervisor_uptime_seconds": [({}, 1.5)],
        "longwire_info": [({"version": ""}, 1.0)],
    }
    assert [(labels["state"], value) for labels, value in states if value] == [("dreaming", 1.0)]
    assert len(states) == len(catalogue.ACCOUNT_STATES) + 1


def test_an_account_is_in_one_of_its_states() -> None:
    account = {"account": "a", "tenant": "acme", "connector": "lark", "state": "backoff"}

    assert samples(families({"accounts": [account]}))["longwire_account_state"] == [
        (
            {"account": "a", "tenant": "acme", "connector": "lark", "state": state},
            float(state == "backoff"),
        )
        for state in catalogue.ACCOUNT_STATES
    ]


def test_what_is_null_or_not_there_is_left_out() -> None:
    accounts = [{"account": "a", "rss_bytes": None, "last_error": None}, {"account": "b", "rss_bytes": 7}, {}]
    found = samples(families({"accounts": accounts}))

    assert found["longwire_account_resident_memory_bytes"] == [
        ({"account": "b", "tenant": "", "connector": ""}, 7.0)
    ]
    assert "longwire_account_last_error_timestamp_seconds" not in found


def test_units_are_the_base_units() -> None:
    account = {"cpu_percent": 50.0, "limits": {"memory_mb": 256}}
    status = {"accounts": [account], "courier": {"loop_lag_p99_ms": 250.0}}

    assert one(status, "account_cpu_ratio") == 0.5
    assert one(status, "account_memory_limit_bytes") == 256 * 2**20
    assert one(status, "courier_loop_lag_p99_seconds") == 0.25


def test_templates_that_differ_in_nothing_are_added_up() -> None:
    lark = {"connector": "lark", "python": None, "state": "retired", "children": 2, "rss_bytes": 10}
    gone = {**lark, "rss_bytes": None}
    ready = {**lark, "state": "ready"}
    found = samples(families({"supervisor": {"templates": [lark, gone, ready]}}))

    retired = {"connector": "lark", "python": "", "state": "retired"}
    assert found["longwire_templates"] == [(retired, 2.0), ({**retired, "state": "ready"}, 1.0)]
    assert found["longwire_template_children"][0] == (retired, 4.0)
    assert found["longwire_template_resident_memory_bytes"][0] == (retired, 10.0)


def test_the_ends_of_commands_are_one_counter() -> None:
    outbox = {"done": 5, "failed": 1, "expired": 0, "uncertain": None, "queued": 3}

    assert samples(families({"supervisor": {"outbox": outbox}}))["longwire_commands_ended_total"] == [
        ({"outcome": "done"}, 5.0),
        ({"outcome": "failed"}, 1.0),
        ({"outcome": "expired"}, 0.0),
    ]


def test_layers_and_counters_of_an_account_are_told_apart() -> None:
    layers = {"loop": {"age_s": 0.5, "limit_s": 5.0}, "socket": {"age_s": None, "limit_s": 60.0}}
    account = {"account": "a", "liveness": layers, "counters": {"platform_calls": 3}}
    found = samples(families({"accounts": [account]}))
    a = {"account": "a", "tenant": "", "connector": ""}

    assert found["longwire_account_liveness_age_seconds"] == [({**a, "layer": "loop"}, 0.5)]
    assert found["longwire_account_liveness_limit_seconds"] == [
        ({**a, "layer": "loop"}, 5.0),
        ({**a, "layer": "socket"}, 60.0),
    ]
    assert found["longwire_account_counters_total"] == [({**a, "counter": "platform_calls"}, 3.0)]


def test_subscriptions_that_end_with_their_client_are_left_out() -> None:
    status = {"subscriptions": [{"name": "~1f", "lag": 1}, {"name": "bot", "lag": 2, "filters": {}}]}

    assert samples(families(status))["longwire_subscription_lag"] == [
        ({"subscription": "bot", "tenant": ""}, 2.0)
    ]


def test_the_text_is_read_by_the_parsers_as_it_was_meant() -> None:
    names = {"account": 'a"b\\c\nd', "tenant": "租户", "connector": "lark", "state": "online", "events": 12}
    status = {**ALL.data, "accounts": [names]}
    expected = samples(families(status))

    assert samples(parse(text_of(status))) == expected
    strict = openmetrics.generate_latest(Page(lambda: status)).decode()
    assert samples(parse_openmetrics(strict)) == expected


def test_the_same_is_there_as_plain_data() -> None:
    data = as_data(families({"supervisor": {"outbox": {"done": 5}}}))

    assert data == [
        {
            "name": "longwire_up",
            "type": "gauge",
            "help": catalogue.UP.help,
            "samples": [{"labels": {}, "value": 1.0}],
        },
        {
            "name": "longwire_info",
            "type": "gauge",
            "help": "Always 1; its label has the supervisor's version.",
            "samples": [{"labels": {"version": ""}, "value": 1.0}],
        },
        {
            "name": "longwire_commands_ended_total",
            "type": "counter",
            "help": "Accepted commands that have ended, by how.",
            "samples": [{"labels": {"outcome": "done"}, "value": 5.0}],
        },
    ]


# What else names them.


def test_the_document_has_every_metric_with_its_labels_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(longwire_\w+)` \| ([^|]*)\| \S[^|]* \|$",
        (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    documented = {name: {*re.findall(r"`(\w+)`", labels)} for name, labels in rows}

    assert documented == {name: {*found[0][0]} for name, found in samples(families(ALL.data)).items()}
    assert len(rows) == len(documented)


def test_what_is_told_to_install_is_what_the_extra_says() -> None:
    assert f'metrics = ["{REQUIREMENT}"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
