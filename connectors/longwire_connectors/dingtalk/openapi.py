"""DingTalk over REST, with the app's token: both of its hosts, session webhooks, and files.

Every method raises CommandError: `PLATFORM_REFUSED`, `PLATFORM_LIMITED` and `PLATFORM_UNREACHABLE` had no
effect, `DEADLINE_EXCEEDED` may have had one.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from longwire_connectors.dingtalk.calls import Request
from longwire_connectors.dingtalk.errors import HTTP_OK, Answer, command_refused, command_unreadable
from longwire_connectors.http import TOTAL_S, Http, Part, Reply

TOKEN_MARGIN_S = 300.0
"""How long before its end a token is renewed, as in the SDK (`stream.py` 228)."""
UPLOAD_S = 60.0
"""For a whole upload: 20 MB over a slow line; public connectors give it as long."""

_TOKEN_PATH = "/v1.0/oauth2/accessToken"  # noqa: S105  a path
_TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105  a name

Json = dict[str, Any]


class OpenApi:
    """Calls with one app's credentials. Used in one loop.

    Args:
        http: makes the calls; whoever made it closes it.
        base: where DingTalk's API is.
        client_id: of the app.
        client_secret: of the app.
    """

    def __init__(self, http: Http, *, base: str, client_id: str, client_secret: str) -> None:
        self._http = http
        self._base = base
        self._old_base = old_base(base)
        self._client_id = client_id
        self._client_secret = client_secret
        self._token = ""
        self._token_ends_at = 0.0
        self._renewing = asyncio.Lock()

    async def call(self, request: Request, *, parts: tuple[Part, ...] = ()) -> Json:
        """Return the answer's JSON object; a token that was refused is renewed once."""
        token = await self._valid_token(refused=None)
        answer = await self._ask(request, token, parts)
        if answer.is_token_refused:
            answer = await self._ask(request, await self._valid_token(refused=token), parts)
        if not answer.is_success:
            raise command_refused(answer, is_repeatable=request.is_repeatable)
        return _decoded(answer, is_repeatable=request.is_repeatable)

    async def post_webhook(self, url: str, body: Json) -> None:
        """Post a message to a session webhook, which answers `errcode` 0 for success and takes no token."""
        answer = _answer(await self._http.call("POST", url, json=body, headers=_ACCEPT))
        if not answer.is_success:
            raise command_refused(answer)
        if "errcode" not in _decoded(answer):
            raise command_unreadable()

    async def _ask(self, request: Request, token: str, parts: tuple[Part, ...]) -> Answer:
        query = {**request.query, "access_token": token} if request.is_old else request.query
        return _answer(
            await self._http.call(
                request.method,
                (self._old_base if request.is_old else self._base) + request.path,
                headers=_ACCEPT if request.is_old else {**_ACCEPT, _TOKEN_HEADER: token},
                query=query,
                json=request.body,
                parts=parts,
                is_repeatable=request.is_repeatable,
                total_s=UPLOAD_S if parts else TOTAL_S,
            )
        )

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
        url = self._base + _TOKEN_PATH
        reply = await self._http.call(
            "POST", url, headers=_ACCEPT, json=credentials, total_s=TOTAL_S, is_repeatable=True
        )
        answer = _answer(reply)
        if answer.status != HTTP_OK:
            raise command_refused(answer, is_repeatable=True)
        match _decoded(answer, is_repeatable=True):
            case {"accessToken": str(token), "expireIn": int(life_s) | float(life_s)} if token:
                return token, float(life_s)
            case _:
                raise command_unreadable(is_repeatable=True)


_ACCEPT = {"Accept": "application/json"}
"""Without it an answer may be XML."""


def old_base(base: str) -> str:
    """Return where the API of `oapi.dingtalk.com` is for an `api_base`: beside its own, or at a simulator."""
    parts = urlsplit(base)
    if not parts.netloc.startswith("api."):
        return base
    return urlunsplit(parts._replace(netloc=f"o{parts.netloc}"))


def _answer(reply: Reply) -> Answer:
    return Answer(reply.status, reply.body, reply.headers.get("Retry-After"))


def _decoded(answer: Answer, *, is_repeatable: bool = False) -> Json:
    try:
        return msgspec.json.decode(answer.body, type=Json)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise command_unreadable(is_repeatable=is_repeatable) from exc
