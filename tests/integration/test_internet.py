"""The resolver that the tests of webhooks bring along fools whoever looks at a name twice."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.internet import Internet
from harness.processes import Program
from harness.targets.client import Targets

NAME, PUBLIC, PRIVATE = "hook.example", "93.184.215.14", "10.0.0.7"

CLIENT = """
import asyncio, aiohttp, socket

async def main():
    # It is public, so it may be posted to.
    assert socket.getaddrinfo("hook.example", 80)[0][4][0] == "93.184.215.14"
    async with aiohttp.ClientSession() as http, http.post("http://hook.example/", data=b"x") as answer:
        assert answer.ok

asyncio.run(main())
"""


async def test_a_client_that_trusts_its_first_look_posts_to_a_private_address(tmp_path: Path) -> None:
    async with Targets(tmp_path) as targets:
        internet = Internet(tmp_path)
        internet.name(NAME, [PUBLIC], [PRIVATE])
        for address in (PUBLIC, PRIVATE):
            internet.way(address, await targets.open(address))
        command = [sys.executable, "-P", "-c", CLIENT]
        program = await Program.start(command, output=tmp_path / "client.log", env=internet.env)
        assert await program.ended() == 0, program.text()
        assert (internet.asked(NAME), internet.connects(PRIVATE), internet.connects(PUBLIC)) == (2, 1, 0)
        assert (await targets.tally(PRIVATE)).arrivals == 1
        assert (await targets.tally(PUBLIC)).connections == 0
