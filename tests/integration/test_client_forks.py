"""The client in the child of a fork: by programs of their own, as pytest's process has threads."""

from __future__ import annotations

import asyncio
import sys

from fakes.supervisor import DEADLINE_S, World, make_event, world_fixture  # noqa: F401  # pytest finds it here
from longwire_protocol.messages import Ack, Reply, Request

PROGRAM = """
import asyncio, os, socket, sys
from longwire_protocol import Client, ClientForked

def peers():
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as copy:
                found.append(copy.getpeername())
        except OSError:
            pass
    return found

async def in_child(client, subscription, event):
    refusals = 0
    leave = client.__aexit__(None, None, None)
    for act in (client.call("in the child"), anext(subscription), event.ack(), leave):
        try:
            await act
        except ClientForked:
            refusals += 1
    return refusals, sys.argv[1] in peers()

async def main():
    async with Client("ipc://" + sys.argv[1]) as client:
        subscription = client.subscribe("bot")
        event = await anext(subscription)
        assert sys.argv[1] in peers()
        pid = os.fork()
        if not pid:
            driven = in_child(client, subscription, event)
            try:
                driven.send(None)
            except StopIteration as end:
                print("child", *end.value, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        await event.ack()
        second = await anext(subscription)
        print("parent", second.seq, await client.call("in the parent"), flush=True)

asyncio.run(main())
"""


async def test_a_client_made_before_a_fork_refuses_in_the_child_and_works_on_in_the_parent(
    world: World,
) -> None:
    path = world.endpoint.removeprefix("ipc://")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, path, stdout=-1, stderr=-1
    )
    supervisor = world.supervisor
    await supervisor.expect(Request, lambda request: request.method == "events.subscribe")
    supervisor.deliver(make_event(1), make_event(2))
    call = await supervisor.expect(Request, lambda request: request.method == "in the parent")
    supervisor.send(Reply(id=call.id, status="ok", data="answered"))
    async with asyncio.timeout(DEADLINE_S):
        out, err = await program.communicate()
    assert out.decode().splitlines() == ["child 3 False", "parent 2 answered"], err
    assert err == b""
    assert [request for request in supervisor.of(Request) if request.method == "in the child"] == []
    assert [ack.seqs for ack in supervisor.of(Ack) if ack.seqs] == [[1]]
