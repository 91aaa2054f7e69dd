"""The configuration's values: which settings, options and secrets are taken, and how others are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.configuration import BASE, SPECS, one, problems, read, specs_of
from longwire.config import Config, Secret, from_mapping
from longwire.config.secrets import MAX_FILE_BYTES, Fetched, UnresolvableSecret, read_secret_file
from longwire_protocol.declaration import ConnectorSpec, OptionSpec
from longwire_protocol.errors import ConfigError, Problem


class TestValues:
    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("isolation", "thread", "must be 'fork' or 'spawn'"),
            ("heartbeat_interval_s", 0, "expected a number >= 0.05"),
            ("heartbeat_timeout_s", float("nan"), "nan is none"),
            ("link_timeout_s", float("inf"), "expected a number <= 86400"),
            ("link_timeout_s", 0.1, "expected a number >= 0.5"),
            ("stop_timeout_s", 0, "expected a number >= 0.1"),
            ("stop_timeout_s", 601, "expected a number <= 600"),
            ("stable_after_s", True, "expected a number, got true or false"),
            ("backoff_max_s", -1, "expected a number >= 0"),
            ("memory_limit_mb", 1.5, "expected an integer, got a number"),
            ("memory_limit_mb", 1, "expected an integer >= 16"),
        ],
    )
    def test_setting_is_checked_in_defaults_and_account(self, key: str, value: object, message: str) -> None:
        assert message in problems({"defaults": {key: value}, **one()})[f"defaults.{key}"]
        assert message in problems(one(**{key: value}))[f"accounts.acme.{key}"]

    @pytest.mark.parametrize(
        ("settings", "key", "message"),
        [
            ({"heartbeat_timeout_s": 1}, "heartbeat_timeout_s", "must be greater than heartbeat_interval_s"),
            ({"heartbeat_interval_s": 6}, "heartbeat_interval_s", "heartbeat_timeout_s = 5 must be greater"),
            (
                {"link_timeout_s": 1},
                "link_timeout_s",
                "must be greater than heartbeat_interval_s, which is 1",
            ),
            ({"backoff_initial_s": 9, "backoff_max_s": 8}, "backoff_max_s", "at least backoff_initial_s"),
        ],
    )
    def test_settings_must_fit_each_other(self, settings: dict[str, Any], key: str, message: str) -> None:
        assert message in problems({"defaults": settings, **one()})[f"defaults.{key}"]
        assert message in problems(one(**settings))[f"accounts.acme.{key}"]

    def test_setting_of_an_account_that_does_not_fit_the_defaults_is_reported_there(self) -> None:
        found = problems({"defaults": {"heartbeat_timeout_s": 10}, **one(heartbeat_interval_s=10)})

        assert list(found) == ["accounts.acme.heartbeat_interval_s"]

    def test_default_that_does_not_fit_a_connectors_is_reported_once(self) -> None:
        ding = {"connector": "dingtalk"}
        values = {
            "defaults": {"backoff_max_s": 10},
            "accounts": {"a": {**ding, "client_id": "1"}, "b": {**ding, "client_id": "2"}},
        }

        assert problems(values) == {
            "defaults.backoff_max_s": "backoff_max_s = 10 must be at least backoff_initial_s, which is 20"
        }

    def test_connector_whose_own_defaults_do_not_fit_is_reported_at_the_account(self) -> None:
        odd = ConnectorSpec(name="odd", backoff_initial_s=9, backoff_max_s=1)

        found = problems({"accounts": {"a": {"connector": "odd"}}}, specs={"odd": odd})

        assert list(found) == ["accounts.a.connector"]

    def test_broken_setting_causes_no_second_problem(self) -> None:
        values = {"defaults": {"heartbeat_timeout_s": "5"}, **one(heartbeat_interval_s=10, link_timeout_s=11)}

        assert list(problems(values)) == ["defaults.heartbeat_timeout_s"]


class TestOptions:
    def test_given_options_are_kept_and_absent_ones_left_to_the_connector(self) -> None:
        values = {"level": 3, "ratio": 2, "quick": True, "mode": "b", "tags": ["aa"], "extra": {"x": [1]}}

        account = read({"accounts": {"a": {"connector": "sink", **values}}}).accounts["a"]

        assert account.options == values
        assert read({"accounts": {"a": {"connector": "sink"}}}).accounts["a"].options == {}

    @pytest.mark.parametrize(
        ("key", "value", "place", "message"),
        [
            ("level", 9, "level", "expected an integer <= 5"),
            ("level", "3", "level", "expected an integer, got a string"),
            ("ratio", 0, "ratio", "expected a number > 0"),
            ("ratio", float("nan"), "ratio", "nan is none"),
            ("quick", 1, "quick", "expected true or false, got an integer"),
            ("mode", "c", "mode", "must be 'a' or 'b'"),
            ("tags", "aa", "tags", "expected an array, got a string"),
            ("tags", ["aa", 5], "tags[1]", "expected a string, got an integer"),
            ("tags", ["aa", "b"], "tags[1]", "expected a string of length >= 2"),
        ],
    )
    def test_wrong_option_is_refused(self, key: str, value: object, place: str, message: str) -> None:
        found = problems({"accounts": {"a": {"connector": "sink", key: value}}})

        assert message in found[f"accounts.a.{place}"]

    def test_missing_option_is_refused_with_its_meaning(self) -> None:
        found = problems({"accounts": {"a": {"connector": "lark"}}})

        assert found["accounts.a.app_id"].endswith("needs it: The App ID of the app.")
        assert found["accounts.a.app_secret"].endswith("needs it")

    def test_pattern_of_an_option_is_checked(self) -> None:
        assert "matching" in problems(one(domain="open.feishu.cn"))["accounts.acme.domain"]

    def test_variable_in_an_option_that_is_no_secret_is_refused(self) -> None:
        assert "for secrets only" in problems(one(app_id="env:APP_ID"))["accounts.acme.app_id"]


class TestSecrets:
    def test_literal_is_taken_as_it_stands(self) -> None:
        assert read(one(app_secret=" lit: eral ")).accounts["acme"].secret_values() == (" lit: eral ",)

    def test_variable_is_read_from_the_environment(self) -> None:
        account = read(one(app_secret="env:S"), environ={"S": "from-env"}).accounts["acme"]

        assert account.secret_values() == ("from-env",)
        assert account.plain_options() == {"app_id": "cli_1", "app_secret": "from-env"}

    @pytest.mark.parametrize("written", ["file:/run/s", "file:../../run/s"])
    def test_file_is_read_without_its_last_newline(self, written: str) -> None:
        files = {"/run/s": "from-file\n", "/srv/bots/../../run/s": "from-file\r\n"}

        assert read(one(app_secret=written), files=files).accounts["acme"].secret_values() == ("from-file",)

    @pytest.mark.parametrize(
        ("written", "message"),
        [
            ("env:S", "the environment variable S is not set"),
            ("env:EMPTY", "the environment variable EMPTY is empty"),
            ("env:not a name", "name of an environment variable"),
            ("env:", "name of an environment variable"),
            ("file:/none", "the file /none cannot be read: No such file or directory"),
            ("file:/empty", "the file /empty is empty"),
            ("file:", "followed by a path"),
            ("file:~nobody-of-that-name/x", "home folder"),
            ("", "the secret is empty"),
            (5, "expected a string"),
        ],
    )
    def test_secret_that_is_not_there_is_refused(self, written: object, message: str) -> None:
        found = problems(one(app_secret=written), environ={"EMPTY": "  "}, files={"/empty": "\n"})

        assert message in found["accounts.acme.app_secret"]

    def test_secret_of_the_wrong_shape_is_refused_without_being_shown(self) -> None:
        found = problems(one(app_secret="env:S"), environ={"S": "xyz"})

        assert found == {"accounts.acme.app_secret": "expected a string of length >= 4"}

    def test_what_follows_env_is_not_shown_where_it_is_no_name(self) -> None:
        assert "hunter" not in str(problems(one(app_secret="env:hunter-2!")))

    def test_nothing_prints_or_encodes_a_secret(self) -> None:
        config = read(one(app_secret="s3cret-value"))

        assert "s3cret" not in f"{config!r} {config} {config.accounts['acme'].options}"
        assert "[redacted]" in repr(config)
        with pytest.raises(TypeError, match="Secret is unsupported"):
            msgspec.json.encode(config.accounts)

    def test_secrets_are_equal_by_value_and_to_nothing_else(self) -> None:
        assert Secret("a") == Secret("a")
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
        assert Secret("a") != "a"

    def test_secret_that_is_no_text_is_refused_without_its_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"hunter\xff2")

        with pytest.raises(ConfigError) as caught:
            from_mapping(one(app_secret="file:secret"), base=tmp_path, specs=specs_of, environ={})

        assert "not UTF-8" in str(caught.value)
        assert "hunter" not in repr(caught.value.problems)

    def test_secret_file_larger_than_any_secret_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text("x" * (MAX_FILE_BYTES + 1))

        with pytest.raises(OSError, match="larger than"):
            read_secret_file(path)

    def test_secret_may_be_the_apps_identity_and_still_is_not_shown(self) -> None:
        spec = ConnectorSpec(
            name="k",
            options=(OptionSpec(name="key", type="string", is_secret=True),),
            identity="key",
        )
        account = {"connector": "k", "key": "hunter2"}

        found = problems({"accounts": {"a": account, "b": account}}, specs={"k": spec})

        assert list(found) == ["accounts.a.key", "accounts.b.key"]
        assert "hunter2" not in str(found)


class TestVaults:
    def test_a_reference_stands_for_what_the_vault_gave(self) -> None:
        config = vaulted({"vault:acme": Secret("s3cret-of-acme")})
        assert config.accounts["acme"].secret_values() == ("s3cret-of-acme",)

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            (UnresolvableSecret("the host's vault failed: OSError"), "the host's vault failed: OSError"),
            (Secret(" "), "the secret vault:acme is empty"),
        ],
    )
    def test_what_the_vault_does_not_give_is_a_problem_with_its_place(
        self, found: Fetched, message: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            vaulted({"vault:acme": found})
        assert caught.value.problems == (Problem("accounts.acme.app_secret", message),)


def vaulted(fetched: dict[str, Fetched]) -> Config:
    account = {"connector": "lark", "app_id": "cli_1", "app_secret": "vault:acme"}
    return from_mapping(
        {"accounts": {"acme": account}},
        base=BASE,
        specs=lambda _python: SPECS,
        environ={},
        fetched=fetched,
    )
