"""The command line without a supervisor: arguments, exit codes, `check`, and what verbs print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.testing import CliRunner, Result

from longwire.cli import check as check_module
from longwire.cli import main, metrics, render, simulate
from longwire.cli.connection import endpoint
from longwire.cli.exits import ExitCode, NotPermitted, exit_code
from longwire.cli.lazy import LazyGroup, Verb
from longwire.cli.output import printable
from longwire_protocol.declaration import ConnectorSpec, OptionSpec
from longwire_protocol.errors import (
    AddressError,
    CommandError,
    ConfigError,
    FrameError,
    LongwireError,
    Problem,
    RetCode,
    SupervisorUnreachable,
)

LARK = ConnectorSpec(
    name="lark",
    options=(
        OptionSpec(name="app_id", type="string", required=True),
        OptionSpec(name="app_secret", type="string", required=True, is_secret=True),
    ),
    identity="app_id",
)
FINE = '[accounts.acme]\nconnector = "lark"\napp_id = "1"\napp_secret = "env:S"\n'
FIVE_MISTAKES = """
[supervisor]
data_dirr = "var"
[defaults]
stop_timeout_s = "soon"
[accounts.acme]
connector = "lark"
app_secret = "env:UNSET"
[accounts.beta]
connector = "slack"
"""

Longwire = Callable[..., Result]


@pytest.fixture
def longwire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Longwire:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check_module, "Describer", lambda: lambda _python: {"lark": LARK})

    def run(*args: str, stdin: str = "", **env: str) -> Result:
        clean = {"LONGWIRE_CONFIG": None, "LONGWIRE_ENDPOINT": None}
        return CliRunner().invoke(main, args, input=stdin, env={**clean, **env})

    return run


class TestUsage:
    @pytest.mark.parametrize(
        "args",
        [
            (),
            ("fly",),
            ("--nope",),
            ("status", "extra"),
            ("accounts", "stop"),
            ("accounts", "fly"),
            ("send", "acme"),
            ("events", "tail", "--from", "yesterday"),
            ("events", "tail", "--from", "-1"),
            ("events", "tail", "--count", "0"),
            ("logs", "--since", "yesterday"),
            ("logs", "--level", "loud"),
            ("logs", "-n", "-1"),
            ("logs", "-n", "10001"),
            ("logs", "one", "two"),
            ("simulate", "--port", "70000"),
            ("simulate", "--time-scale", "0"),
            ("metrics", "--listen", "here"),
            ("metrics", "--listen", "127.0.0.1"),
            ("metrics", "--listen", "127.0.0.1:65536"),
            ("metrics", "--listen", "http://127.0.0.1:9464"),
            ("metrics", "--listen", "::1:9464"),
        ],
    )
    def test_mistaken_arguments_end_with_64_and_say_so_on_stderr(
        self, longwire: Longwire, args: tuple[str, ...]
    ) -> None:
        result = longwire(*args)

        assert result.exit_code == 64
        assert "Usage: longwire" in result.stderr
        assert result.stdout == ""

    def test_help_names_every_verb_and_imports_none(
        self, longwire: Longwire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(main, "_verbs", {"soon": Verb("no.such.module:soon", "Come later.")})

        result = longwire("--help")

        assert result.exit_code == 0
        assert "Come later." in result.stdout

    def test_the_supervisor_imports_nothing_heavy_until_it_is_used(self) -> None:
        program = (
            "import sys, click; from longwire.cli.main import main;"
            "main.get_command(click.Context(main), 'run');"
            "heavy = {'aiohttp', 'rich', 'prometheus_client', 'requests', 'websockets'};"
            "print(heavy & sys.modules.keys()); import rich"
        )
        done = subprocess.run(
            [sys.executable, "-P", "-c", program], capture_output=True, check=True, text=True
        )
        assert done.stdout == "set()\n"

    def test_what_is_there_already_is_not_kept_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(main, "_verbs", {"now": Verb("json:dumps", "Now.", without="json")})
        assert isinstance(main, LazyGroup)
        assert main.get_command(click.Context(main), "now") is json.dumps

    def test_version_is_printed(self, longwire: Longwire) -> None:
        assert longwire("--version").exit_code == 0

    def test_every_verb_can_be_imported_but_those_of_others(self) -> None:
        assert isinstance(main, LazyGroup)
        context = click.Context(main)

        for name in {*main.list_commands(context)} - {"run", "demo"}:
            assert isinstance(main.get_command(context, name), click.Command)


class TestCheck:
    def test_right_configuration_is_fine(self, longwire: Longwire, tmp_path: Path) -> None:
        (tmp_path / "longwire.toml").write_text(FINE)

        result = longwire("check", S="s3cret")

        assert (result.exit_code, result.stdout) == (0, "longwire.toml: fine; accounts: acme\n")

    def test_right_configuration_is_fine_in_json(self, longwire: Longwire, tmp_path: Path) -> None:
        (tmp_path / "longwire.toml").write_text("")

        result = longwire("check", "--json")

        assert (result.exit_code, json.loads(result.stdout)) == (0, {"ok": True, "problems": []})

    def test_five_mistakes_are_listed_at_once(self, longwire: Longwire, tmp_path: Path) -> None:
        (tmp_path / "longwire.toml").write_text(FIVE_MISTAKES)

        result = longwire("check")

        assert result.exit_code == 78
        assert [line.partition(": ")[0] for line in result.stdout.splitlines()] == [
            "supervisor.data_dirr",
            "defaults.stop_timeout_s",
            "accounts.acme.app_id",
            "accounts.acme.app_secret",
            "accounts.beta.connector",
        ]

    def test_mistakes_are_listed_in_json(self, longwire: Longwire, tmp_path: Path) -> None:
        (tmp_path / "longwire.toml").write_text(FIVE_MISTAKES)

        result = longwire("check", "--json")

        report = json.loads(result.stdout)
        assert (result.exit_code, report["ok"]) == (78, False)
        assert report["problems"][0] == {
            "place": "supervisor.data_dirr",
            "message": "unknown key; did you mean data_dir?",
        }
        assert len(report["problems"]) == 5

    def test_missing_file_is_a_configuration_error(self, longwire: Longwire) -> None:
        result = longwire("-c", "none.toml", "check")

        assert result.exit_code == 78
        assert "none.toml cannot be read" in result.stdout

    def test_c_beats_the_variable_beats_the_default(self, longwire: Longwire, tmp_path: Path) -> None:
        for name in ("longwire", "by_variable", "by_option"):
            (tmp_path / f"{name}.toml").write_text("")

        assert "longwire.toml" in longwire("check").stdout
        assert "by_variable.toml" in longwire("check", LONGWIRE_CONFIG="by_variable.toml").stdout
        by_option = longwire("-c", "by_option.toml", "check", LONGWIRE_CONFIG="by_variable.toml")
        assert "by_option.toml" in by_option.stdout

    def test_endpoint_of_clients_is_ignored(self, longwire: Longwire, tmp_path: Path) -> None:
        (tmp_path / "longwire.toml").write_text("")

        assert longwire("check", LONGWIRE_ENDPOINT="nonsense").exit_code == 0


class TestEndpoint:
    def test_variable_comes_first(self, tmp_path: Path) -> None:
        environ = {"LONGWIRE_ENDPOINT": "ipc:///run/x.sock"}

        assert endpoint(tmp_path / "none.toml", environ) == "ipc:///run/x.sock"

    def test_relative_path_of_the_variable_counts_from_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        assert endpoint(Path("x"), {"LONGWIRE_ENDPOINT": "ipc://x.sock"}) == f"ipc://{tmp_path}/x.sock"

    def test_file_comes_second_whatever_else_is_wrong_in_it(self, tmp_path: Path) -> None:
        path = tmp_path / "longwire.toml"
        path.write_text(FIVE_MISTAKES)

        assert endpoint(path, {}) == f"ipc://{tmp_path}/var/longwire.sock"

    def test_without_both_the_ways_are_named(self, longwire: Longwire) -> None:
        result = longwire("status")

        assert result.exit_code == 78
        assert "longwire.toml cannot be read" in result.stderr
        assert "LONGWIRE_ENDPOINT" in result.stderr

    @pytest.mark.parametrize("value", ["http://x", "ipc://~nobody-of-that-name/x"])
    def test_variable_that_is_no_endpoint_is_a_configuration_error(
        self, longwire: Longwire, value: str
    ) -> None:
        result = longwire("status", LONGWIRE_ENDPOINT=value)

        assert result.exit_code == 78
        assert result.stderr.startswith("longwire: LONGWIRE_ENDPOINT: ")

    def test_socket_of_another_user_ends_with_77_at_once(
        self, longwire: Longwire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "x.sock").touch()
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # noqa: ARG005

        assert longwire("status", LONGWIRE_ENDPOINT="ipc://x.sock").exit_code == 77

    def test_folder_of_another_user_ends_with_77_at_once(
        self, longwire: Longwire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path) -> NoReturn:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "stat", refuse)

        assert longwire("status", LONGWIRE_ENDPOINT="ipc:///x.sock").exit_code == 77


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (CommandError(RetCode.UNKNOWN_ACCOUNT, "x"), 64),
            (CommandError(RetCode.BAD_PARAM, "x"), 64),
            (CommandError(RetCode.IDEMPOTENCY_CONFLICT, "x"), 64),
            (CommandError(RetCode.INTERNAL, "x"), 70),
            (CommandError(RetCode.PLATFORM_REFUSED, "x"), 77),
            (CommandError(RetCode.PLATFORM_REFUSED, "x", retryable=True), 75),
            (CommandError(RetCode.SATURATED, "x", retryable=True), 75),
            (CommandError(RetCode.ACCOUNT_NOT_ONLINE, "x"), 75),
            (CommandError(RetCode.DEADLINE_EXCEEDED, "x"), 75),
            (SupervisorUnreachable("x"), 69),
            (NotPermitted("x"), 77),
            (ConfigError([]), 78),
            (AddressError("x"), 78),
            (FrameError("x"), 70),
        ],
    )
    def test_error_leads_to(self, error: LongwireError, code: int) -> None:
        assert exit_code(error) == code

    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            (ZeroDivisionError("x"), 70, "this is a bug"),
            (KeyboardInterrupt(), 130, ""),
            (
                ConfigError([Problem("a", "one"), Problem("b", "two")]),
                78,
                "longwire: a: one\nlongwire: b: two",
            ),
        ],
    )
    def test_whatever_ends_a_verb_is_told_on_stderr(
        self,
        longwire: Longwire,
        monkeypatch: pytest.MonkeyPatch,
        error: BaseException,
        code: int,
        message: str,
    ) -> None:
        def fail(*_: object, **__: object) -> NoReturn:
            raise error

        monkeypatch.setattr(check_module, "load", fail)
        monkeypatch.setattr(check_module, "_read", fail)

        result = longwire("check")

        assert result.exit_code == code
        assert message in result.stderr
        assert ("Traceback" in result.stderr) == (code == ExitCode.BUG)
        assert result.stdout == ""


class TestSimulate:
    def test_process_becomes_the_simulator_and_brings_no_secret(
        self, longwire: Longwire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[tuple[Any, ...]] = []
        monkeypatch.setattr(simulate.os, "execve", lambda *args: calls.append(args))

        result = longwire("simulate", "--port", "9", "--time-scale", "60", "--json", ACME_SECRET="x")

        assert result.exit_code == 0
        ((program, command, environ),) = calls
        assert program == sys.executable
        assert command == [
            sys.executable,
            "-P",
            "-m",
            "longwire_connectors.simulator",
            "--port=9",
            "--time-scale=60.0",
            "--json",
        ]
        assert "ACME_SECRET" not in environ


class TestMetrics:
    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ("9464", ("127.0.0.1", 9464)),
            (":9464", ("127.0.0.1", 9464)),
            ("0.0.0.0:0", ("0.0.0.0", 0)),  # noqa: S104
            ("metrics.acme:65535", ("metrics.acme", 65535)),
            ("[::1]:9464", ("::1", 9464)),
        ],
    )
    def test_they_are_served_on_loopback_unless_a_host_is_given(
        self, longwire: Longwire, monkeypatch: pytest.MonkeyPatch, given: str, address: tuple[str, int]
    ) -> None:
        found: list[Any] = []
        monkeypatch.setattr(metrics, "_serve", lambda _ctx, where, *, as_json: found.append((where, as_json)))

        assert longwire("metrics", "--listen", given).exit_code == 0
        assert found == [(address, False)]

    def test_a_missing_library_ends_with_78_and_the_command_that_mends_it(
        self, longwire: Longwire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)

        for options in ((), ("--listen", "0")):
            result = longwire("metrics", *options)

            assert (result.exit_code, result.stdout) == (78, "")
            assert f"{sys.executable} -m pip install '{metrics.REQUIREMENT}'" in result.stderr


class TestPrinting:
    def test_texts_of_strangers_cannot_steer_the_terminal(self) -> None:
        assert printable("a\x1b[2J\nb\u202e\u4f60") == "a\\x1b[2J\\nb\\u202e\u4f60"

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(-1, "0 s"), (0.4, "0 s"), (59, "59 s"), (90, "2 min"), (7200, "2 h"), (200_000, "2 d")],
    )
    def test_span_has_its_largest_unit(self, seconds: float, text: str) -> None:
        assert render.span(seconds) == text

    @pytest.mark.parametrize(
        ("account", "text"),
        [
            ({"account": "a", "state": "online", "reason": "x"}, ""),
            ({"account": "a", "state": "connecting"}, ""),
            ({"account": "a", "state": "online", "message": "big", "user_action": "mend it"}, "big; mend it"),
            (
                {
                    "account": "a",
                    "state": "parked",
                    "reason": "bad_credentials",
                    "error_code": "10003",
                    "message": "invalid secret",
                    "user_action": "correct app_secret",
                },
                "invalid secret (10003); correct app_secret",
            ),
            (
                {"account": "a", "state": "backoff", "reason": "refused", "next_retry_at": 105.0},
                "refused; next attempt in 5 s",
            ),
        ],
    )
    def test_account_that_needs_somebody_is_explained(self, account: dict[str, Any], text: str) -> None:
        assert render.explanation(account, now=100.0) == text


class TestSecretsAndTables:
    """What `accounts add` and `update` take; none of it reaches a supervisor."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--secret", "app_secret=in-the-clear"), "--secret: expected KEY=env:NAME"),
            (("--secret", "=env:X"), "--secret: expected KEY=env:NAME"),
            (
                ("--secret", "app_secret=env:NOT_SET"),
                "app_secret: the environment variable NOT_SET is not set",
            ),
            (("--secret", "app_secret=file:none"), "app_secret: the file none cannot be read"),
            (("--from", "none.toml"), "--from: none.toml cannot be read"),
            (("--from", "-", "--secret", "app_secret=-"), "standard input can be read once only"),
            (("--from", "-"), "--from: - is not valid TOML"),
        ],
    )
    def test_what_cannot_be_read_ends_with_64_and_its_reason(
        self, longwire: Longwire, arguments: tuple[str, ...], message: str
    ) -> None:
        for verb in ("add", "update"):
            result = longwire("accounts", verb, "acme", *arguments, stdin="no TOML")

            assert result.exit_code == 64
            assert message in result.stderr
            assert "in-the-clear" not in result.stderr

    @pytest.mark.parametrize(
        ("names", "text"),
        [
            ({"LANG": "zh_CN.UTF-8"}, "请改正"),
            ({"LC_MESSAGES": "zh_TW", "LANG": "en_US.UTF-8"}, "请改正"),
            ({"LC_ALL": "zh", "LC_MESSAGES": "C"}, "请改正"),
            ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "mend it"),
            ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "请改正"),
            ({}, "mend it"),
        ],
    )
    def test_what_to_do_is_said_in_chinese_to_who_reads_it(
        self, monkeypatch: pytest.MonkeyPatch, names: dict[str, str], text: str
    ) -> None:
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            monkeypatch.delenv(name, raising=False)
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        account = {"account": "a", "state": "parked", "user_action": "mend it", "user_action_zh": "请改正"}
        assert render.explanation(account, now=100.0) == text
        assert render.explanation({**account, "user_action_zh": None}, now=100.0) == "mend it"

    def test_an_outage_is_said_before_the_accounts(self, capsys: pytest.CaptureFixture[str]) -> None:
        outage = {"connector": "lark", "since": 0.0, "accounts": 12, "reason": "unreachable"}
        render.show_status({"supervisor": {"outages": [outage]}, "accounts": []})
        assert "12 accounts fail together (unreachable)" in capsys.readouterr().out
