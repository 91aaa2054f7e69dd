"""Clients in plain code, in threads, loops and forks (scenarios D1 to D5, D7), as programs of their own."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from harness.longwire import Longwire, lark
from harness.processes import Program
from harness.scenario import SLACK_S
from harness.simulator import Simulator
from harness.waiting import DEADLINE_S, until
from longwire_connectors.simulator.fault_kinds import ApiHang

APP = "cli_00000000000000aa"
EXIT_S = 5.0

HEAD = """
import asyncio, json, logging, os, signal, socket, sys, threading, time
from longwire import Client, ClientForked, SyncClient, WouldDeadlock

signal.alarm(100)  # it ends, also when the test has failed
ENDPOINT = sys.argv[1]
HANGS = {"chat": "oc_1", "text": "hangs"}

def say(**what):
    print(json.dumps(what), flush=True)

def connections():
    "The connections of this process to the supervisor."
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as copy:
                if copy.getpeername() == ENDPOINT.removeprefix("ipc://"):
                    found.append(os.fstat(copy.fileno()).st_ino)
        except OSError:
            pass
    return found
"""

MANY = """
client = SyncClient(ENDPOINT, connect_timeout_s=60)
answers, failures = [], []

def work(account):
    for _ in range(64):
        try:
            answers.append(client.call("account.get", account=account, deadline_s=60)["account"] == account)
        except BaseException as exc:
            failures.append(repr(exc))

threads = [threading.Thread(target=work, args=(("bot", "other")[n % 2],)) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
client.close()
say(right=sum(answers), answers=len(answers), failures=failures)
"""

CANCELLED = """
client = SyncClient(ENDPOINT, connect_timeout_s=60)
client.call("status")
seen = []

def work():
    try:
        while True:
            try:
                client.call("message.create", HANGS, account="bot", deadline_s=100)
            except Exception as exc:
                seen.append(f"taken for an error: {exc!r}")
    except BaseException as exc:
        seen.append(f"{type(exc).__module__}.{type(exc).__qualname__}")

thread = threading.Thread(target=work)
thread.start()
print("calling", flush=True)
while thread.is_alive():
    thread.join(0.2)
    client.cancel()
say(seen=seen, works_on=client.call("hello")["protocol"])
"""

OWN_THREAD = """
from longwire_protocol.messages import Credit

client = SyncClient(ENDPOINT, connect_timeout_s=60)
seen = []

class Reporter(logging.Handler):
    "Tells a chat of every warning, as a host might."
    def emit(self, record):
        begun = time.monotonic()
        try:
            client.call("status")
        except Exception as exc:
            seen.append((type(exc).__name__, str(exc), time.monotonic() - begun))

client.call("status")
logging.getLogger("longwire.client").addHandler(Reporter())
events = client.subscribe("own")
events.open()

async def complain(inner):
    inner.tell(Credit("own", 0))  # which the supervisor refuses, and the client has a line in the log for

client.session.run(complain)
deadline = time.monotonic() + 30
while not seen and time.monotonic() < deadline:
    time.sleep(0.05)
(found,) = seen
say(error=found[0], text=found[1], seconds=found[2], works_on=client.call("hello")["protocol"])
"""

ENDING = """
from concurrent.futures import ThreadPoolExecutor

client = SyncClient(ENDPOINT, connect_timeout_s=60)
events = client.subscribe("bot", types=["nothing of the kind"])
events.open()
gate = threading.Barrier(10)

def call():
    gate.wait()
    client.call("message.create", HANGS, account="bot", deadline_s=100)

def read():
    gate.wait()
    for event in events:
        pass

pool = ThreadPoolExecutor(3)
for _ in range(3):
    pool.submit(call)
for daemon in (False, False, False, True, True):
    threading.Thread(target=call, daemon=daemon).start()
threading.Thread(target=read).start()
gate.wait()
print("leaving", flush=True)
"""

EVERYWHERE = """
def from_a_script():
    with SyncClient(ENDPOINT, connect_timeout_s=60) as client:
        return client.call("hello")["protocol"]

async def inside_a_loop():
    found = from_a_script()
    await asyncio.sleep(0)  # the loop works on
    return found

async def beside_a_loop():
    return await asyncio.to_thread(from_a_script)

async def notebook(cells):
    "As a kernel does: its loop runs, and each cell is plain code on the loop's thread."
    names = dict(globals())
    for cell in cells:
        exec(compile(cell, "<cell>", "exec"), names)
        await asyncio.sleep(0)
    return names["found"]

cells = ["client = SyncClient(ENDPOINT)", "found = client.call('hello')['protocol']", "client.close()"]
say(
    script=from_a_script(),
    inside=asyncio.run(inside_a_loop()),
    beside=asyncio.run(beside_a_loop()),
    notebook=asyncio.run(notebook(cells)),
    nest_asyncio="nest_asyncio" in sys.modules,
)
"""

FORKING = """
client = SyncClient(ENDPOINT, connect_timeout_s=60)
events = client.subscribe("bot", types=["message.created"])
events.open()
(inherited,) = connections()
pid = os.fork()
if pid == 0:
    bare = connections()
    refusals = 0
    for act in (lambda: next(events), events.close, lambda: client.call("hello")["nonsense"]):
        try:
            act()
        except ClientForked:
            refusals += 1
        except KeyError:  # the supervisor's answer has no such thing
            pass
    own = connections()
    say(who="child", bare=bare, refusals=refusals, own=len(own), is_shared=inherited in own)
    sys.exit(3)
_, status = os.waitpid(pid, 0)
say(who="parent", child=os.waitstatus_to_exitcode(status), same=connections() == [inherited])
client.send("bot", "c", "for the parent")
event = next(events)
event.ack()
say(who="parent", text=event.text, protocol=client.call("hello")["protocol"])
client.close()
"""

FORKING_LOOP = """
async def main():
    async with Client(ENDPOINT, connect_timeout_s=60) as client:
        (inherited,) = connections()
        pid = os.fork()
        if pid == 0:
            bare = connections()
            try:
                client.call("hello").send(None)
            except ClientForked as exc:
                say(who="child", bare=bare, text=str(exc))
            with SyncClient(ENDPOINT) as own:
                say(who="child", protocol=own.call("hello")["protocol"], is_shared=inherited in connections())
            os._exit(0)
        await asyncio.to_thread(os.waitpid, pid, 0)
        answer = await client.call("hello")
        say(who="parent", protocol=answer["protocol"], same=connections() == [inherited])

asyncio.run(main())
"""


async def looped(longwire: Longwire, *names: str) -> None:
    longwire.configure({name: {"connector": "loopback", "echo": True} for name in names})
    await longwire.start()
    await longwire.until_online()


async def online(longwire: Longwire, simulator: Simulator) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()


async def start(longwire: Longwire, program: str, *options: str) -> Program:
    command = [sys.executable, *options, "-c", HEAD + program, longwire.endpoint]
    return await Program.start(command, output=longwire.folder / "program.log", cwd=longwire.folder)


async def says(program: Program, word: str) -> None:
    async def has_said() -> bool:
        assert program.returncode is None or word in program.text(), program.text()
        return word in program.text()

    await until(has_said, what=f"it says {word!r}")


async def told(program: Program) -> list[dict[str, Any]]:
    """Return what it said when it has ended well, and said nothing else: no traceback, no complaint."""
    assert await program.ended(deadline_s=DEADLINE_S) == 0, program.text()
    lines = [line for line in program.text().splitlines() if line != "calling"]
    assert all(line.startswith("{") for line in lines), program.text()
    return [json.loads(line) for line in lines]


async def test_d1_eight_threads_with_64_calls_each_are_all_answered(longwire: Longwire) -> None:
    """One client, one connection, two accounts asked for in turn; each thread gets its own answers.

    Alone: its own client answered 512 of 512 calls of eight threads, in 26 s on a busy machine;
    it has no connection to keep: each is an HTTP request.
    """
    await looped(longwire, "bot", "other")
    (seen,) = await told(await start(longwire, MANY))
    assert seen == {"right": 512, "answers": 512, "failures": []}


async def test_d2_a_cancelled_call_is_no_error_that_a_retry_would_swallow(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A worker that retries after every error waits in a call that hangs at the platform, and is cancelled.

    Alone: by its code, its calls are those of requests, which nothing can cancel; a thread in one that
    hung was still waiting after 20 s.
    """
    await online(longwire, simulator)
    await simulator.fault(ApiHang(platform="lark", call="send"))
    (seen,) = await told(await start(longwire, CANCELLED))
    assert seen == {"seen": ["asyncio.exceptions.CancelledError"], "works_on": 1}


async def test_d3_a_call_on_the_clients_own_thread_is_refused_at_once(longwire: Longwire) -> None:
    """A handler of log lines that calls the supervisor is itself called on the loop's thread.

    Alone: a handler runs on its connection's own loop and may block it: one of 5 s held up the acks and
    pings of the connection, without an error (docs/platforms.md, L10).
    """
    longwire.configure({})
    await longwire.start()
    (seen,) = await told(await start(longwire, OWN_THREAD))
    assert (seen["error"], seen["works_on"]) == ("WouldDeadlock", 1)
    assert "thread" in seen["text"]
    assert seen["seconds"] < 1


async def test_d4_a_program_ends_within_seconds_while_calls_wait(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Threads, daemons and a pool wait for a platform that hangs and for events that never come.

    Alone: 20 s after its end a program was alive, because one thread waited for a platform that hung:
    requests have no timeout unless one is given.
    """
    await online(longwire, simulator)
    await simulator.fault(ApiHang(platform="lark", call="send"))
    program = await start(longwire, ENDING)
    await says(program, "leaving")
    begun = time.monotonic()
    code = await program.ended(deadline_s=DEADLINE_S)
    took = time.monotonic() - begun
    assert (code, program.text()) == (0, "leaving\n")
    assert took < EXIT_S + SLACK_S

    async def has_left() -> bool:
        (status,) = (await longwire.status())["subscriptions"]
        return bool(status["clients"] == 0)

    await until(has_left, what="its subscription is given up")


async def test_d5_a_client_works_in_a_script_in_a_loop_beside_one_and_in_a_notebook(
    longwire: Longwire,
) -> None:
    """Each as plain code; on a thread whose loop stands still meanwhile, with a warning that names the line.

    Alone: inside a running loop its bot did not start («Cannot run the event loop while another loop is
    running»); on another thread than the one that had imported it it did.
    """
    longwire.configure({})
    await longwire.start()
    program = await start(longwire, EVERYWHERE, "-W", "ignore::RuntimeWarning")
    (seen,) = await told(program)
    assert seen == {"script": 1, "inside": 1, "beside": 1, "notebook": 1, "nest_asyncio": False}
    program.output.unlink()
    warned = await start(longwire, EVERYWHERE)
    assert await warned.ended(deadline_s=DEADLINE_S) == 0, warned.text()
    assert "<cell>:1: BlockedLoopWarning: this call blocks the event loop" in warned.text()


async def test_d7_a_fork_shares_no_connection_of_a_blocking_client(longwire: Longwire) -> None:
    """In the child the client connects anew and a subscription refuses; the parent's go on as if nothing was.

    Alone: 10 s after SIGKILL of a program the platform still had its connection open: a fork of the program
    held it, and nobody read from it.
    """
    await looped(longwire, "bot")
    program = await start(longwire, FORKING, "-W", "ignore::DeprecationWarning")
    child, parent, after = await told(program)
    assert child == {"who": "child", "bare": [], "refusals": 2, "own": 1, "is_shared": False}
    assert parent == {"who": "parent", "child": 3, "same": True}
    assert after == {"who": "parent", "text": "for the parent", "protocol": 1}


async def test_d7_a_fork_inside_a_loop_shares_no_connection_of_its_client(longwire: Longwire) -> None:
    """The child of a coroutine: the parent's client refuses there, one of its own works.

    Alone: the same for its bot's connection: made before the fork, it was open 10 s after SIGKILL of the
    parent.
    """
    longwire.configure({})
    await longwire.start()
    program = await start(longwire, FORKING_LOOP, "-W", "ignore")
    refused, own, parent = await told(program)
    assert refused["bare"] == []
    assert "fork" in refused["text"]
    assert own == {"who": "child", "protocol": 1, "is_shared": False}
    assert parent == {"who": "parent", "protocol": 1, "same": True}
