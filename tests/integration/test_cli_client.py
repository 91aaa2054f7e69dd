"""The verbs that talk to a supervisor, over a real socket; the supervisor's answers are made up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
import zmq
from click.testing import CliRunner, Result

from longwire.cli import connection, main, metrics
from longwire_protocol.errors import RetCode

ONLINE = {
    "account": "acme",
    "tenant": "acme-inc",
    "connector": "lark",
    "state": "online",
    "since": time.time() - 7200,
    "last_event_at": time.time() - 5,
    "restarts": 3,
    "next_retry_at": None,
    "connected_since": time.time() + 86_400 * 3,
    "counters": {"odd": 1},
}
PARKED = {**ONLINE, "account": "beta", "state": "parked", "message": "bad secret", "user_action": "mend it"}
STATUS = {
    "supervisor": {
        "version": "9.9",
        "pid": 7,
        "uptime_s": 90.0,
        "state": "degraded",
        "reason": "disk\x1b full",
        "templates": [
            {"connector": "lark", "pid": 8, "state": "ready", "children": 2, "rss_bytes": 48 * 2**20},
            {"connector": "lark", "state": "retired", "reason": "its file was replaced"},
            {"connector": "plugin", "state": "unfit", "reason": "it has a thread"},
            {"connector": "plugin", "state": "ready"},
            {
                "connector": "dingtalk",
                "python": "/opt/ding/bin/python",
                "state": "unfit",
                "reason": "ImportError: \x1b",
            },
        ],
    },
    "accounts": [ONLINE, PARKED],
}
EVENTS = [
    {
        "v": 1,
        "seq": 1,
        "id": "e1",
        "type": "message.created",
        "time": 1.5,
        "recv_time": 1.6,
        "tenant": "acme-inc",
        "account": "acme",
        "platform": "lark",
        "self": {"id": "bot"},
        "chat": {"id": "oc_1", "type": "group", "name": "Lunch"},
        "sender": {"id": "ou_1"},
        "text": "hello\x1b[2J",
    },
    {
        "v": 1,
        "seq": 2,
        "id": "e2",
        "type": "account.status",
        "time": 2.5,
        "recv_time": 2.5,
        "tenant": "acme-inc",
        "account": "acme",
        "platform": "lark",
        "raw": {"state": "parked", "reason": "bad_credentials"},
    },
    {
        "v": 1,
        "seq": 3,
        "id": "e3",
        "type": "platform.raw",
        "time": 2.5,
        "recv_time": 2.5,
        "tenant": "acme-inc",
        "account": "acme",
        "platform": "lark",
        "raw": "?",
    },
]
LOG = {
    "supervisor_id": "s1",
    "cursor": "s1-2-3",
    "dropped": 7,
    "left_out": 0,
    "lines": [
        {"time": 1.5, "level": "info", "event": "supervisor_started", "pid": 7, "timestamp": "1970"},
        {
            "time": 2.5,
            "level": "error",
            "event": "output",
            "account": "acme",
            "source": "child",
            "tenant": "acme-inc",
            "text": "hello\x1b[2J",
            "empty": "",
            "many": [1, "2"],
            "exception": "Traceback:\n  line\x1b",
        },
    ],
}


class FakeSupervisor:
    """Answers what it is told to, from a thread."""

    def __init__(self, folder: Path) -> None:
        self.endpoint = f"ipc://{folder}/s.sock"
        self.requests: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {
            "hello": {"data": {"supervisor_id": "s1", "version": "9.9", "protocol": 1}},
            "status": {"data": STATUS},
            "account.list": {"data": STATUS["accounts"]},
            "account.get": {"data": ONLINE},
            "account.stop": {"data": ONLINE},
            "account.start": {"data": ONLINE},
            "account.restart": {"data": ONLINE},
            "logs.tail": {"data": LOG},
            "message.create": {"data": {"message_id": "om_1"}},
            "events.subscribe": {"data": {"subscription": "tmp", "next_seq": 4}},
            "events.unsubscribe": {"data": None},
        }
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="fake supervisor")
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def refuse(self, method: str, retcode: RetCode, **more: Any) -> None:
        self.answers[method] = {"status": "failed", "retcode": int(retcode), "message": "no", **more}

    def _serve(self) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.linger = 0
            router.bind(self.endpoint)
            while not self._is_over.is_set():
                if router.poll(20):
                    self._answer(router)

    def _answer(self, router: zmq.Socket[bytes]) -> None:
        *envelope, data = router.recv_multipart()
        frame = msgspec.msgpack.decode(data)
        if frame["kind"] != "request":
            return
        self.requests.append(frame)
        answer = self.answers[frame["method"]]
        reply = {"kind": "reply", "id": frame["id"], "status": "ok", "retcode": 0, **answer}
        router.send_multipart([*envelope, msgspec.msgpack.encode(reply)])
        if frame["method"] == "events.subscribe" and reply["status"] == "ok":
            events = {"kind": "events", "subscription": "tmp", "events": EVENTS}
            router.send_multipart([*envelope, msgspec.msgpack.encode(events)])


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with closing(FakeSupervisor(tmp_path)) as fake:
        yield fake


@pytest.fixture
def longwire(supervisor: FakeSupervisor) -> Callable[..., Result]:
    def run(*args: str) -> Result:
        return CliRunner().invoke(main, args, env={"LONGWIRE_ENDPOINT": supervisor.endpoint})

    return run


Longwire = Callable[..., Result]


def test_status_in_json_is_exactly_the_data(longwire: Longwire) -> None:
    result = longwire("status", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == STATUS


def test_status_shows_accounts_and_explains_those_that_are_not_online(longwire: Longwire) -> None:
    out = longwire("status").stdout

    assert "longwire 9.9  pid 7  up 2 min  degraded (disk\\x1b full)" in out
    assert "acme-inc" in out
    assert "2 h ago" in out
    assert "beta: bad secret; mend it" in out
    assert "acme: " not in out


def test_status_shows_the_templates_and_what_is_wrong_with_one(longwire: Longwire) -> None:
    lines = [line.split() for line in longwire("status").stdout.splitlines()]

    assert ["template", "python", "state", "pid", "processes", "resident"] in lines
    assert ["lark", "ready", "8", "2", "48", "MiB"] in lines
    assert ["dingtalk", "/opt/ding/bin/python", "unfit"] in lines
    (complaint,) = [line for line in lines if line[:1] == ["template"] and "python" not in line]
    assert complaint[:5] == ["template", "dingtalk", "of", "/opt/ding/bin/python:", "ImportError:"]
    assert "isolation" in complaint


def test_status_shows_what_is_resident_as_the_most_until_the_share_is_known(
    longwire: Longwire, supervisor: FakeSupervisor
) -> None:
    accounts = [
        {"account": "young", "rss_bytes": 43 * 2**20, "pss_bytes": None},
        {"account": "known", "rss_bytes": 43 * 2**20, "pss_bytes": 8 * 2**20},
        {"account": "absent", "rss_bytes": None, "pss_bytes": None},
    ]
    supervisor.answers["status"] = {"data": {**STATUS, "accounts": accounts}}
    lines = [line.split() for line in longwire("status").stdout.splitlines()]

    assert ["young", "?", "<43", "MiB"] in lines
    assert ["known", "?", "8", "MiB"] in lines
    assert ["absent", "?"] in lines


def test_the_tenant_is_the_requests(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    supervisor.answers["deadletter.list"] = {"data": {"deadletters": [], "next": None}}
    supervisor.answers["deadletter.resubmit"] = {"data": {"resubmitted": 2}}
    supervisor.answers["deadletter.purge"] = {"data": {"purged": 3}}
    for *verb, said in (
        ("status", "longwire 9.9"),
        ("deadletters", "list", ""),
        ("deadletters", "resubmit", "--all", "2 resubmitted"),
        ("deadletters", "purge", "--subscription", "bot", "3 purged"),
    ):
        result = longwire(*verb, "--tenant", "acme-inc")

        assert result.exit_code == 0
        assert said in result.stdout
        assert supervisor.requests[-1]["tenant"] == "acme-inc"


def test_accounts_are_listed(longwire: Longwire) -> None:
    assert "beta: bad secret" in longwire("accounts", "list").stdout
    assert json.loads(longwire("accounts", "list", "--json").stdout) == STATUS["accounts"]


def test_account_is_shown_with_all_its_fields(longwire: Longwire) -> None:
    out = longwire("accounts", "show", "acme").stdout

    assert "2 h ago" in out
    assert "in 3 d" in out
    assert '{"odd":1}' in out
    assert "next_retry_at" not in out
    assert json.loads(longwire("accounts", "show", "acme", "--json").stdout) == ONLINE


def test_unknown_account_ends_with_64(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    supervisor.refuse("account.get", RetCode.UNKNOWN_ACCOUNT)

    result = longwire("accounts", "show", "nobody")

    assert (result.exit_code, result.stderr) == (64, "longwire: no (retcode 10005)\n")


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_accounts_are_steered_each_once(longwire: Longwire, supervisor: FakeSupervisor, verb: str) -> None:
    result = longwire("accounts", verb, "a", "b", "a")

    assert (result.exit_code, result.stdout) == (0, f"a: {verb} is on its way\nb: {verb} is on its way\n")
    asked = [(r["method"], r["params"]) for r in supervisor.requests if r["method"] != "hello"]
    assert asked == [(f"account.{verb}", {"account": "a"}), (f"account.{verb}", {"account": "b"})]


def test_refused_restart_can_be_tried_again(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    supervisor.refuse("account.restart", RetCode.SATURATED, retryable=True)

    result = longwire("accounts", "restart", "a", "b", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (75, {})
    assert "longwire: a: no (retcode 36001)\nlongwire: b: no" in result.stderr


def test_text_is_sent(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    assert longwire("send", "acme", "oc_1", "hi").stdout == "sent\n"
    assert json.loads(longwire("send", "acme", "oc_1", "hi", "--json").stdout) == {"message_id": "om_1"}
    request = supervisor.requests[-1]
    assert (request["account"], request["params"]) == ("acme", {"chat": "oc_1", "text": "hi"})


def test_text_that_the_platform_refuses_ends_with_77(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    supervisor.refuse("message.create", RetCode.PLATFORM_REFUSED)

    assert longwire("send", "acme", "oc_1", "hi").exit_code == 77


def test_events_are_followed_one_object_a_line(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    args = ["--from", "all", "--account", "acme", "--type", "x", "--type", "y", "--count", "3", "--json"]

    result = longwire("events", "tail", *args)

    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == EVENTS
    params = next(r["params"] for r in supervisor.requests if r["method"] == "events.subscribe")
    assert params["start"] == "all"
    assert (params["accounts"], params["types"]) == (["acme"], ["x", "y"])
    assert "name" not in params


def test_events_are_followed_from_a_position_for_people(
    longwire: Longwire, supervisor: FakeSupervisor
) -> None:
    lines = longwire("events", "tail", "--from", "7", "--count", "3").stdout.splitlines()

    assert [line.partition("  ")[2] for line in lines] == [
        "1  acme  message.created  [Lunch]  ou_1: hello\\x1b[2J",
        "2  acme  account.status  parked bad_credentials",
        "3  acme  platform.raw",
    ]
    params = next(r["params"] for r in supervisor.requests if r["method"] == "events.subscribe")
    assert params["start"] == 7


def test_the_log_is_shown_for_people(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    result = longwire("logs", "-n", "2")

    assert result.exit_code == 0
    first, second, *trace = result.stdout.splitlines()
    assert first.partition(" ")[2].partition(" ")[2] == "info     - supervisor_started pid=7"
    shown = 'error    acme output text=hello\\x1b[2J empty="" many=[1,"2"]'
    assert second.partition(" ")[2].partition(" ")[2] == shown
    assert trace == ["    Traceback:", "      line\\x1b"]
    assert result.stderr == ""
    assert supervisor.requests[-1]["params"] == {"lines": 2}


def test_the_log_in_json_is_one_object_a_line_and_what_is_missing_is_told_apart(longwire: Longwire) -> None:
    result = longwire("logs", "--json")

    assert [json.loads(line) for line in result.stdout.splitlines()] == LOG["lines"]
    assert result.stderr == "longwire: 7 lines before these were dropped, for there was no room\n"


def test_lines_that_did_not_fit_into_a_reply_are_told(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    supervisor.answers["logs.tail"] = {"data": {**LOG, "left_out": 5}}

    assert longwire("logs").stderr.startswith("longwire: 5 lines before these do not fit; ask for less")


def test_the_log_is_narrowed_by_the_supervisor(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    longwire("logs", "acme", "--since", "10m", "--level", "warning")

    params = supervisor.requests[-1]["params"]
    assert 590 < time.time() - params.pop("since") < 700
    assert params == {"account": "acme", "level": "warning", "lines": 10_000}


def test_the_log_of_an_unknown_account_ends_with_64(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    supervisor.refuse("logs.tail", RetCode.UNKNOWN_ACCOUNT)

    assert longwire("logs", "nobody").exit_code == 64
    assert longwire("logs", "-f", "nobody").exit_code == 64


def test_metrics_are_printed(longwire: Longwire, supervisor: FakeSupervisor) -> None:
    result = longwire("metrics")

    assert result.exit_code == 0
    assert "longwire_up 1.0\n" in result.stdout
    assert 'longwire_supervisor_state{state="degraded"} 1.0\n' in result.stdout
    account = '{account="acme",connector="lark",tenant="acme-inc"}'
    assert f"longwire_account_restarts_total{account} 3.0\n" in result.stdout
    assert [request["method"] for request in supervisor.requests] == ["hello", "status"]


def test_metrics_are_printed_in_json(longwire: Longwire) -> None:
    up, *_ = json.loads(longwire("metrics", "--json").stdout)

    assert (up["name"], up["samples"]) == ("longwire_up", [{"labels": {}, "value": 1.0}])


def test_a_supervisor_that_refuses_is_down_and_its_reason_is_told(
    longwire: Longwire, supervisor: FakeSupervisor
) -> None:
    supervisor.refuse("status", RetCode.SATURATED, retryable=True)

    result = longwire("metrics")

    assert (result.exit_code, result.stderr) == (75, "longwire: no (retcode 36001)\n")
    assert [line for line in result.stdout.splitlines() if line[0] != "#"] == ["longwire_up 0.0"]


def test_who_serves_metrics_says_once_that_the_supervisor_is_down_and_once_that_it_is_not(
    supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LONGWIRE_ENDPOINT", supervisor.endpoint)
    ask, answer = metrics._Supervisor(Path("none.toml")), supervisor.answers["status"]

    for _ in range(2):
        supervisor.refuse("status", RetCode.SATURATED, retryable=True)
        assert [ask(), ask()] == [None, None]
        assert capsys.readouterr().err == "longwire: no (retcode 36001)\n"
        supervisor.answers["status"] = answer
        assert [ask(), ask()] == [STATUS, STATUS]
        assert capsys.readouterr().err == "longwire: the supervisor answers again\n"


def test_absent_supervisor_ends_with_69(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.05)

    result = CliRunner().invoke(main, ["status"], env={"LONGWIRE_ENDPOINT": f"ipc://{tmp_path}/none.sock"})

    assert result.exit_code == 69
    assert result.stderr.startswith("longwire: no supervisor")


# In processes of their own: signals, pipes, exec.


LONGWIRE = str(Path(sys.executable).with_name("longwire"))


@contextmanager
def command(*args: str, endpoint: str = "") -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [LONGWIRE, *args],
        env={**os.environ, "LONGWIRE_ENDPOINT": endpoint},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_metrics_are_served_until_ctrl_c(supervisor: FakeSupervisor) -> None:
    with command("metrics", "--listen", "0", endpoint=supervisor.endpoint) as process:
        assert process.stdout is not None
        announced = process.stdout.readline()
        with urlopen(announced.removeprefix("metrics are at ").rstrip(), timeout=20) as answer:  # noqa: S310
            assert b"longwire_up 1.0\n" in answer.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (0, "", "")
    assert [request["method"] for request in supervisor.requests] == ["hello", "status"]


def test_metrics_cannot_be_served_where_somebody_else_is(supervisor: FakeSupervisor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command("metrics", "--listen", f"{port}", endpoint=supervisor.endpoint) as process:
            out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (75, "")
    assert err == f"longwire: --listen: 127.0.0.1, port {port}: Address already in use\n"


@pytest.mark.parametrize(
    ("listen", "endpoint", "code", "said"),
    [
        ("no-such-host.invalid:0", "ipc:///x.sock", 64, "--listen: no-such-host.invalid: "),
        ("0", "http://x", 78, "LONGWIRE_ENDPOINT: "),
    ],
)
def test_metrics_are_not_served_with_an_address_that_is_none(
    listen: str, endpoint: str, code: int, said: str
) -> None:
    with command("metrics", "--listen", listen, endpoint=endpoint) as process:
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (code, "")
    assert said in err


def test_ctrl_c_ends_a_tail_quietly(supervisor: FakeSupervisor) -> None:
    with command("events", "tail", "--json", endpoint=supervisor.endpoint) as process:
        assert process.stdout is not None
        for _ in EVENTS:
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (0, "", "")


def test_reader_that_goes_away_ends_a_tail_quietly(supervisor: FakeSupervisor) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    env = {**os.environ, "LONGWIRE_ENDPOINT": supervisor.endpoint}
    try:
        done = subprocess.run(
            [LONGWIRE, "events", "tail"],
            env=env,
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=20,
            check=False,
        )
    finally:
        os.close(write_end)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulators_run_until_a_signal(number: signal.Signals) -> None:
    with command("simulate", "--json") as process:
        assert process.stdout is not None
        announced = json.loads(process.stdout.readline())
        with urlopen(f"{announced['url']}/_sim/state", timeout=20) as answer:  # noqa: S310
            status = answer.status
        process.send_signal(number)
        _, err = process.communicate(timeout=20)

    assert announced["url"] == f"http://127.0.0.1:{announced['port']}"
    assert (status, process.returncode, err) == (200, 0, "")


def test_second_simulator_on_a_port_is_told_to_come_again() -> None:
    with command("simulate") as first:
        assert first.stdout is not None
        port = first.stdout.readline().strip().rpartition(":")[2]
        with command("simulate", "--port", port) as second:
            _, err = second.communicate(timeout=20)

    assert second.returncode == 75
    assert err == f"longwire: port {port}: Address already in use\n"


@pytest.mark.parametrize(
    ("env", "where"),
    [
        ({}, "{folder}/data/log.jsonl"),
        ({"LONGWIRE_ENDPOINT": "ipc://nobody"}, "log.jsonl of its data directory"),
    ],
)
def test_logs_names_the_file_where_no_supervisor_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], where: str
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LONGWIRE_ENDPOINT", raising=False)
    (tmp_path / "longwire.toml").write_text('[supervisor]\ndata_dir = "data"\n')
    result = CliRunner().invoke(main, ["logs"], env=env)

    assert result.exit_code == 69
    assert f"its last lines are in {where.format(folder=tmp_path)}" in result.stderr
