"""`python` and `[connectors.NAME]`: which interpreter runs an account, and what is installed there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fakes.configuration import BASE, OTHER, SPECS, THIRD, lark, one, problems, read, specs_of
from longwire.config import from_mapping
from longwire_protocol.declaration import ConnectorSpec
from longwire_protocol.errors import ConfigError, Problem

EXTRA = {"connector": "extra", "python": OTHER}


def pythons(values: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: account.settings.python for name, account in read(values).accounts.items()}


class TestConnectorTable:
    def test_it_stands_between_the_account_and_the_defaults(self) -> None:
        values = {
            "defaults": {"stop_timeout_s": 1, "stable_after_s": 1, "backoff_initial_s": 1},
            "connectors": {"dingtalk": {"stop_timeout_s": 2, "stable_after_s": 2, "backoff_max_s": 60}},
            "accounts": {
                "ding": {"connector": "dingtalk", "client_id": "1", "stop_timeout_s": 3},
                "lark": lark(),
            },
        }

        accounts = read(values).accounts

        ding, other = accounts["ding"].settings, accounts["lark"].settings
        assert (ding.stop_timeout_s, ding.stable_after_s) == (3.0, 2.0)
        assert (ding.backoff_initial_s, ding.backoff_max_s) == (1.0, 60.0)
        assert (other.stop_timeout_s, other.stable_after_s, other.backoff_max_s) == (1.0, 1.0, 60.0)

    def test_link_timeout_counts_as_chosen_where_it_sets_it(self) -> None:
        config = read({"connectors": {"lark": {"link_timeout_s": 60}}, **one()})

        assert config.accounts["acme"].settings.is_link_timeout_explicit

    def test_its_mistakes_are_reported_at_their_place(self) -> None:
        found = problems(
            {
                "defaults": {"backoff_initial_s": 5},
                "connectors": {
                    "lark": {"stop_timout_s": 2, "app_id": "1"},
                    "dingtalk": {"backoff_max_s": 1},
                    "sink": 7,
                    "slack": {},
                },
                **one(),
            }
        )

        assert "did you mean stop_timeout_s" in found["connectors.lark.stop_timout_s"]
        assert "unknown key" in found["connectors.lark.app_id"]
        assert "own options stand in its accounts" in found["connectors.lark.app_id"]
        assert "at least backoff_initial_s" in found["connectors.dingtalk.backoff_max_s"]
        assert found["connectors.sink"] == "expected a table, got an integer"
        assert "installed are broken, dingtalk, lark, sink" in found["connectors.slack"]
        assert len(found) == 5

    def test_fork_is_refused_there_to_a_connector_that_may_not_be(self) -> None:
        values = {
            "connectors": {"dingtalk": {"isolation": "fork"}},
            "accounts": {"ding": {"connector": "dingtalk", "client_id": "1"}},
        }

        found = problems(values)["connectors.dingtalk.isolation"]
        assert "does not declare" in found
        assert 'leave it out, or isolation = "spawn"' in found


class TestInterpreter:
    def test_our_own_is_the_default(self) -> None:
        assert pythons(one()) == {"acme": None}

    @pytest.mark.parametrize(
        ("layers", "found"),
        [
            ({"defaults": {"python": OTHER}}, OTHER),
            ({"connectors": {"lark": {"python": OTHER}}}, OTHER),
            ({"connectors": {"dingtalk": {"python": OTHER}}}, None),
            ({"defaults": {"python": OTHER}, "connectors": {"lark": {"python": THIRD}}}, THIRD),
        ],
    )
    def test_the_nearest_one_counts(self, layers: Mapping[str, Any], found: str | None) -> None:
        assert pythons({**layers, **one()}) == {"acme": found}

    def test_one_that_no_account_uses_is_asked_too(self) -> None:
        values = {"defaults": {"python": "/nowhere"}, **one(python=OTHER)}

        assert problems(values) == {"defaults.python": "no connectors in /nowhere"}

    def test_its_path_counts_from_the_files_folder_and_links_are_not_followed(self) -> None:
        asked: list[str | None] = []

        def describe(python: str | None) -> Mapping[str, ConnectorSpec]:
            asked.append(python)
            return SPECS

        values = {"defaults": {"python": "venv/../venv/bin/python"}, **one()}
        config = from_mapping(values, base=BASE, specs=describe, environ={})

        assert config.accounts["acme"].settings.python == f"{BASE}/venv/bin/python"
        assert asked == [f"{BASE}/venv/bin/python"], "our own is not asked where nobody needs it"

    def test_connectors_may_be_installed_there_alone(self) -> None:
        values = {"connectors": {"extra": {"stop_timeout_s": 1}}, "accounts": {"a": EXTRA, "b": lark()}}

        account = read(values).accounts["a"]

        assert (account.platform, account.methods, account.settings.stop_timeout_s) == ("extra", ("wave",), 1)

    def test_a_connector_installed_elsewhere_is_unknown_in_ours(self) -> None:
        found = problems({"connectors": {"extra": {}}, "accounts": {"a": {"connector": "extra"}}})

        assert sorted(found) == ["accounts.a.connector", "connectors.extra"]

    def test_the_declaration_is_that_of_the_interpreter(self) -> None:
        found = problems({"accounts": {"a": {"connector": "sink", "python": OTHER}}})

        assert "installed are dingtalk, extra, lark" in found["accounts.a.connector"]

    def test_one_that_cannot_be_asked_is_reported_wherever_it_is_named_and_nowhere_else(self) -> None:
        values = {
            "defaults": {"python": "/nowhere"},
            "connectors": {"dingtalk": {"python": "/nowhere"}, "lark": {}},
            "accounts": {"a": lark(stop_timeout_s="soon"), "b": {}, "c": {"connector": 5}},
        }

        found = problems(values)

        assert sorted(found) == [
            "accounts.a.stop_timeout_s",
            "accounts.c.connector",
            "connectors.dingtalk.python",
            "defaults.python",
        ]
        assert found["defaults.python"] == "no connectors in /nowhere"

    @pytest.mark.parametrize("python", ["", "~nobody-of-that-name/python", "a\0b", 7])
    def test_a_path_that_cannot_be_is_refused_once(self, python: object) -> None:
        assert list(problems(one(python=python))) == ["accounts.acme.python"]

    def test_our_own_that_cannot_be_asked_is_reported_once_without_a_place(self) -> None:
        asked: list[str | None] = []

        def describe(python: str | None) -> Mapping[str, ConnectorSpec]:
            asked.append(python)
            if python is None:
                raise ConfigError([Problem("", "it hangs")])
            return specs_of(python)

        values = {"accounts": {"a": lark(), "b": lark(app_id="2"), "c": EXTRA}}
        with pytest.raises(ConfigError) as caught:
            from_mapping(values, base=BASE, specs=describe, environ={})

        assert caught.value.problems == (Problem("", "it hangs"),)
        assert asked.count(None) == 1
