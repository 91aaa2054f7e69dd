"""Scenarios A5, G6 and G10: what an account may cost the host and its neighbours, by their ids."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import COMMAND, Program
from harness.scenario import SLACK_S
from harness.simulator import Simulator
from harness.waiting import until
from longwire import CommandError
from longwire_connectors.simulator.counters import State
from longwire_connectors.simulator.fault_kinds import ApiError, DingTalkOpenStatus, LarkDiscoveryStatus
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

PLUGINS = str(Path(__file__).parent.parent / "plugins")

# A5: what is left after a hundred starts and stops.

ROUNDS = 3
POOL = (os.cpu_count() or 1) + 4
"""Threads of the loop's own pool, which come when they are first needed and stay."""
GROWTH_BYTES = 7 * 1024 * 1024
"""Of the parent's memory: dead children are remembered for a minute, and what they said for longer."""


class Footprint:
    """What the supervisor holds of the machine."""

    def __init__(self, longwire: Longwire) -> None:
        proc = Path(f"/proc/{longwire.program.pid}")
        self.threads = len(list((proc / "task").iterdir()))
        self.files = sorted(_targets(proc / "fd"))
        self.processes = sorted(process.name() for process in longwire.program.descendants())
        self.rss_bytes = psutil.Process(longwire.program.pid).memory_info().rss


def _targets(folder: Path) -> Iterator[str]:
    """Return what descriptors stand for, without the numbers that differ from one to the next."""
    for link in folder.iterdir():
        try:
            yield str(link.readlink()).partition(":")[0]
        except FileNotFoundError:
            continue  # closed meanwhile


async def test_a5_after_a_hundred_starts_and_stops_the_parent_is_as_it_was(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Threads, descriptors, processes and memory are counted from outside.

    Alone: nothing can be stopped but the whole program, and of three bots in one program two failed with
    «This event loop is already running».
    """
    accounts = {f"lark-{n}": lark(simulator.url, f"cli_{n:016x}") for n in range(24)}
    # DingTalk's 20 s between connections are not what this shows.
    accounts |= {f"ding-{n}": dingtalk(simulator.url, f"ding{n}", backoff_initial_s=1.0) for n in range(2)}
    longwire.configure(accounts)
    await longwire.start()
    await longwire.until_online()
    footprints: list[Footprint] = []
    for _ in range(ROUNDS):
        await _all(longwire, "account.stop", until_state="stopped")
        await until(lambda: _is_quiet(longwire), what="only templates are left")
        footprints.append(Footprint(longwire))
        await _all(longwire, "account.start", until_state="online")
    await _all(longwire, "account.stop", until_state="stopped")
    await until(lambda: _is_quiet(longwire), what="only templates are left")
    first, last = footprints[0], Footprint(longwire)
    assert last.threads <= first.threads + POOL
    assert last.files == first.files
    assert last.processes == first.processes
    assert last.rss_bytes - first.rss_bytes < GROWTH_BYTES
    state = await simulator.state()
    apps = [*state.lark.values(), *state.dingtalk.values()]
    assert sum(app.connections_total for app in apps) == (ROUNDS + 1) * len(accounts) > 100
    assert {app.connections_max_open for app in apps} == {1}


async def _all(longwire: Longwire, method: str, *, until_state: str) -> None:
    await asyncio.gather(*(longwire.client.call(method, account=name) for name in longwire.accounts))
    for name in longwire.accounts:
        await longwire.until_state(name, until_state)


async def _is_quiet(longwire: Longwire) -> bool:
    return all("template" in process.name() for process in longwire.program.descendants())


# G6: secrets.

SECRET_IN_ENVIRONMENT = "a-secret-from-the-environment"
TAIL = "events tail --from all --type message.created --count 3 --json"


@contextmanager
def cores_allowed() -> Iterator[None]:
    """Have programs that are started now inherit as large a core as may be."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


async def test_g6_no_secret_is_in_any_output_file_or_process(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    """After well-used and refused credentials, hung and crashed processes, every output is searched.

    Alone: access_key and ticket of each connection are in Lark's log, and DingTalk's ticket in its, at their
    default levels.
    """
    (tmp_path / "secret").write_text("secret-of-filed")
    longwire.configure(
        {
            "bot": lark(simulator.url, "cli_bot", app_secret="env:BOT_SECRET", heartbeat_timeout_s=1.5),
            "filed": lark(simulator.url, "filed", app_secret=f"file:{tmp_path}/secret", isolation="spawn"),
            "ding": dingtalk(simulator.url, "ding", backoff_initial_s=0.1),
            "refused": lark(simulator.url, "refused"),
        },
        defaults={"backoff_initial_s": 0.1},
    )
    await simulator.register("lark", app="refused", secret="another-one")
    with cores_allowed():
        await longwire.start(env={"BOT_SECRET": SECRET_IN_ENVIRONMENT})
    await longwire.until_online("bot", "filed", "ding")
    await longwire.until_state("refused", "parked")
    await _traffic(simulator, longwire)
    await _trouble(simulator, longwire)
    own = [SECRET_IN_ENVIRONMENT, *(f"secret-of-{name}" for name in ("filed", "ding", "refused"))]
    secrets = [*own, *await simulator.given_out()]
    assert len(secrets) > 20, "tickets, keys, tokens and sessions were given out"
    places = {**_processes(longwire), **await _verbs(longwire)}
    code, _ = await longwire.stop()
    assert code == 0
    places |= _files(tmp_path)
    leaks = {
        name: [secret for secret in secrets if secret.encode() in content] for name, content in places.items()
    }
    assert {name: found for name, found in leaks.items() if found} == {}
    assert b'"sessionWebhook":"[redacted]"' in places[TAIL], "what was looked at has all of the payload"


async def _traffic(simulator: Simulator, longwire: Longwire) -> None:
    """Have every kind of capability used: tickets, tokens, session webhooks; well and badly."""
    await simulator.inject_lark(LarkEvent(app="cli_bot", chat="oc_1"))
    await simulator.inject_lark(LarkEvent(app="cli_bot", kind="card", action_value={"n": 1}))
    await simulator.inject_dingtalk(DingTalkEvent(app="ding", conversation="cid1==", count=2))

    async def stored() -> bool:
        counts = [(await longwire.account(name))["events"] for name in ("bot", "ding")]
        return counts == [2, 2]

    await until(stored, what="events are stored")
    for name, platform, secret in (
        ("bot", "lark", SECRET_IN_ENVIRONMENT),
        ("ding", "dingtalk", "secret-of-ding"),
    ):
        params = {"chat": "oc_1" if name == "bot" else "cid1==", "text": "hello"}
        await longwire.client.call("message.create", params, account=name)
        refusal = ApiError(platform=platform, status=403, code=9, msg=f"no: {secret}")  # type: ignore[arg-type]
        fault = await simulator.fault(refusal)
        with pytest.raises(CommandError) as refused:
            await longwire.client.call("message.create", params, account=name)
        assert secret not in str(refused.value)
        await simulator.clear_faults(fault)


async def _trouble(simulator: Simulator, longwire: Longwire) -> None:
    """Have links dropped, refused with words that repeat the secret, and processes hung and crashed."""
    said = f"the secret {SECRET_IN_ENVIRONMENT} is fine"
    await simulator.fault(LarkDiscoveryStatus(platform="lark", app="cli_bot", msg=said, times=2))
    body: dict[str, object] = {"code": "secret-of-ding", "message": "secret-of-ding is fine"}
    await simulator.fault(DingTalkOpenStatus(platform="dingtalk", body=body, times=1))
    for platform in ("lark", "dingtalk"):
        await simulator.drop(platform, how="abort")  # type: ignore[arg-type]
    for name in ("bot", "ding"):
        await until(lambda name=name: _was_in(longwire, name, "backoff"), what=f"{name} was refused")
    await longwire.until_online("bot", "filed", "ding")
    os.kill((await longwire.account("bot"))["pid"], signal.SIGSTOP)
    os.kill((await longwire.account("filed"))["pid"], signal.SIGABRT)
    for name in ("bot", "filed"):
        await until(lambda name=name: _is_replaced(longwire, name), what=f"{name} has another process")
    await longwire.until_online("bot", "filed", "ding")


async def _was_in(longwire: Longwire, name: str, state: str) -> bool:
    return any(
        (line["account"], line["state"]) == (name, state) for line in longwire.log_events("account_state")
    )


async def _is_replaced(longwire: Longwire, name: str) -> bool:
    return bool((await longwire.account(name))["restarts"] >= 1)


def _processes(longwire: Longwire) -> dict[str, bytes]:
    """Return what `ps` shows of every process; only the supervisor was started with secrets around it."""
    children = [process.pid for process in longwire.program.descendants()]
    places = {f"/proc/{pid}/cmdline" for pid in (*children, longwire.program.pid)}
    places |= {f"/proc/{pid}/environ" for pid in children}
    return {place: Path(place).read_bytes() for place in places}


async def _verbs(longwire: Longwire) -> dict[str, bytes]:
    """Return what the command prints."""
    verbs = [
        "status",
        "status --json",
        "accounts show bot --json",
        TAIL,
        "logs -n 5000",
        "logs -n 5000 --json",
        "check",
    ]
    env = {"BOT_SECRET": SECRET_IN_ENVIRONMENT}
    printed = await asyncio.gather(*(_print(longwire, verb, env=env) for verb in verbs))
    return dict(zip(verbs, printed, strict=True))


async def _print(longwire: Longwire, verb: str, *, env: dict[str, str]) -> bytes:
    output = longwire.folder / f"output of {verb.replace('/', ' ')}"
    program = await Program.start(
        [COMMAND, "-c", str(longwire.config), *verb.split()], output=output, env=env
    )
    assert await program.ended(deadline_s=60) == 0, program.text()
    printed = output.read_bytes()
    assert printed
    return printed


def _files(folder: Path) -> dict[str, bytes]:
    """Return all that was written: data directory, logs, incidents, cores; not where secrets were read."""
    sources = {folder / "longwire.toml", folder / "secret"}
    files = [path for path in folder.rglob("*") if path.is_file() and path not in sources]
    assert any(path.name == "journal.sqlite3" for path in files)
    return {str(path): path.read_bytes() for path in files}


# G10: one account's trouble is its own.

QUICK_S = 1.0
"""A command's answer, and a neighbour's way back after a kill, on a noisy machine; both take some 20 ms."""


KILLS = 3
"""Some, as trouble comes and goes: a loop of crashes, a flood."""


@pytest.mark.parametrize("how", ["crash-loops", "hangs in start", "floods its log", "ignores SIGTERM"])
async def test_g10_an_account_in_trouble_leaves_its_neighbours_alone(
    simulator: Simulator, longwire: Longwire, how: str
) -> None:
    """A neighbour killed meanwhile is back at once, and commands are answered.

    Alone: in a process each nothing is shared; in one program a handler of 5 s held up the acks and pings of
    all (docs/platforms.md, L10).
    """
    bad: dict[str, Any] = {"connector": "misbehaving", "backoff_initial_s": 0.05, "backoff_max_s": 0.1}
    bad["at_start"] = {"crash-loops": "exit", "hangs in start": "hang"}.get(how, "")
    app = "cli_00000000000000aa"
    longwire.configure(
        {"bad": bad, "lark": lark(simulator.url, app), "ding": dingtalk(simulator.url, "ding")},
        defaults={"backoff_initial_s": 0.1},
    )
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online("lark", "ding")
    trouble = asyncio.create_task(_misbehave(longwire, how), name=how)
    await until(lambda: _is_in_trouble(longwire, how), what=f"it {how}")
    for _ in range(KILLS):
        assert await _seconds_back(longwire) < QUICK_S + SLACK_S
        assert await _longest_command_s(longwire) < QUICK_S + SLACK_S
    await simulator.inject_lark(LarkEvent(app=app, count=20))
    await until(lambda: _is_acked(simulator, app, 20), what="its events are stored and acked")
    state: State = await simulator.state()
    assert (state.dingtalk["ding"].connections_total, (await longwire.account("ding"))["restarts"]) == (1, 0)
    trouble.cancel()
    await asyncio.gather(trouble, return_exceptions=True)
    code, took = await longwire.stop()
    assert (code, took < 5 + SLACK_S) == (0, True)


async def _seconds_back(longwire: Longwire) -> float:
    """Kill the neighbour's process; return how long it takes to be online again."""
    pid = (await longwire.account("lark"))["pid"]
    os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()
    await until(lambda: _has_new_process(longwire, "lark", pid), what="the neighbour has a new process")
    await longwire.until_online("lark")
    return time.monotonic() - begun


async def _misbehave(longwire: Longwire, how: str) -> None:
    text = {"floods its log": "flood", "ignores SIGTERM": "ignore sigterm"}.get(how)
    while text is not None:
        try:
            await longwire.client.call(
                "message.create", {"chat": "c", "text": text}, account="bad", deadline_s=5
            )
        except CommandError:
            await asyncio.sleep(0.1)  # it is being replaced, or answers no more


async def _is_in_trouble(longwire: Longwire, how: str) -> bool:
    account = await longwire.account("bad")
    match how:
        case "crash-loops":
            return bool(account["restarts"] >= 3)
        case "hangs in start":
            return account["state"] == "starting" and account["pid"] is not None
        case "floods its log":
            return bool(longwire.log_events("child_log_lines_dropped"))
        case _:
            return bool(account["pid"] and psutil.Process(account["pid"]).status() == psutil.STATUS_STOPPED)


async def _has_new_process(longwire: Longwire, name: str, pid: int) -> bool:
    return (await longwire.account(name))["pid"] not in {None, pid}


async def _longest_command_s(longwire: Longwire) -> float:
    longest = 0.0
    for _ in range(20):
        begun = time.monotonic()
        await longwire.status()
        longest = max(longest, time.monotonic() - begun)
    return longest


async def _is_acked(simulator: Simulator, app: str, count: int) -> bool:
    return (await simulator.app_state("lark", app)).acked == count
