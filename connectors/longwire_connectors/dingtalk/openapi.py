"""DingTalk over REST: session webhooks, and both hosts of its OpenAPI with the app's token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from longwire_connectors.access_token import AccessToken
from longwire_connectors.asking import NOTHING
from longwire_connectors.dingtalk.calls import Request
from longwire_connectors.dingtalk.errors import Answer, command_refused, command_unreadable
from longwire_connectors.http import Http, Part, Reply, nobody
from longwire_connectors.unanswered import broken_inside

TOTAL_S = 10.0
"""For a whole request; the SDK's own figure from 0.24.4 on (`HTTP_TIMEOUT_SECONDS`)."""
UPLOAD_S = 60.0
"""For a whole upload: 20 MB over a slow line; public connectors give it as long."""

_TOKEN_PATH = "/v1.0/oauth2/accessToken"  # noqa: S105  a path
_TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105  a name
_ACCEPT = {"Accept": "application/json"}
"""Without it an answer may be XML."""

Json = dict[str, Any]


class OpenApi:
    """Calls with one app's credentials. Made without a loop, used in one, closed at the end.

    Every method raises CommandError: DEADLINE_EXCEEDED for an unknown effect, or a PLATFORM code for none.
    """

    def __init__(
        self, *, base: str, client_id: str, client_secret: str, count: Callable[[str], None] = nobody
    ) -> None:
        self.http = Http(count)
        self._base = base
        self._old_base = old_base(base)
        self._client_id = client_id
        self._client_secret = client_secret
        self._token = AccessToken(self._fetch_token)

    async def post_webhook(self, url: str, body: Json) -> None:
        """Post a message to a session webhook, which answers `errcode` 0 for success."""
        reply = await self.http.call("POST", url, headers=_ACCEPT, json=body, total_s=TOTAL_S)
        if "errcode" not in _successful(reply, is_harmless=False):
            raise command_unreadable()

    async def call(self, request: Request, *, parts: Sequence[Part] = ()) -> Json:
        """Make a call; `parts` are sent as a multipart form, which takes its time."""
        return await self.request(
            request.method,
            request.path,
            query=request.query,
            body=request.body,
            parts=parts,
            is_harmless=request.is_harmless,
            is_old=request.is_old,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = NOTHING,
        body: Any = None,
        parts: Sequence[Part] = (),
        is_harmless: bool | None = None,
        is_old: bool = False,
    ) -> Json:
        """Make a call with the app's token, and once more with a new one if DingTalk refuses that.

        Args:
            method: of HTTP.
            path: of OpenAPI, as `/v1.0/robot/groupMessages/send`.
            query: of the URL.
            body: sent as JSON; or
            parts: sent as a multipart form, of texts and bytes.
            is_harmless: as of `Http.call`; by default, whether it is a GET.
            is_old: it is oapi.dingtalk.com's, which takes the token in the query.

        Returns:
            The answer; an empty map where it has no body.
        """
        is_harmless = method == "GET" if is_harmless is None else is_harmless

        async def ask(token: str) -> Reply:
            return await self.http.call(
                method,
                (self._old_base if is_old else self._base) + path,
                headers=_ACCEPT if is_old else {**_ACCEPT, _TOKEN_HEADER: token},
                query={**query, "access_token": token} if is_old else query,
                json=body,
                parts=parts,
                total_s=UPLOAD_S if parts else TOTAL_S,
                is_harmless=is_harmless,
            )

        token = await self._token.get()
        reply = await ask(token)
        if _judged(reply).is_token_refused:
            reply = await ask(await self._token.get(refused=token))
        return _successful(reply, is_harmless=is_harmless)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()

    async def _fetch_token(self) -> tuple[str, float]:
        credentials = {"appKey": self._client_id, "appSecret": self._client_secret}
        url = self._base + _TOKEN_PATH
        reply = await self.http.call(
            "POST", url, headers=_ACCEPT, json=credentials, total_s=TOTAL_S, is_harmless=True
        )
        match _successful(reply, is_harmless=True):
            case {"accessToken": str(token), "expireIn": int(life_s) | float(life_s)} if token:
                return token, float(life_s)
            case _:
                raise command_unreadable(is_harmless=True)


def old_base(base: str) -> str:
    """Return where the API of `oapi.dingtalk.com` is for an `api_base`: beside its own, or at a simulator."""
    parts = urlsplit(base)
    if not parts.netloc.startswith("api."):
        return base
    return urlunsplit(parts._replace(netloc=f"o{parts.netloc}"))


def _successful(reply: Reply, *, is_harmless: bool) -> Json:
    """Return what was answered, or raise what it means that it is none, or a refusal."""
    answer = _judged(reply)
    if answer.is_limit:
        raise command_refused(answer)
    if answer.is_broken:
        raise broken_inside(
            f"DingTalk failed: code {answer.code or reply.status}",
            status=reply.status,
            is_harmless=is_harmless,
            wait_s=answer.retry_after_s,
            platform_code=answer.code,
        )
    if not answer.is_success:
        raise command_refused(answer)
    told = reply.json() if reply.body else {}
    if told is None:
        raise command_unreadable(is_harmless=is_harmless)
    return told


def _judged(reply: Reply) -> Answer:
    return Answer(reply.status, reply.body, reply.headers.get("Retry-After"))
