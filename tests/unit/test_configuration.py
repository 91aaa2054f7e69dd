"""The configuration: what is accepted, what it becomes, and that every mistake is reported with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longwire.config import Config, Secret, client_endpoint, from_mapping, load
from longwire.config.secrets import MAX_FILE_BYTES, read_secret_file
from longwire_protocol.declaration import ConnectorSpec, Constraints, OptionSpec
from longwire_protocol.errors import ConfigError

BASE = Path("/srv/bots")

LARK = ConnectorSpec(
    name="lark",
    distribution="longwire 0.1.0",
    platform="lark",
    options=(
        OptionSpec(name="app_id", type="string", required=True, description="The App ID of the app."),
        OptionSpec(
            name="app_secret",
            type="string",
            required=True,
            is_secret=True,
            constraints=Constraints(min_length=4),
        ),
        OptionSpec(
            name="domain", type="string", constraints=Constraints(pattern="^https?://"), default="https://x"
        ),
    ),
    identity="app_id",
)
DINGTALK = ConnectorSpec(
    name="dingtalk",
    options=(OptionSpec(name="client_id", type="string", required=True),),
    identity="client_id",
    backoff_initial_s=20.0,
    backoff_max_s=300.0,
)
KITCHEN_SINK = ConnectorSpec(
    name="sink",
    options=(
        OptionSpec(name="level", type="integer", constraints=Constraints(ge=1, le=5)),
        OptionSpec(name="ratio", type="number", constraints=Constraints(gt=0)),
        OptionSpec(name="quick", type="boolean"),
        OptionSpec(name="mode", type="string", choices=("a", "b")),
        OptionSpec(name="tags", type="array of string", constraints=Constraints(min_length=2)),
        OptionSpec(name="extra", type="any"),
    ),
)
BROKEN = ConnectorSpec(name="broken", distribution="acme-bots 2.0", error="ImportError: no module named acme")
SPECS = {spec.name: spec for spec in (LARK, DINGTALK, KITCHEN_SINK, BROKEN)}

LARK_ACCOUNT: Mapping[str, Any] = {"connector": "lark", "app_id": "cli_1", "app_secret": "s3cret-value"}


def unreadable(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def read(
    values: Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    specs: Mapping[str, ConnectorSpec] = SPECS,
    files: Mapping[str, str] | None = None,
) -> Config:
    def read_secret(path: Path) -> str:
        return files[str(path)] if files and str(path) in files else unreadable(path)

    return from_mapping(values, base=BASE, specs=specs, environ=environ or {}, read_secret=read_secret)


def problems(values: Mapping[str, Any], **how: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read(values, **how)
    found = {problem.place: problem.message for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems), "one place, one problem"
    return found


def lark(**more: Any) -> dict[str, Any]:
    return {**LARK_ACCOUNT, **more}


def one(**more: Any) -> dict[str, Any]:
    return {"accounts": {"acme": lark(**more)}}


class TestDefaults:
    def test_empty_configuration_is_complete(self) -> None:
        config = read({})

        assert config.accounts == {}
        assert config.path is None
        assert config.supervisor.data_dir == BASE / "var"
        assert config.supervisor.endpoints == ("ipc:///srv/bots/var/longwire.sock",)
        assert (config.supervisor.connect_rate_per_s, config.supervisor.connect_burst) == (50.0, 50)

    def test_account_has_the_documented_defaults(self) -> None:
        account = read(one()).accounts["acme"]

        assert msgspec.structs.asdict(account.settings) == {
            "isolation": "spawn",
            "heartbeat_interval_s": 1.0,
            "heartbeat_timeout_s": 5.0,
            "link_timeout_s": 60.0,
            "is_link_timeout_explicit": False,
            "stop_timeout_s": 4.0,
            "stable_after_s": 60.0,
            "backoff_initial_s": 0.1,
            "backoff_max_s": 60.0,
            "memory_limit_mb": 256,
        }
        assert (account.account, account.connector, account.tenant) == ("acme", "lark", "default")

    def test_socket_lies_in_the_data_folder_unless_said_otherwise(self) -> None:
        config = read({"supervisor": {"data_dir": "/var/lib/longwire"}})

        assert config.supervisor.endpoints == ("ipc:///var/lib/longwire/longwire.sock",)


class TestLayers:
    def test_account_beats_defaults_beat_the_connector(self) -> None:
        values = {
            "defaults": {"backoff_initial_s": 3, "stop_timeout_s": 2},
            "accounts": {
                "a": {"connector": "dingtalk", "client_id": "1", "stop_timeout_s": 1},
                "b": {"connector": "dingtalk", "client_id": "2", "backoff_initial_s": 0},
            },
        }

        accounts = read(values).accounts

        assert accounts["a"].settings.backoff_initial_s == 3.0
        assert accounts["a"].settings.backoff_max_s == 300.0
        assert accounts["a"].settings.stop_timeout_s == 1.0
        assert accounts["b"].settings.backoff_initial_s == 0.0
        assert accounts["b"].settings.stop_timeout_s == 2.0

    def test_link_timeout_counts_as_chosen_where_account_or_defaults_set_it(self) -> None:
        by_account = read(one(link_timeout_s=60))
        by_defaults = read({"defaults": {"link_timeout_s": 60.0}, **one()})

        assert by_account.accounts["acme"].settings.is_link_timeout_explicit
        assert by_defaults.accounts["acme"].settings.is_link_timeout_explicit

    def test_computed_setting_is_no_key(self) -> None:
        assert (
            "unknown key"
            in problems(one(is_link_timeout_explicit=True))["accounts.acme.is_link_timeout_explicit"]
        )

    def test_isolation_may_ask_for_fork(self) -> None:
        assert read(one(isolation="fork")).accounts["acme"].settings.isolation == "fork"

    def test_equal_files_make_equal_accounts_and_a_new_secret_a_different_one(self) -> None:
        written = one(app_secret="env:S")
        before, same, after = (read(written, environ={"S": s}) for s in ("one-", "one-", "two-"))

        assert before.accounts["acme"] == same.accounts["acme"]
        assert before.accounts["acme"] != after.accounts["acme"]


class TestSupervisorSection:
    def test_endpoints_are_resolved_from_the_files_folder(self) -> None:
        config = read({"supervisor": {"endpoint": ["ipc://a.sock", "ipc:///run/b.sock"]}})

        assert config.supervisor.endpoints == ("ipc:///srv/bots/a.sock", "ipc:///run/b.sock")

    @pytest.mark.parametrize(
        ("endpoint", "message"),
        [
            ("tcp://127.0.0.1:7000", "CURVE"),
            ("tcp://nowhere", "tcp://HOST:PORT"),
            ("http://x", "ipc:// or tcp://"),
            ("ipc://" + "x" * 120, "the system allows 107"),
            ("ipc://~nobody-of-that-name/x.sock", "home folder"),
            ([], "at least one"),
            ("", "at least one"),
            (["ipc://a", "ipc://a"], "twice"),
            (5, "a string"),
        ],
    )
    def test_endpoint_that_cannot_be_used_is_refused(self, endpoint: object, message: str) -> None:
        assert message in problems({"supervisor": {"endpoint": endpoint}})["supervisor.endpoint"]

    def test_data_folder_too_deep_for_a_socket_asks_for_an_endpoint(self) -> None:
        found = problems({"supervisor": {"data_dir": "d" * 120}})

        assert "give an endpoint with a shorter path" in found["supervisor.endpoint"]

    @pytest.mark.parametrize("data_dir", ["", "~nobody-of-that-name/x", "a\0b", 7])
    def test_data_folder_that_cannot_be_is_refused_once(self, data_dir: object) -> None:
        assert list(problems({"supervisor": {"data_dir": data_dir}})) == ["supervisor.data_dir"]

    @pytest.mark.parametrize(("key", "value"), [("connect_rate_per_s", 0), ("connect_burst", 0.5)])
    def test_pace_has_limits(self, key: str, value: object) -> None:
        assert list(problems({"supervisor": {key: value}})) == [f"supervisor.{key}"]


class TestUnknown:
    def test_key_is_refused_with_the_one_that_was_meant(self) -> None:
        found = problems(
            {
                "supervisor": {"data_dirr": "x"},
                "defaults": {"heartbeat_timeout": 5},
                **one(app_secrt="never shown"),
            }
        )

        assert "did you mean data_dir?" in found["supervisor.data_dirr"]
        assert "heartbeat_timeout_s" in found["defaults.heartbeat_timeout"]
        assert "did you mean app_secret?" in found["accounts.acme.app_secrt"]
        assert "never shown" not in str(found)

    def test_key_like_no_other_is_refused_with_the_known_ones(self) -> None:
        found = problems({"supervisor": {"zzz": 1}})

        assert "known are connect_burst, connect_rate_per_s, data_dir, endpoint" in found["supervisor.zzz"]

    def test_table_is_refused(self) -> None:
        assert "did you mean accounts?" in problems({"acounts": {}})["acounts"]

    @pytest.mark.parametrize("name", ["webhooks", "clients", "web"])
    def test_table_of_a_later_version_says_so(self, name: str) -> None:
        assert f"this version has no [{name}]" in problems({name: {"x": 1}})[name]

    def test_key_of_another_type_than_text_is_refused(self) -> None:
        assert "accounts" in problems({"accounts": {1: {}}})


class TestAccounts:
    @pytest.mark.parametrize("name", ["a", "acme-lark", "9.x_y", "B" * 63])
    def test_name_may_be(self, name: str) -> None:
        assert list(read({"accounts": {name: lark()}}).accounts) == [name]

    @pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ä", "a\n", "x" * 64])
    def test_name_may_not_be(self, name: str) -> None:
        assert "no account name" in problems({"accounts": {name: lark()}})[f"accounts.{name}"]

    def test_account_that_is_no_table_is_refused(self) -> None:
        assert problems({"accounts": {"a": 5}}) == {"accounts.a": "expected a table, got an integer"}

    def test_unknown_connector_names_the_installed_ones_and_hides_no_other_mistake(self) -> None:
        found = problems(one(connector="larkk", stop_timeout_s="soon", tenant=""))

        assert "installed are broken, dingtalk, lark, sink" in found["accounts.acme.connector"]
        assert found["accounts.acme.stop_timeout_s"] == "expected a number, got a string"
        assert "accounts.acme.tenant" in found

    def test_without_any_connector_installed_it_says_so(self) -> None:
        assert "installed are none" in problems(one(), specs={})["accounts.acme.connector"]

    def test_missing_connector_is_refused(self) -> None:
        assert problems({"accounts": {"a": {}}})["accounts.a.connector"].startswith("missing")

    def test_connector_of_a_wrong_type_is_refused(self) -> None:
        assert list(problems(one(connector=["lark"]))) == ["accounts.acme.connector"]

    def test_connector_that_cannot_be_imported_says_why(self) -> None:
        message = problems(one(connector="broken"))["accounts.acme.connector"]

        assert "acme-bots 2.0" in message
        assert "no module named acme" in message

    def test_connector_whose_options_clash_with_ours_is_refused(self) -> None:
        clash = ConnectorSpec(name="clash", options=(OptionSpec(name="tenant", type="string"),))

        found = problems({"accounts": {"a": {"connector": "clash"}}}, specs={"clash": clash})

        assert "tenant are keys of every account" in found["accounts.a.connector"]

    def test_same_app_twice_is_refused_at_both(self) -> None:
        found = problems({"accounts": {"a": lark(), "b": lark(), "c": lark(app_id="cli_2")}})

        assert "account b" in found["accounts.a.app_id"]
        assert "account a" in found["accounts.b.app_id"]
        assert len(found) == 2

    def test_same_app_twice_is_refused_at_the_one_that_does_not_allow_it(self) -> None:
        found = problems({"accounts": {"a": lark(allow_shared_app=True), "b": lark()}})

        assert list(found) == ["accounts.b.app_id"]

    def test_same_app_twice_is_fine_where_all_allow_it(self) -> None:
        shared = lark(allow_shared_app=True)

        assert len(read({"accounts": {"a": shared, "b": shared}}).accounts) == 2

    def test_same_name_on_two_platforms_is_no_shared_app(self) -> None:
        accounts = {"a": lark(app_id="1"), "b": {"connector": "dingtalk", "client_id": "1"}}

        assert len(read({"accounts": accounts}).accounts) == 2


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
            from_mapping(one(app_secret="file:secret"), base=tmp_path, specs=SPECS, environ={})

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


class TestFile:
    def test_relative_paths_count_from_the_files_folder(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("from-file\n")
        path = tmp_path / "longwire.toml"
        path.write_text(
            '[supervisor]\ndata_dir = "data"\n'
            '[accounts.acme]\nconnector = "lark"\napp_id = "1"\napp_secret = "file:secret"\n'
        )

        config = load(path, specs=SPECS, environ={})

        assert config.path == path
        assert config.supervisor.data_dir == tmp_path / "data"
        assert config.accounts["acme"].secret_values() == ("from-file",)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"[supervisor\n", "not valid TOML: Expected ']' at the end of a table declaration (at line 1"),
            (b"a = 1\na = 2\n", "line 2, column"),
            (b"a = '\xff'\n", "not UTF-8"),
            (b"a = " + b"[" * 5000, "not valid TOML"),
        ],
    )
    def test_file_that_is_no_toml_is_refused_with_the_line(
        self, tmp_path: Path, content: bytes, message: str
    ) -> None:
        path = tmp_path / "longwire.toml"
        path.write_bytes(content)

        with pytest.raises(ConfigError) as caught:
            load(path, specs=SPECS, environ={})

        assert message in str(caught.value)
        assert [problem.place for problem in caught.value.problems] == [""]

    def test_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
            load(tmp_path / "none.toml", specs=SPECS, environ={})

    def test_client_needs_the_endpoint_alone(self) -> None:
        text = '[supervisor]\nendpoint = ["ipc://a.sock", "ipc://b.sock"]\nfoo = 1\n[accounts]\nx = 5\n'

        assert client_endpoint(BASE / "l.toml", read_config=lambda _: text) == "ipc:///srv/bots/a.sock"

    def test_client_finds_the_default_endpoint(self) -> None:
        assert client_endpoint(BASE / "l.toml", read_config=lambda _: "") == (
            "ipc:///srv/bots/var/longwire.sock"
        )

    def test_client_is_told_of_an_endpoint_that_cannot_be_used(self) -> None:
        with pytest.raises(ConfigError, match=r"supervisor\.endpoint"):
            client_endpoint(BASE / "l.toml", read_config=lambda _: 'supervisor.endpoint = "x"')

    def test_every_mistake_is_reported_at_once(self) -> None:
        found = problems(
            {
                "web": {},
                "supervisor": {"endpoint": "tcp://0.0.0.0:1", "nope": 1},
                "defaults": {"stop_timeout_s": -1},
                "accounts": {
                    "A B": lark(app_id="1"),
                    "b": lark(app_id=5, app_secret="env:UNSET", colour="red"),
                    "c": {"connector": "slack"},
                },
            }
        )

        assert sorted(found) == [
            "accounts.A B",
            "accounts.b.app_id",
            "accounts.b.app_secret",
            "accounts.b.colour",
            "accounts.c.connector",
            "defaults.stop_timeout_s",
            "supervisor.endpoint",
            "supervisor.nope",
            "web",
        ]
