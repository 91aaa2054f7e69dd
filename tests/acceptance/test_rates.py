"""A platform's limits under clients that send as fast as they can, at a simulator that counts by itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from harness.longwire import Longwire, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire import Client, CommandError
from longwire_connectors.simulator.counters import ApiCall
from longwire_connectors.simulator.fault_kinds import ApiError
from longwire_protocol.errors import RetCode

APP = "cli_00000000000000aa"
CLIENTS, CHATS, UNDER_WAY = 20, 3, 16
"""Each client writes into three chats, and asks again as soon as one of 16 requests is answered."""
SHARED = "oc_all"
"""A chat for all of them, besides."""
APP_LIMITS, CHAT_LIMIT = ((50, 1.0), (1000, 60.0)), (5, 1.0)
"""As Lark publishes them."""
ALL_ASK_S = 1.0
"""What is free at the beginning goes to whoever asks first; from then on each has its share."""
LIMITED_S = 1.0
"""For so long a refusal keeps everything of its app, or its chat, from being sent."""


class Crowd:
    """Clients that send until a moment; what is not sent soon after it expires.

    `accounts` are given to them in turn, and share one app.
    """

    def __init__(self, longwire: Longwire, *, seconds: float, accounts: list[str]) -> None:
        self._longwire = longwire
        self._accounts = accounts
        self._seconds = seconds
        self._begin = asyncio.Barrier(CLIENTS)
        self.asked: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        """With when to come again."""

    async def send(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(self._client(number), name=f"client {number}")

    async def _client(self, number: int) -> None:
        async with Client(self._longwire.endpoint) as client, asyncio.TaskGroup() as tasks:
            await self._begin.wait()
            end = time.monotonic() + self._seconds
            for _ in range(UNDER_WAY):
                tasks.create_task(self._ask(client, number, end=end), name=f"of client {number}")

    async def _ask(self, client: Client, number: int, *, end: float) -> None:
        account = self._accounts[number % len(self._accounts)]
        while (left_s := end - time.monotonic()) > 0:
            self.asked[number] += 1
            chat = self.asked[number] % (CHATS + 1)
            params = {"chat": f"oc_{number}_{chat}" if chat else SHARED, "text": f"{number}"}
            try:
                await client.call("message.create", params, account=account, wait_ms=0, deadline_s=left_s)
            except CommandError as refusal:
                if refusal.retcode == RetCode.DEADLINE_EXCEEDED:
                    return
                if refusal.retcode != RetCode.SATURATED or refusal.retry_after_ms is None:
                    raise
                self.refused[number] += 1
                await asyncio.sleep(min(refusal.retry_after_ms / 1000, max(0.0, left_s)))


def most_within(times: Iterable[float], within_s: float) -> int:
    """Return how many there were in the fullest window."""
    ordered = sorted(times)
    first = most = 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= within_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def sent(calls: list[ApiCall]) -> list[ApiCall]:
    """Return the messages of the crowd that were taken."""
    return [call for call in calls if call.call == "send" and call.code == 0]


def chat_of(call: ApiCall) -> object:
    return call.body["receive_id"]


@pytest.mark.parametrize(
    ("seconds", "unfair"),
    [
        pytest.param(6.0, 0.5, id="short"),
        pytest.param(
            130.0, 0.25, id="with the limit of a minute", marks=[pytest.mark.soak, pytest.mark.timeout(600)]
        ),
    ],
)
async def test_limits_hold_and_each_of_20_clients_has_its_share(
    simulator: Simulator, longwire: Longwire, seconds: float, unfair: float
) -> None:
    """Over two accounts of one app, which are one for the platform; a share may be `unfair` of itself off."""
    account = lark(simulator.url, APP, allow_shared_app=True)
    longwire.configure({"one": account, "two": account})
    await longwire.start(log_level="info")
    await longwire.until_online()
    crowd = Crowd(longwire, seconds=seconds, accounts=["one", "two"])
    await crowd.send()
    told = (await longwire.account("one"))["sending"]
    assert told["rates"]["app"][0] == {"most": 50, "within_s": 1.0}
    app = await simulator.app_state("lark", APP)
    messages = sent(app.api_calls)
    fullest = [most_within([one.at for one in messages], within_s) for _, within_s in APP_LIMITS]
    chats = {chat_of(one) for one in messages}
    in_chat = max(most_within([m.at for m in messages if chat_of(m) == c], CHAT_LIMIT[1]) for c in chats)
    begun = min(one.at for one in messages) + ALL_ASK_S
    shares = Counter(str(one.body["content"]) for one in messages if one.at >= begun)
    measured = (
        f"{sum(crowd.asked.values())} asked for, {len(messages)} sent in {seconds:g} s, at most {fullest} in "
        f"1 and 60 s, {in_chat} in a chat, {min(shares.values())} to {max(shares.values())} of each client"
    )
    print(measured)  # noqa: T201  # pytest shows it where it was asked to
    assert app.limited == 0, measured
    assert fullest[0] <= APP_LIMITS[0][0], measured
    assert fullest[1] <= APP_LIMITS[1][0], measured
    assert in_chat <= CHAT_LIMIT[0], measured
    assert len(messages) >= 0.5 * min(50 * seconds, 1000 * seconds / 60), measured
    assert len(shares) == CLIENTS, measured
    share = shares.total() / CLIENTS
    assert all(abs(count - share) <= unfair * share for count in shares.values()), measured
    assert sum(crowd.refused.values()), "there is more than there is room for"


@pytest.mark.parametrize(
    ("refusal", "waiting"),
    [
        (
            ApiError(
                platform="lark",
                call="send",
                status=429,
                code=99991400,
                headers={"x-ogw-ratelimit-reset": f"{LIMITED_S:.0f}"},
                times=1,
            ),
            {"oc_a", "oc_b"},
        ),
        (ApiError(platform="lark", call="send", status=400, code=230020, times=1), {"oc_a"}),
    ],
    ids=["99991400 with 429", "230020"],
)
async def test_a_refusal_of_the_gateway_pauses_the_app_and_one_of_a_chat_only_that_chat(
    simulator: Simulator, longwire: Longwire, refusal: ApiError, waiting: set[str]
) -> None:
    """What was refused, and what waited behind it, is sent later and in order."""
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    await simulator.fault(refusal)

    async def write(chat: str, text: str) -> None:
        await longwire.client.call("message.create", {"chat": chat, "text": text}, account="bot")

    async def calls() -> list[ApiCall]:
        return [one for one in (await simulator.app_state("lark", APP)).api_calls if one.call == "send"]

    async def is_put_back() -> bool:
        sending = (await longwire.account("bot"))["sending"]
        return bool(await calls()) and sending["queued"] == 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write("oc_a", "0"), name="refused")
        await until(is_put_back, what="the first one is refused")
        for text in ("1", "2"):
            for chat in ("oc_a", "oc_b"):
                tasks.create_task(write(chat, text), name=f"{chat} {text}")
    first, *later = await calls()
    assert first.code == refusal.code
    assert [one.code for one in later] == [0] * 5
    for chat in ("oc_a", "oc_b"):
        waited_s = min(one.at for one in later if chat_of(one) == chat) - first.at
        assert (waited_s >= 0.9 * LIMITED_S) == (chat in waiting), (chat, waited_s)
    texts = [one.body["content"] for one in later if chat_of(one) == "oc_a"]
    assert texts == [f'{{"text":"{number}"}}' for number in range(3)]
