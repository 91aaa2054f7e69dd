"""Lark's REST API, as far as it is needed to send: one session, one token, explicit refusals.

aiohttp is imported at the first call: a child that only receives never needs it.
"""

from __future__ import annotations

import asyncio
import importlib
import uuid
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.lark.outgoing import Request, message_request
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.redaction import Redactor
from longwire_protocol.threads import in_thread

if TYPE_CHECKING:
    import aiohttp

TOTAL_TIMEOUT_S = 15.0
"""For one request, connecting included; the Node SDK's number."""
CONNECT_TIMEOUT_S = 5.0
IMPORT_TIMEOUT_S = 30.0
TOKEN_MARGIN_S = 300.0
"""A token is renewed this long before it expires; for its last half hour the platform gives a new one, and
both are valid."""
DEFAULT_LIMIT_S = 1.0
"""To wait where the platform limits and does not say for how long; its limits count per second or minute."""
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

LIMITED_CODES = frozenset({99991400, 230020, 11232})
"""Of the gateway, of one chat, of the tenant's messages (`docs/platforms.md` 1.6)."""
TOKEN_CODES = frozenset({99991661, 99991663, 99991664, 99991668})
"""Missing, invalid or expired access tokens; only 99991663 is named in public code for this call."""

_LONGEST_TEXT = 300


class _Answer(msgspec.Struct):
    code: int
    msg: str = ""
    data: dict[str, Any] | None = None
    tenant_access_token: str | None = None
    expire: float = 0.0


class _Replied(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    answer: _Answer


class OpenApi:
    """Calls the API in the name of one app. Made without a loop; used in one."""

    def __init__(self, options: LarkOptions) -> None:
        self._options = options
        self._redact = Redactor((options.app_secret,))
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._token = ""
        self._token_until = 0.0

    async def send_message(self, params: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """Send what `message.create` asks for and return `{"message_id": ...}`.

        Raises:
            CommandError: BAD_PARAM, or one of the PLATFORM codes.
        """
        request = message_request(params)
        # The platform drops repeats for an hour, so our own second try is safe, and one with the same key.
        body = {**request.body, "uuid": key or str(uuid.uuid4())}
        data = await self._call(msgspec.structs.replace(request, body=body))
        message_id = data.get("message_id")
        if not isinstance(message_id, str):
            raise _unreachable("Lark's answer has no message_id")
        return {"message_id": message_id}

    async def close(self) -> None:
        """Close the session; the next call would open another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(self, request: Request) -> dict[str, Any]:
        """Make a call with a token, with a new one if the platform does not know it any more."""
        token = await self._valid_token()
        replied = await self._post_with(token, request)
        if replied.answer.code in TOKEN_CODES:
            self._forget(token)
            replied = await self._post_with(await self._valid_token(), request)
        self._require_success(replied)
        return replied.answer.data or {}

    async def _post_with(self, token: str, request: Request) -> _Replied:
        headers = {"Authorization": f"Bearer {token}"}
        return await self._post(request.path, request.body, query=request.query, headers=headers)

    async def _valid_token(self) -> str:
        """Return a token; one call fetches it for all that wait."""
        async with self._renewing:
            if asyncio.get_running_loop().time() >= self._token_until:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        body = {"app_id": self._options.app_id, "app_secret": self._options.app_secret}
        replied = await self._post("/auth/v3/tenant_access_token/internal", body)
        self._require_success(replied)
        if not replied.answer.tenant_access_token:
            raise _unreachable("Lark's answer has no token")
        self._token = replied.answer.tenant_access_token
        self._token_until = asyncio.get_running_loop().time() + replied.answer.expire - TOKEN_MARGIN_S

    def _forget(self, token: str) -> None:
        if token == self._token:  # else somebody has renewed it meanwhile
            self._token_until = 0.0

    async def _post(
        self,
        path: str,
        body: dict[str, Any],
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> _Replied:
        """Post once, and once more where an idle connection turns out to be closed."""
        session = await self._opened()
        import aiohttp  # noqa: PLC0415  imported by now

        send = partial(self._exchange, session, path, json=body, params=query, headers=headers)
        try:
            try:
                return await send()
            except aiohttp.ServerDisconnectedError:
                return await send()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(f"Lark could not be asked: {type(error).__name__}") from error
        except msgspec.MsgspecError as error:
            raise _unreachable("Lark's answer cannot be read") from error

    async def _exchange(self, session: aiohttp.ClientSession, path: str, **what: Any) -> _Replied:
        url = f"{self._options.base}/open-apis{path}"
        async with session.post(url, allow_redirects=False, **what) as response:
            answer = msgspec.json.decode(await response.read(), type=_Answer)
            return _Replied(response.status, response.headers, answer)

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            session = self._session or await _new_session()
            self._session = session
            return session

    def _require_success(self, replied: _Replied) -> None:
        """Raise what a refusal means to the caller."""
        status, answer = replied.status, replied.answer
        if answer.code == 0:
            return
        message = self._redact(f"Lark refused: code {answer.code}, {answer.msg}")[:_LONGEST_TEXT]
        data = {"platform_code": answer.code}
        if status == TOO_MANY_REQUESTS or answer.code in LIMITED_CODES:
            wait_ms = retry_after_ms(replied.headers)
            raise CommandError(
                RetCode.PLATFORM_LIMITED, message, retryable=True, retry_after_ms=wait_ms, data=data
            )
        if status >= SERVER_ERROR:
            raise CommandError(RetCode.PLATFORM_UNREACHABLE, message, retryable=True, data=data)
        raise CommandError(RetCode.PLATFORM_REFUSED, message, data=data)


def retry_after_ms(headers: Mapping[str, str]) -> int:
    """Return how long the platform asks to wait, from `x-ogw-ratelimit-reset` (seconds)."""
    try:
        wait_s = float(headers.get("x-ogw-ratelimit-reset", ""))
    except ValueError:
        wait_s = DEFAULT_LIMIT_S
    return int(wait_s * 1000) if 0 < wait_s < 86_400 else int(DEFAULT_LIMIT_S * 1000)  # noqa: PLR2004  a day


async def _new_session() -> aiohttp.ClientSession:
    """Import aiohttp on a thread, as it takes 0.1 to 0.2 s and the loop must go on turning."""
    load = partial(importlib.import_module, "aiohttp")
    await in_thread(load, name="aiohttp import", timeout_s=IMPORT_TIMEOUT_S)
    import aiohttp  # noqa: PLC0415  now it is cheap

    timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    return aiohttp.ClientSession(timeout=timeout, trust_env=True)


def _unreachable(message: str) -> CommandError:
    return CommandError(RetCode.PLATFORM_UNREACHABLE, message, retryable=True)
