"""Subscribers that fail, crash or leave, by the installed command (scenario E4 and its neighbours)."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import defaultdict
from typing import Any

from harness.longwire import Longwire, lark
from harness.processes import COMMAND, Program
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import LarkEvent
from longwire_protocol.subscription import IncomingEvent, Subscription

APP = "cli_00000000000000aa"
DEADLINE_S = 40.0
TYPES = ["message.created"]

SUBSCRIBER = """
import asyncio, os, signal, sys
from longwire import Client

async def main():
    async with Client(sys.argv[1], connect_timeout_s=30) as client:
        async for event in client.subscribe("bot", start="all", types=["message.created"], credit=8):
            print(event.text, event.delivery.attempt, flush=True)
            if event.text == "poison":
                os.kill(os.getpid(), signal.SIGKILL)
            if sys.argv[2] == "acks":
                await event.ack()
                await asyncio.sleep(0)  # the ack is sent
                await client.call("hello")  # and this answered after it was read

asyncio.run(main())
"""


async def online(longwire: Longwire, simulator: Simulator, **supervisor: float) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)}, **supervisor)
    await longwire.start()
    await longwire.until_online()


async def inject(simulator: Simulator, chat: str, *texts: str) -> None:
    for text in texts:
        await simulator.inject_lark(LarkEvent(app=APP, chat=chat, text=text))


async def run(longwire: Longwire, *arguments: str) -> Any:
    """Run a verb with --json; return its lines."""
    output = longwire.folder / f"verb-{time.monotonic_ns()}"
    command = [COMMAND, "-c", str(longwire.config), *arguments, "--json"]
    program = await Program.start(command, output=output, cwd=longwire.folder)
    assert await program.ended(deadline_s=DEADLINE_S) == 0, program.text()
    return [json.loads(line) for line in program.text().splitlines()]


async def subscriber(longwire: Longwire, name: str, how: str) -> Program:
    command = [sys.executable, "-c", SUBSCRIBER, longwire.endpoint, how]
    return await Program.start(command, output=longwire.folder / name, cwd=longwire.folder)


def texts(program: Program) -> set[str]:
    return {line.rsplit(" ", 1)[0] for line in program.text().splitlines()}


def subscribe(longwire: Longwire) -> Subscription:
    return longwire.client.subscribe("bot", start="all", types=TYPES)


async def following(subscription: Subscription) -> IncomingEvent:
    async with asyncio.timeout(DEADLINE_S):
        return await anext(subscription)


async def until_committed(longwire: Longwire, n: int) -> None:
    async def look() -> bool:
        return (await longwire.account("bot"))["events"] >= n

    await until(look, what=f"{n} events are committed")


async def test_e4_an_event_that_always_fails_is_a_dead_letter_and_holds_up_its_own_chat_only(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Tried again with growing delays, then put aside; the other chat goes on at once.

    Alone: by its code, a handler that fails is acked with 500, and the platform tries four times in 7 h;
    there are no dead letters.
    """
    await online(longwire, simulator, max_attempts=3)
    await inject(simulator, "oc_a", "bad", "behind")
    await inject(simulator, "oc_b", "b1", "b2")
    await until_committed(longwire, 4)
    subscription = subscribe(longwire)
    seen: list[tuple[str | None, int]] = []
    while ("behind", 4) not in seen:  # three times it came again behind the failing one
        event = await following(subscription)
        seen.append((event.text, event.delivery.attempt if event.delivery else 0))
        if event.text == "bad":
            await event.nack()
        elif event.text != "behind" or event.delivery is None or event.delivery.attempt == 4:
            await event.ack()
    assert [attempt for text, attempt in seen if text == "bad"] == [1, 2, 3]
    assert seen.index(("b2", 1)) < seen.index(("bad", 2))

    async def letter() -> list[dict[str, Any]]:
        return list(await run(longwire, "deadletters", "list"))

    (found,) = await until(letter, what="the dead letter")
    assert (found["event"]["text"], found["cause"], found["failures"]) == ("bad", "nacked", 3)
    assert longwire.log_events("dead_letter")
    (status,) = (await longwire.status())["subscriptions"]
    assert (status["name"], status["dead_letters"]) == ("bot", 1)


async def test_dead_letters_outlive_a_killed_supervisor_and_so_does_their_resubmission(
    simulator: Simulator, longwire: Longwire
) -> None:
    await online(longwire, simulator, max_attempts=2)
    await inject(simulator, "oc_a", "bad", "good")
    await until_committed(longwire, 2)
    subscription = subscribe(longwire)
    for _ in range(2):
        bad = await following(subscription)
        assert bad.text == "bad"
        await bad.nack(delay_s=0)
    good = await following(subscription)
    assert good.text == "good"
    await good.ack()

    async def is_all_done() -> bool:
        (status,) = (await longwire.status())["subscriptions"]
        return status["dead_letters"] == 1 and bool(await run(longwire, "deadletters", "list"))

    await until(is_all_done, what="the dead letter is on disk")
    await longwire.kill()
    await longwire.start()
    (letter,) = await run(longwire, "deadletters", "list", "--subscription", "bot")
    assert (letter["event"]["text"], letter["resubmitted_at"]) == ("bad", None)
    seq = str(letter["seq"])
    (answer,) = await run(longwire, "deadletters", "resubmit", "--subscription", "bot", "--seq", seq)
    assert answer == {"resubmitted": 1}
    await longwire.kill()
    await longwire.start()
    again = await following(subscribe(longwire))
    assert (again.text, again.seq, again.delivery and again.delivery.attempt) == ("bad", letter["seq"], 3)
    await again.ack()

    async def is_empty() -> bool:
        return await run(longwire, "deadletters", "list") == []

    await until(is_empty, what="the dead letter is gone")
    assert await run(longwire, "deadletters", "purge", "--all") == [{"purged": 0}]


async def test_attempts_count_on_over_a_restart_of_the_supervisor(
    simulator: Simulator, longwire: Longwire
) -> None:
    await online(longwire, simulator)
    await inject(simulator, "oc_a", "bad")
    subscription = subscribe(longwire)
    for _ in range(3):
        await (await following(subscription)).nack(delay_s=0)
    await following(subscription)
    await longwire.stop()
    await longwire.start()
    event = await following(subscribe(longwire))
    assert event.delivery is not None
    assert (event.delivery.attempt, event.delivery.redelivered) == (5, True)


async def test_e4_an_event_that_kills_its_subscriber_is_given_up_and_takes_no_other_along(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A program that dies of one event, each time.

    Alone: by its code, a handler that fails is acked with 500, and the platform tries four times in 7 h;
    there are no dead letters.
    """
    await online(longwire, simulator, max_attempts=3)
    for chat in ("oc_a", "oc_b"):
        await inject(simulator, chat, f"{chat} first")
    await inject(simulator, "oc_a", "poison")
    for chat in ("oc_a", "oc_b", "oc_c"):
        await inject(simulator, chat, f"{chat} last")
    await until_committed(longwire, 6)
    served: set[str] = set()
    for crash in range(3):
        program = await subscriber(longwire, f"subscriber-{crash}", "acks")
        assert await program.ended(deadline_s=DEADLINE_S) == -signal.SIGKILL, program.text()
        assert f"poison {crash + 1}" in program.text()
        served |= texts(program)

        async def is_noticed() -> bool:
            (status,) = (await longwire.status())["subscriptions"]
            return bool(status["clients"] == 0)

        await until(is_noticed, what="the supervisor notices that the subscriber is gone")
    survivor = await subscriber(longwire, "survivor", "acks")

    async def is_done() -> bool:
        return {"oc_a last", "oc_b last", "oc_c last"} <= served | texts(survivor)

    await until(is_done, what="everybody else is served")
    await survivor.stop()
    assert "poison" not in survivor.text()
    (letter,) = await run(longwire, "deadletters", "list")
    assert (letter["event"]["text"], letter["cause"], letter["failures"]) == ("poison", "client_left", 3)


async def test_what_a_killed_client_had_goes_to_the_other_of_the_name_in_order(
    simulator: Simulator, longwire: Longwire
) -> None:
    await online(longwire, simulator)
    silent = await subscriber(longwire, "silent", "keeps")

    async def is_there() -> bool:
        subscriptions = (await longwire.status())["subscriptions"]
        return bool(subscriptions) and subscriptions[0]["clients"] == 1

    await until(is_there, what="the first client has subscribed")
    chats = 6
    for n in range(5):
        for chat in range(chats):
            await inject(simulator, f"oc_{chat}", f"{n}")

    async def has_all() -> bool:
        return len(silent.text().splitlines()) == 5 * chats

    await until(has_all, what="the first client has all")
    other = subscribe(longwire)
    await other.open()
    silent.send(signal.SIGKILL)
    got: dict[str, list[str | None]] = defaultdict(list)
    while sum(map(len, got.values())) < 5 * chats:
        event = await following(other)
        assert event.chat is not None
        got[event.chat.id].append(event.text)
        await event.ack()
    assert list(got.values()) == [["0", "1", "2", "3", "4"]] * chats
    assert await run(longwire, "deadletters", "list") == []


async def test_the_journal_is_replayed_and_subscriptions_are_seen_and_forgotten_by_command(
    simulator: Simulator, longwire: Longwire
) -> None:
    await online(longwire, simulator)
    await inject(simulator, "oc_a", *(f"{n}" for n in range(5)))
    await until_committed(longwire, 5)
    only = ("events", "replay", "--type", "message.created")
    events = await run(longwire, *only)
    assert [event["text"] for event in events] == ["0", "1", "2", "3", "4"]
    second, fourth = str(events[1]["seq"]), str(events[3]["seq"])
    part = await run(longwire, *only, "--from", second, "--to", fourth, "--since", "1h", "--account", "bot")
    assert [event["text"] for event in part] == ["1", "2", "3"]
    assert await run(longwire, *only, "--tenant", "nobody") == []
    subscription = subscribe(longwire)
    await following(subscription)
    ((listed,),) = await run(longwire, "events", "subscriptions")
    assert (listed["name"], listed["clients"], listed["filters"]) == ("bot", 1, {"types": TYPES})
    await subscription.close()
    assert await run(longwire, "events", "forget", "bot") == [{"subscription": "bot"}]
    assert await run(longwire, "events", "subscriptions") == [[]]
