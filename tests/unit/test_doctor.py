"""What a doctor says of what it finds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longwire.doctor import Finding, Level, examine, machine, network, place, software
from longwire.doctor.facts import Facts, Fleet, Machine, Place, Running, Sdk, Software, Tried
from longwire.doctor.findings import Trouble, error, exit_code, note, ok, warning
from longwire_connectors.describe import requirements
from longwire_protocol.declaration import Requirement
from longwire_protocol.errors import Problem

MB, MIB = machine.MB, place.MIB
INF = float("inf")

SOFTWARE = Software(
    config="longwire.toml", problems=(), version=(3, 12, 1), implementation="CPython", longwire="1.0"
)
FLEET = Fleet(forked=90, spawned=10, templates=2)
MACHINE = Machine(
    open_files=4096.0,
    user_tasks_limit=INF,
    user_tasks=10,
    cgroup_tasks_limit=4096.0,
    cgroup_tasks=5,
    memory_available=8000.0 * MB,
    memory_limit=INF,
    core_limit=0.0,
    core_pattern="core",
    unix_time=1_800_000_000.0,
    suspended_s=0.0,
)
PLACE = Place(
    path="/srv/var",
    mode=0o700,
    is_writable=True,
    file_system="ext4",
    free=100_000 * MIB,
    journal_max_bytes=2048 * MIB,
)
NOBODY = Running(is_locked=False, endpoint="ipc:///srv/var/longwire.sock")
ANSWERS = replace(NOBODY, is_locked=True, holder="17", version="1.0", state="ok")
FACTS = Facts(software=SOFTWARE, fleet=FLEET, machine=MACHINE, place=PLACE, running=NOBODY, proxies={})


def said(findings: Any) -> list[tuple[str, Level]]:
    """Return what was said, but for what is as it should be."""
    found = list(findings)
    for finding in found:
        assert finding.level in {Level.OK, Level.NOTE} or finding.action, "says what to do"
        assert (finding.level is Level.ERROR) == (finding.trouble is not None)
    return [(finding.check, finding.level) for finding in found if finding.level is not Level.OK]


def test_where_all_is_well_it_says_so_and_nothing_else() -> None:
    findings = examine(FACTS)
    assert {finding.level for finding in findings} == {Level.OK}
    assert exit_code(findings) == 0
    assert {finding.check for finding in findings} >= {
        "configuration",
        "python",
        "supervisor",
        "disk",
        "memory",
    }


def test_what_cannot_be_read_is_a_finding() -> None:
    facts = replace(FACTS, unreadable={"cgroup": "PermissionError: no"}, machine=Machine(), place=None)
    assert ("cgroup", Level.NOTE) in said(examine(facts))


def test_a_configuration_that_cannot_be_used_leaves_the_rest_to_be_looked_at() -> None:
    problems = (Problem("accounts.a.app_id", "missing"), Problem("", "no such file"))
    facts = replace(FACTS, software=replace(SOFTWARE, problems=problems), fleet=None)
    findings = examine(facts)
    assert [f.message for f in findings if f.level is Level.ERROR] == [str(problem) for problem in problems]
    assert exit_code(findings) == 78
    assert "disk" in {finding.check for finding in findings}


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([ok("a", "b"), note("a", "b"), warning("a", "b", "c")], 0),
        ([error("a", "b", "c", Trouble.TRY_AGAIN)], 75),
        ([error("a", "b", "c", Trouble.TRY_AGAIN), error("a", "b", "c", Trouble.UNREACHABLE)], 69),
        ([error("a", "b", "c", Trouble.UNREACHABLE), error("a", "b", "c", Trouble.NOT_PERMITTED)], 77),
        ([error("a", "b", "c", Trouble.NOT_PERMITTED), error("a", "b", "c", Trouble.CONFIGURATION)], 78),
    ],
)
def test_the_exit_code_is_that_of_the_first_kind_of_error(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code


# Software.


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(SOFTWARE, version=(3, 10, 9)), [("python", Level.ERROR)]),
        (replace(SOFTWARE, implementation="PyPy"), [("python", Level.WARNING)]),
        (replace(SOFTWARE, version=(3, 11, 0)), []),
        (replace(SOFTWARE, unsigned=("crm",)), [("webhooks", Level.WARNING)]),
    ],
)
def test_interpreters_that_are_too_old_or_others(facts: Software, expected: list[tuple[str, Level]]) -> None:
    assert said(software.judge(facts)) == expected


@pytest.mark.parametrize(
    ("wanted", "installed", "expected"),
    [
        ("websockets<16,>=13", "15.0.1", []),
        ("websockets<16,>=13", "16.0", [("sdk", Level.ERROR)]),
        ("lark-oapi<2,>=1.4.24", "1.4.9", [("sdk", Level.ERROR)]),
        ("dingtalk-stream>=0.24.3", "0.24.4b1", []),
        ("lark-oapi<2,>=1.4.24", None, [("sdk", Level.ERROR)]),
        ("lark-oapi<2,>=1.4.24", "of our own", [("sdk", Level.WARNING)]),
        ("lark-oapi !!", "1.7.5", [("sdk", Level.WARNING)]),
    ],
)
def test_sdks(wanted: str, installed: str | None, expected: list[tuple[str, Level]]) -> None:
    needed = Requirement(name=wanted.partition("<")[0], wanted=wanted, installed=installed)
    sdk = Sdk(connector="lark", python="/opt/v/bin/python", requirements=(needed,))
    findings = list(software.judge(replace(SOFTWARE, sdks=(sdk,))))
    assert said(findings) == expected
    if expected:
        assert findings[-1].action == f"/opt/v/bin/python -m pip install '{wanted}'"


def test_the_requirements_of_an_extra_are_read_from_its_distribution() -> None:
    written = [
        "aiohttp<4,>=3.10",
        "websockets<16,>=13; extra == 'lark'",
        'lark-oapi <2,>=1.4.24 ; extra == "lark"',
        "no-such-distribution>=1; extra == 'lark'",
        "dingtalk-stream>=0.24.3; extra == 'dingtalk'",
    ]
    found = requirements(written, "lark")
    assert [(each.name, each.wanted) for each in found] == [
        ("websockets", "websockets<16,>=13"),
        ("lark-oapi", "lark-oapi <2,>=1.4.24"),
        ("no-such-distribution", "no-such-distribution>=1"),
    ]
    assert found[0].installed
    assert found[2].installed is None
    assert requirements(written, None) == ()


# The machine.


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"open_files": 627.0}, [("open_files", Level.ERROR)]),
        ({"open_files": 628.0}, [("open_files", Level.WARNING)]),
        ({"open_files": INF}, []),
        ({"user_tasks_limit": 400.0}, [("processes", Level.ERROR)]),
        ({"user_tasks_limit": 450.0}, [("processes", Level.WARNING)]),
        ({"user_tasks_limit": 400.0, "is_root": True}, []),
        ({"cgroup_tasks_limit": 100.0, "cgroup_tasks": 200}, [("pids", Level.ERROR)]),
        ({"cgroup_tasks_limit": 450.0}, [("pids", Level.WARNING)]),
        ({"cgroup_tasks_limit": None}, []),
        ({"memory_available": 1000.0 * MB}, [("memory", Level.ERROR)]),
        ({"memory_limit": 1300.0 * MB}, [("memory", Level.WARNING)]),
        ({"memory_limit": None, "memory_available": None}, []),
        ({"core_limit": INF}, [("core_dumps", Level.NOTE)]),
        ({"core_limit": None}, []),
        ({"core_pattern": "|/usr/lib/systemd/systemd-coredump %P"}, [("core_dumps", Level.NOTE)]),
        ({"core_pattern": "|"}, [("core_dumps", Level.NOTE)]),
        ({"is_linux": False, "has_pidfd": False, "has_setsig": False}, [("system", Level.NOTE)]),
        ({"has_pidfd": False}, [("pidfd", Level.WARNING)]),
        ({"has_setsig": False}, [("lifeline", Level.WARNING)]),
        ({"is_proc_readable": False}, [("proc", Level.WARNING)]),
        ({"unix_time": 5.0}, [("clock", Level.ERROR)]),
        ({"suspended_s": 3600.0}, [("suspend", Level.NOTE)]),
    ],
)
def test_the_machine_against_a_hundred_accounts(
    facts: dict[str, Any], expected: list[tuple[str, Level]]
) -> None:
    assert said(machine.judge(replace(MACHINE, **facts), FLEET, is_running=False)) == expected


def test_what_runs_already_has_its_memory_and_processes() -> None:
    tight = replace(MACHINE, memory_available=1.0 * MB, cgroup_tasks_limit=1.0)
    assert said(machine.judge(tight, FLEET, is_running=True)) == []
    assert said(machine.judge(tight, None, is_running=False)) == []


# The place.


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"exists": False}, []),
        ({"exists": False, "is_writable": False}, [("data_dir", Level.ERROR)]),
        ({"is_folder": False}, [("data_dir", Level.ERROR)]),
        ({"is_ours": False}, [("data_dir", Level.ERROR)]),
        ({"is_writable": False}, [("data_dir", Level.ERROR)]),
        ({"mode": 0o755}, [("data_dir", Level.WARNING)]),
        ({"mode": None}, []),
        ({"file_system": "nfs4"}, [("file_system", Level.ERROR)]),
        ({"file_system": "tmpfs"}, [("file_system", Level.WARNING)]),
        ({"file_system": "overlay"}, [("file_system", Level.WARNING)]),
        ({"file_system": None}, []),
        ({"free": 10 * MIB}, [("disk", Level.ERROR)]),
        ({"free": 1000 * MIB}, [("disk", Level.WARNING)]),
        ({"free": 1000 * MIB, "journal_bytes": 1500 * MIB}, []),
        ({"free": 1000 * MIB, "journal_max_bytes": None}, []),
        ({"free": None}, []),
        ({"children_socket_bytes": 108}, [("sockets", Level.NOTE)]),
        ({"children_socket_bytes": 107}, []),
        ({"stale_sockets": ("/srv/var/longwire.sock",)}, [("sockets", Level.NOTE)]),
    ],
)
def test_the_data_directory(facts: dict[str, Any], expected: list[tuple[str, Level]]) -> None:
    assert said(place.judge(replace(PLACE, **facts), NOBODY)) == expected


def test_a_socket_that_is_not_listened_at_yet_is_not_stale_while_the_lock_is_held() -> None:
    starting = replace(PLACE, stale_sockets=("/srv/var/longwire.sock",))
    assert said(place.judge(starting, replace(NOBODY, is_locked=True))) == []


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (NOBODY, []),
        (Running(), []),
        (ANSWERS, []),
        (replace(ANSWERS, is_locked=None, holder=None), []),
        (replace(NOBODY, is_ours=False), [("supervisor", Level.ERROR)]),
        (replace(NOBODY, is_locked=True), [("supervisor", Level.ERROR)]),
        (replace(ANSWERS, is_locked=False), [("supervisor", Level.WARNING)]),
        (replace(ANSWERS, version="0.9"), [("supervisor", Level.WARNING)]),
        (replace(ANSWERS, state="degraded", reason="commits fail"), [("supervisor", Level.WARNING)]),
        (replace(ANSWERS, state="draining"), [("supervisor", Level.WARNING)]),
        (
            replace(ANSWERS, not_online={"a": "parked", "b": "backoff"}),
            [("accounts", Level.NOTE), ("accounts", Level.WARNING)],
        ),
        (
            replace(ANSWERS, not_delivering={"a": "disabled", "b": "resting", "c": "refused"}),
            [("webhooks", Level.WARNING), ("webhooks", Level.WARNING), ("webhooks", Level.NOTE)],
        ),
    ],
)
def test_the_supervisor(running: Running, expected: list[tuple[str, Level]]) -> None:
    assert said(place.judge_supervisor(running, longwire="1.0")) == expected


def test_many_accounts_in_one_state_are_one_finding() -> None:
    many = {f"bot-{n}": "backoff" for n in range(100)}
    (finding,) = (f for f in place.judge_supervisor(replace(ANSWERS, not_online=many), longwire="1.0")
                  if f.check == "accounts")  # fmt: skip
    assert finding.message == "100 in backoff: bot-0, bot-1, bot-2, bot-3, bot-4 and 95 more"


# The network.


@pytest.mark.parametrize(
    ("name", "value", "level", "text"),
    [
        ("HTTPS_PROXY", "http://proxy.acme:3128", Level.NOTE, "http://proxy.acme:3128"),
        ("http_proxy", "proxy.acme", Level.NOTE, "http://proxy.acme"),
        ("ALL_PROXY", "socks5://127.0.0.1:1080", Level.WARNING, "SOCKS is not understood"),
        ("HTTPS_PROXY", "http://proxy.acme:port", Level.WARNING, "no URL"),
    ],
)
def test_proxies(name: str, value: str, level: Level, text: str) -> None:
    (finding,) = network.judge_proxies({name: value})
    assert (finding.level, name in finding.message, text in finding.message) == (level, True, True)


def test_the_password_of_a_proxy_is_not_shown() -> None:
    (finding,) = network.judge_proxies({"HTTPS_PROXY": "http://me:hunter2@proxy.acme:3128"})
    assert "hunter2" not in repr(finding)


def tried(account: str = "a", *, ahead_s: float | None = 0.0, **more: Any) -> Tried:
    known = {"ok": True, "is_final": False, "text": f"{account}: accepted", "user_action": None}
    return Tried(account=account, clock_ahead_s=ahead_s, **{**known, **more})


@pytest.mark.parametrize(
    ("found", "expected", "code"),
    [
        ((), [], 0),
        ((tried(),), [], 0),
        ((tried(ahead_s=None),), [], 0),
        ((tried(ok=False, is_final=True, user_action="Compare."),), [("credentials", Level.ERROR)], 77),
        ((tried(ok=False, ahead_s=None),), [("credentials", Level.ERROR)], 75),
        ((tried(ahead_s=-20.0),), [("clock", Level.NOTE)], 0),
        ((tried(ahead_s=3600.0),), [("clock", Level.WARNING)], 0),
        ((tried(ahead_s=3600.0), tried(ahead_s=0.0), tried(ahead_s=1.0)), [], 0),
    ],
)
def test_credentials_and_clock(
    found: tuple[Tried, ...], expected: list[tuple[str, Level]], code: int
) -> None:
    findings = list(network.judge_tried(found))
    assert said(findings) == expected
    assert exit_code(findings) == code
