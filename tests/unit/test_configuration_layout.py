"""The configuration's tables: defaults and layers, the accounts, the file, and what has no place there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fakes.configuration import BASE, lark, one, problems, read, specs_of
from longwire.config import client_endpoint, data_dir, load
from longwire.config.settings import SupervisorSettings
from longwire_protocol.declaration import ConnectorSpec, OptionSpec
from longwire_protocol.errors import ConfigError

SETTINGS = msgspec.structs.fields(SupervisorSettings)


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
            "isolation": "fork",
            "python": None,
            "heartbeat_interval_s": 1.0,
            "heartbeat_timeout_s": 5.0,
            "start_timeout_s": 60.0,
            "link_timeout_s": 60.0,
            "is_link_timeout_explicit": False,
            "stop_timeout_s": 4.0,
            "stable_after_s": 60.0,
            "backoff_initial_s": 0.1,
            "backoff_max_s": 60.0,
            "memory_limit_mb": 256,
            "cpu_limit_percent": 0.0,
            "cpu_window_s": 60.0,
            "allow_senders": None,
            "nice": 0,
            "max_open_files": 1024,
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

    def test_children_are_forked_where_the_connector_may_be_and_nothing_else_is_said(self) -> None:
        plugin = {"connector": "dingtalk", "client_id": "1"}
        values = {"defaults": {"isolation": "fork"}, "accounts": {**one()["accounts"], "other": plugin}}
        accounts = read(values).accounts

        assert [accounts[name].settings.isolation for name in ("acme", "other")] == ["fork", "spawn"]
        assert read(one(isolation="spawn")).accounts["acme"].settings.isolation == "spawn"
        assert read({"accounts": {"other": plugin}}).accounts["other"].settings.isolation == "spawn"

    def test_fork_is_refused_to_an_account_whose_connector_may_not_be(self) -> None:
        plugin = {"connector": "dingtalk", "client_id": "1", "isolation": "fork"}

        assert "does not declare" in problems({"accounts": {"other": plugin}})["accounts.other.isolation"]

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

    @pytest.mark.parametrize(
        ("key", "value"), [("connect_rate_per_s", 0), ("connect_burst", 0.5), ("dedup_window_s", 0)]
    )
    def test_numbers_have_limits(self, key: str, value: object) -> None:
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

        known = ", ".join(sorted(field.name.replace("endpoints", "endpoint") for field in SETTINGS))
        assert f"known are {known}" in found["supervisor.zzz"]

    def test_table_is_refused(self) -> None:
        assert "did you mean accounts?" in problems({"acounts": {}})["acounts"]

    @pytest.mark.parametrize("name", ["clients", "web"])
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


class TestFile:
    def test_relative_paths_count_from_the_files_folder(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("from-file\n")
        path = tmp_path / "longwire.toml"
        path.write_text(
            '[supervisor]\ndata_dir = "data"\n'
            '[accounts.acme]\nconnector = "lark"\napp_id = "1"\napp_secret = "file:secret"\n'
        )

        config = load(path, specs=specs_of, environ={})

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
            load(path, specs=specs_of, environ={})

        assert message in str(caught.value)
        assert [problem.place for problem in caught.value.problems] == [""]

    def test_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
            load(tmp_path / "none.toml", specs=specs_of, environ={})

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

    def test_verbs_for_the_journal_need_the_data_directory_alone(self) -> None:
        text = '[supervisor]\ndata_dir = "data"\nfoo = 1\n[accounts]\nx = 5\n'

        assert data_dir(BASE / "l.toml", read_config=lambda _: text) == BASE / "data"
        assert data_dir(BASE / "l.toml", read_config=lambda _: "") == BASE / "var"
        with pytest.raises(ConfigError, match=r"supervisor\.data_dir"):
            data_dir(BASE / "l.toml", read_config=lambda _: "supervisor.data_dir = 5")

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
