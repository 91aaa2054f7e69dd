"""What the simulated DingTalk refuses, driven by a plain HTTP client."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from longwire_connectors.simulator import Simulator, SimulatorClient
from longwire_connectors.simulator.dingtalk_media import FILE_BYTES, file_of
from longwire_connectors.simulator.fault_kinds import DingTalkRates

APP = "dingsim"
GROUP = {"robotCode": APP, "openConversationId": "cid", "msgKey": "sampleText", "msgParam": "{}"}
CARD = {
    "cardTemplateId": "t",
    "outTrackId": "one",
    "cardData": {"cardParamMap": {"a": "1", "b": "2"}},
    "openSpaceId": "dtv1.card//IM_GROUP.cid",
}


class Bot:
    """A DingTalk client made of nothing but aiohttp."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session, self.token = url, session, ""

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        headers = {"x-acs-dingtalk-access-token": self.token}
        async with self.session.request(
            method, f"{self.url}{path}", json=body, headers=headers, **more
        ) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def admin(simulator: Simulator) -> AsyncIterator[SimulatorClient]:
    async with SimulatorClient(simulator.url) as client:
        yield client


@pytest.fixture
async def bot(simulator: Simulator) -> AsyncIterator[Bot]:
    async with aiohttp.ClientSession() as session:
        bot = Bot(simulator.url, session)
        _, answer = await bot.ask("POST", "/v1.0/oauth2/accessToken", {"appKey": APP, "appSecret": "s"})
        bot.token = answer["accessToken"]
        yield bot


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1.0/robot/otoMessages/batchRecall"),
        ("POST", "/v1.0/robot/groupMessages/recall"),
        ("GET", "/v1.0/robot/oToMessages/readStatus"),
        ("POST", "/v1.0/robot/groupMessages/query"),
        ("POST", "/v1.0/robot/emotion/reply"),
        ("POST", "/v1.0/robot/messageFiles/download"),
        ("POST", "/v1.0/card/instances/createAndDeliver"),
        ("PUT", "/v1.0/card/instances"),
        ("PUT", "/v1.0/card/streaming"),
    ],
)
async def test_a_call_without_what_it_needs_is_refused(
    bot: Bot, admin: SimulatorClient, method: str, path: str
) -> None:
    status, body = await bot.ask(method, path, {} if method != "GET" else None)
    assert (status, set(body)) == (400, {"requestid", "code", "message"})
    bot.token = "stale"
    status, body = await bot.ask(method, path, {} if method != "GET" else None)
    assert (status, body["code"]) == (401, "InvalidAuthentication")
    assert (await admin.app_state("dingtalk", APP)).api_calls == []


async def test_a_message_is_recalled_once(bot: Bot) -> None:
    _, sent = await bot.ask("POST", "/v1.0/robot/groupMessages/send", GROUP)
    key = sent["processQueryKey"]
    recall = {"robotCode": APP, "openConversationId": "cid", "processQueryKeys": [key]}
    told = await bot.ask("POST", "/v1.0/robot/groupMessages/recall", recall)
    assert told == (200, {"successResult": [key], "failedResult": {}})
    told = await bot.ask("POST", "/v1.0/robot/groupMessages/recall", recall)
    assert told == (200, {"successResult": [], "failedResult": {key: "msgNotFound"}})


async def test_a_card_is_one_apps_and_has_one_name(bot: Bot, admin: SimulatorClient) -> None:
    assert (await bot.ask("POST", "/v1.0/card/instances/createAndDeliver", CARD))[0] == 200
    status, again = await bot.ask("POST", "/v1.0/card/instances/createAndDeliver", CARD)
    assert (status, again["code"]) == (400, "param.outTrackIdExist")
    change = {"outTrackId": "one", "cardData": {"cardParamMap": {"a": "3"}}}
    by_key = {**change, "cardUpdateOptions": {"updateCardDataByKey": True}}
    assert (await bot.ask("PUT", "/v1.0/card/instances", by_key))[0] == 200
    assert (await admin.app_state("dingtalk", APP)).cards == {"one": {"a": "3", "b": "2"}}
    assert (await bot.ask("PUT", "/v1.0/card/instances", change))[0] == 200
    assert (await admin.app_state("dingtalk", APP)).cards == {"one": {"a": "3"}}
    _, other = await bot.ask("POST", "/v1.0/oauth2/accessToken", {"appKey": "other", "appSecret": "s"})
    bot.token = other["accessToken"]
    assert (await bot.ask("PUT", "/v1.0/card/instances", change))[0] == 404


@pytest.mark.parametrize(
    ("kind", "size", "errcode"), [("voice", 2 * 2**20 + 1, 40006), ("file", 0, 40006), ("gif", 1, 40004)]
)
async def test_an_upload_that_is_no_file_of_its_kind_is_refused(
    bot: Bot, kind: str, size: int, errcode: int
) -> None:
    url = f"{bot.url}/media/upload?access_token={bot.token}&type={kind}"
    form = aiohttp.FormData()
    form.add_field("media", BytesIO(bytes(size)), filename="a")  # bytes of 1 MiB are warned of
    async with bot.session.post(url, data=form) as response:
        assert (response.status, (await response.json())["errcode"]) == (200, errcode)
    async with bot.session.post(f"{bot.url}/media/upload?access_token=stale&type=file") as response:
        assert (await response.json())["errcode"] == 40014


async def test_a_file_is_given_in_ranges_at_an_address_of_its_own(bot: Bot) -> None:
    asked = {"robotCode": APP, "downloadCode": "c"}
    _, found = await bot.ask("POST", "/v1.0/robot/messageFiles/download", asked)
    url = found["downloadUrl"]
    async with bot.session.get(url, headers={"Range": "bytes=2-4"}) as response:
        assert (response.status, await response.read()) == (206, file_of("c")[2:5])
        assert response.headers["Content-Range"] == f"bytes 2-4/{FILE_BYTES}"
    async with bot.session.get(url, headers={"Range": f"bytes={FILE_BYTES}-"}) as response:
        assert response.status == 416
    async with bot.session.get(url) as response:
        assert (response.status, await response.read()) == (200, file_of("c"))
    async with bot.session.get(f"{url}0") as response:
        assert response.status == 403


async def test_the_limits_bite_only_when_they_are_switched_on(bot: Bot, admin: SimulatorClient) -> None:
    for _ in range(30):
        assert (await bot.ask("POST", "/v1.0/robot/groupMessages/send", GROUP))[0] == 200
    await admin.fault(DingTalkRates(platform="dingtalk", per_second=1))
    answers = [await bot.ask("POST", "/v1.0/robot/groupMessages/send", GROUP) for _ in range(20)]
    codes = {body["code"] for status, body in answers if status == 403}
    assert codes == {"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"}
    old = [await bot.ask("GET", f"/topapi/x?access_token={bot.token}") for _ in range(20)]
    assert 90018 in {body["errcode"] for _, body in old}
    assert (await admin.app_state("dingtalk", APP)).limited > 0
