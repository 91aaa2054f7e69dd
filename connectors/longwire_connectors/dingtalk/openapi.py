"""DingTalk over REST: session webhooks, the app's token, messages to people and groups."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec

from longwire_connectors.dingtalk.errors import (
    HTTP_OK,
    HTTP_UNAUTHORIZED,
    Answer,
    command_refused,
    command_unreachable,
)
from longwire_connectors.dingtalk.outgoing import ToGroup, ToPerson
from longwire_connectors.dingtalk.shapes import as_list
from longwire_protocol.errors import CommandError, RetCode

TOTAL_S = 10.0
"""For a whole request; the SDK's own figure from 0.24.4 on (`HTTP_TIMEOUT_SECONDS`)."""
CONNECT_S = 3.0
"""For the TCP connection of one."""
MAX_BODY_BYTES = 256 * 1024
"""Answers are some hundred bytes; what is longer is not read to its end."""
TOKEN_MARGIN_S = 300.0
"""How long before its end a token is renewed, as in the SDK (`stream.py` 228)."""

_TOKEN_PATH = "/v1.0/oauth2/accessToken"  # noqa: S105  a path
_PERSON_PATH = "/v1.0/robot/oToMessages/batchSend"
_GROUP_PATH = "/v1.0/robot/groupMessages/send"

Json = dict[str, Any]


class OpenApi:
    """Calls with one app's credentials. Made in the loop; `close` it at the end.

    Every method raises CommandError: `PLATFORM_REFUSED`, `PLATFORM_LIMITED` or `PLATFORM_UNREACHABLE`.
    """

    def __init__(self, *, base: str, client_id: str, client_secret: str) -> None:
        self._base = base
        self._client_id = client_id
        self._client_secret = client_secret
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S), trust_env=True
        )
        self._token = ""
        self._token_ends_at = 0.0
        self._renewing = asyncio.Lock()

    async def post_webhook(self, url: str, body: Json) -> None:
        """Post a message to a session webhook, which answers `errcode` 0 for success."""
        answer = await self._post(url, body)
        if answer.status != HTTP_OK or _decode(answer).get("errcode") != 0:
            raise command_refused(answer)

    async def send(self, target: ToPerson | ToGroup, body: Json) -> str | None:
        """Send a message and return its `processQueryKey`."""
        path = _PERSON_PATH if isinstance(target, ToPerson) else _GROUP_PATH
        sent = _decode(await self._call(path, body))
        if isinstance(target, ToPerson):
            _check_receiver(sent, target.staff_id)
        key = sent.get("processQueryKey")
        return key if isinstance(key, str) and key else None

    async def close(self) -> None:
        """Close the HTTP session."""
        await self._http.close()

    async def _call(self, path: str, body: Json) -> Answer:
        """Post with the token; a token that was refused is renewed once."""
        token = await self._valid_token(refused=None)
        answer = await self._post_with(token, path, body)
        if answer.status == HTTP_UNAUTHORIZED:
            answer = await self._post_with(await self._valid_token(refused=token), path, body)
        if answer.status != HTTP_OK:
            raise command_refused(answer)
        return answer

    async def _post_with(self, token: str, path: str, body: Json) -> Answer:
        return await self._post(self._base + path, body, headers={"x-acs-dingtalk-access-token": token})

    async def _valid_token(self, *, refused: str | None) -> str:
        """Return a token that has not ended and is not the one just refused; asked for once at a time."""
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if now >= self._token_ends_at or self._token == refused:
                self._token, life_s = await self._fetch_token()
                self._token_ends_at = now + max(life_s - TOKEN_MARGIN_S, life_s / 2)
            return self._token

    async def _fetch_token(self) -> tuple[str, float]:
        credentials = {"appKey": self._client_id, "appSecret": self._client_secret}
        answer = await self._post(self._base + _TOKEN_PATH, credentials)
        if answer.status != HTTP_OK:
            raise command_refused(answer)
        match _decode(answer):
            case {"accessToken": str(token), "expireIn": int(life_s) | float(life_s)} if token:
                return token, float(life_s)
            case _:
                raise command_unreachable("gave no token", was_sent=False)

    async def _post(self, url: str, body: Json, *, headers: dict[str, str] | None = None) -> Answer:
        sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        try:
            # A redirect could carry token and message to another host, and no documented call has one.
            async with self._http.post(
                url, data=msgspec.json.encode(body), headers=sent, allow_redirects=False
            ) as response:
                read = await _read(response)
                return Answer(response.status, read, response.headers.get("Retry-After"))
        except aiohttp.ClientConnectorError as exc:
            raise command_unreachable("cannot be reached", was_sent=False) from exc
        except TimeoutError as exc:
            raise command_unreachable("did not answer in time; the effect is unknown", was_sent=True) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise command_unreachable("broke off; the effect is unknown", was_sent=True) from exc


async def _read(response: aiohttp.ClientResponse) -> bytes:
    read = b""
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > MAX_BODY_BYTES:
            break
    return read


def _decode(answer: Answer) -> Json:
    try:
        return msgspec.json.decode(answer.body, type=Json)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise command_unreachable("answered unreadably; the effect is unknown", was_sent=True) from exc


def _check_receiver(sent: Json, staff_id: str) -> None:
    """A person who does not get the message is named in an answer that is a success otherwise."""
    if staff_id in as_list(sent.get("invalidStaffIdList")):
        data = {"platform_code": "invalidStaffId"}
        raise CommandError(RetCode.PLATFORM_REFUSED, "DingTalk knows no such `user`", data=data)
    if staff_id in as_list(sent.get("flowControlledStaffIdList")):
        raise CommandError(
            RetCode.PLATFORM_LIMITED,
            "DingTalk limits messages to this user",
            retryable=True,
            retry_after_ms=1000,
            data={"platform_code": "flowControlledStaffId"},
        )
