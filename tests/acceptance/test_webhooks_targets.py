"""What a target may ask of the courier: batches, only the newest, no more, an answer, other secrets."""

from __future__ import annotations

import json
import signal
from typing import Any

import psutil

from harness.longwire import Longwire
from harness.targets.behaviour import Answer, InTurn, Silent
from harness.targets.client import Targets
from harness.waiting import stays, until
from harness.webhooks import (
    NEXT_SECRET,
    SECRET,
    event_of,
    events_of,
    target_status,
    texts,
    until_target,
    verified,
    webhook,
)
from longwire.courier.target import LEAST_CREDIT

ECHO = {"connector": "loopback", "echo": True}
MESSAGES = ["message.created"]
HELD = Answer(is_held=True)
QUICK = {"retry_initial_s": 0.05, "retry_max_s": 0.2, "breaker_open_s": 0.3}


async def say(longwire: Longwire, *said: str, chat: str = "c", **more: Any) -> None:
    """Have these become events, one after the other."""
    for text in said:
        await longwire.client.call("message.create", {"chat": chat, "text": text, **more}, account="bot")


def saying(said: dict[str, Any], *, status: int = 200) -> Answer:
    return Answer(status, headers={"content-type": "application/json"}, body=json.dumps(said))


async def running(longwire: Longwire, url: str, **more: Any) -> None:
    """Start a supervisor with an account that echoes, and a target `crm` for it."""
    longwire.configure({"bot": ECHO}, webhooks={"crm": webhook(url, types=MESSAGES, **QUICK, **more)})
    await longwire.start()
    await longwire.until_online()
    await until_target(longwire, "crm", state="delivering")  # so that nothing waits when it begins


async def test_a_batch_that_fails_is_posted_one_by_one_and_each_chat_stays_in_order(
    longwire: Longwire, targets: Targets
) -> None:
    steps = InTurn([HELD, Answer(500), Answer(200)])
    url = await targets.open("crm", steps)
    await running(longwire, url, batch_size=10)

    await say(longwire, "a")
    await targets.until_arrived("crm", 1)
    await say(longwire, *(f"{n}" for n in range(5)), chat="d")
    await until_target(longwire, "crm", queued=5)
    await targets.release("crm")
    await until_target(longwire, "crm", delivered=6, lag=0)

    arrivals = await targets.arrivals("crm")
    assert all(arrival.body.startswith(b"[") for arrival in arrivals)
    posts = [[event.text for event in events_of(arrival)] for arrival in arrivals]
    assert posts == [["a"], ["0", "1", "2", "3", "4"], ["0"], ["1"], ["2"], ["3"], ["4"]]


async def test_a_failure_before_a_long_backlog_of_one_chat_holds_it_up_for_its_delay_only(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", InTurn([Answer(500, is_held=True), Answer()]))
    await running(longwire, url)

    said = [f"{n}" for n in range(3 * LEAST_CREDIT)]
    await say(longwire, *said)
    await until_target(longwire, "crm", queued=LEAST_CREDIT)
    await targets.release("crm")
    await until_target(longwire, "crm", delivered=len(said), lag=0)

    assert texts(await targets.arrivals("crm")) == ["0", *said]


async def test_only_the_newest_of_a_chat_is_posted_where_that_is_asked_for(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", InTurn([HELD, Answer(200)]))
    await running(longwire, url, latest_wins="chat.id")

    await say(longwire, "first")
    await targets.until_arrived("crm", 1)
    await say(longwire, "old", "older", "newest")
    await until_target(longwire, "crm", superseded=2)
    await targets.release("crm")
    await until_target(longwire, "crm", lag=0, superseded=2, delivered=2)

    assert texts(await targets.arrivals("crm")) == ["first", "newest"]


async def test_a_target_that_answers_410_is_disabled_also_after_a_restart_until_it_is_updated(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", Answer(410))
    await running(longwire, url)

    await say(longwire, "unwanted")
    status = await until_target(longwire, "crm", state="disabled")
    assert "410" in status["message"]
    assert longwire.log_events("webhook_disabled")[0]["webhook"] == "crm"
    await longwire.stop()
    await longwire.start()
    assert (await target_status(longwire, "crm"))["state"] == "disabled"
    assert len(await targets.arrivals("crm")) == 1

    await targets.behave("crm", Answer(200))
    await longwire.client.call("webhook.update", {"webhook": "crm", "config": {}})
    await until_target(longwire, "crm", state="delivering", delivered=1, lag=0)
    assert texts(await targets.arrivals("crm")) == ["unwanted", "unwanted"]


async def test_a_reply_is_sent_by_the_account_and_one_to_another_account_is_refused(
    longwire: Longwire, targets: Targets
) -> None:
    reply = {"reply": "pong"}
    foreign = {"commands": [{"method": "message.create", "account": "other", "params": {"chat": "x"}}]}
    steps = InTurn([saying(reply, status=500), saying(reply), saying(foreign), Answer()])
    url = await targets.open("crm", steps)
    crm = webhook(url, types=MESSAGES, accounts=["bot"], **QUICK)
    longwire.configure({"bot": ECHO, "other": ECHO}, webhooks={"crm": crm})
    await longwire.start()
    await longwire.until_online()

    await say(longwire, "ping")
    arrivals = await targets.until_arrived("crm", 3)
    assert texts(arrivals) == ["ping", "ping", "pong"]  # what was said comes back, as this account echoes
    status = await until_target(longwire, "crm", lag=0, delivered=2)
    assert (status["commands"], status["refused_commands"]) == (1, 1)


async def test_a_post_that_fails_after_its_target_has_rested_is_repeated_with_those_behind_it(
    longwire: Longwire, targets: Targets
) -> None:
    """What came before the rest went back with it, so it is in the courier's hand a second time then."""
    rest = Answer(503, headers={"retry-after": "1"})
    steps = InTurn([HELD, Answer(500, is_held=True), rest, Answer(200)])
    url = await targets.open("crm", steps)
    await running(longwire, url)

    await say(longwire, "first")  # so that two posts may be under way
    await say(longwire, "one", "two", chat="d")
    await say(longwire, "other", chat="e")
    await until_target(longwire, "crm", queued=3)
    await targets.release("crm")
    await until_target(longwire, "crm", state="probing", in_flight=1, queued=3)
    await targets.release("crm")
    await until_target(longwire, "crm", delivered=4, lag=0)

    arrivals = await targets.arrivals("crm")
    assert [arrival.status for arrival in arrivals[:3]] == [200, 500, 503]
    succeeded = texts(arrival for arrival in arrivals if arrival.status == 200)
    assert [text for text in succeeded if text != "other"] == ["first", "one", "two"]


async def test_both_secrets_sign_while_they_are_rotated(longwire: Longwire, targets: Targets) -> None:
    url = await targets.open("crm")
    await running(longwire, url, secret=[NEXT_SECRET, SECRET])

    await say(longwire, "hello")
    (arrival,) = await targets.until_arrived("crm", 1)

    assert verified(arrival, SECRET)["text"] == verified(arrival, NEXT_SECRET)["text"] == "hello"
    log = longwire.log()
    assert SECRET not in log
    assert NEXT_SECRET not in log


async def test_an_event_that_no_target_takes_becomes_a_dead_letter_that_can_be_resubmitted(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", InTurn([Answer(400), Answer(400), Answer(200)]))
    await running(longwire, url, max_attempts=2)

    await say(longwire, "poison", "good")
    await until_target(longwire, "crm", dead=1, delivered=1)
    assert texts(await targets.arrivals("crm")) == ["poison", "poison", "good"]
    (letter,) = (await longwire.client.call("deadletter.list"))["deadletters"]
    assert (letter["subscription"], letter["event"]["text"]) == ("webhook:crm", "poison")

    await longwire.client.call("deadletter.resubmit", {"subscription": "webhook:crm"})
    await until_target(longwire, "crm", dead=0, delivered=2)
    assert texts(await targets.arrivals("crm"))[3:] == ["poison"]


async def test_a_courier_that_is_killed_or_frozen_is_replaced_and_nothing_is_lost(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", Answer(200, delay_s=0.05))
    longwire.configure(
        {"bot": {"connector": "loopback", "rate_per_s": 200, "count": 400, "chats": 5}},
        webhooks={"crm": webhook(url, types=MESSAGES, **QUICK)},
    )
    await longwire.start()
    await targets.until_arrived("crm", 20)

    for number, way in enumerate((signal.SIGKILL, signal.SIGSTOP), 1):
        pid = (await longwire.status())["courier"]["pid"]
        psutil.Process(pid).send_signal(way)

        async def is_replaced(number: int = number) -> bool:
            courier = (await longwire.status())["courier"]
            return bool((courier["restarts"], courier["state"]) == (number, "ready"))

        await until(is_replaced, what="there is another courier")
    await until_target(longwire, "crm", lag=0, state="delivering")

    arrivals = await targets.arrivals("crm")
    assert len({event_of(arrival).seq for arrival in arrivals}) == 400


async def test_a_courier_that_is_killed_is_no_failure_of_the_events_that_it_had(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", InTurn([Silent(), Answer()]))
    await running(longwire, url, max_attempts=1)
    await say(longwire, "hello")
    await targets.until_arrived("crm", 1)

    psutil.Process((await longwire.status())["courier"]["pid"]).kill()

    await until_target(longwire, "crm", delivered=1, dead=0, lag=0)
    assert texts(await targets.arrivals("crm")) == ["hello", "hello"]


async def test_a_frozen_courier_does_not_hold_up_the_stop(longwire: Longwire, targets: Targets) -> None:
    url = await targets.open("crm")
    await running(longwire, url)
    await say(longwire, "hello")
    await targets.until_arrived("crm", 1)
    psutil.Process((await longwire.status())["courier"]["pid"]).send_signal(signal.SIGSTOP)

    code, seconds = await longwire.stop()

    assert code == 0
    assert seconds < 5.0


async def test_there_is_no_courier_without_a_target(longwire: Longwire) -> None:
    longwire.configure({"bot": ECHO})
    await longwire.start()
    await longwire.until_online()

    async def is_none() -> bool:
        return (await longwire.status())["courier"] is None

    await stays(is_none, what="there is no courier", for_s=0.5)
