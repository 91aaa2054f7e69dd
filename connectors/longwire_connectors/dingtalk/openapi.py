"""DingTalk over REST: session webhooks, and OpenAPI with the app's token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from longwire_connectors.access_token import AccessToken
from longwire_connectors.asking import NOTHING
from longwire_connectors.dingtalk.errors import HTTP_OK, HTTP_UNAUTHORIZED, Answer, command_refused
from longwire_connectors.dingtalk.outgoing import ToGroup, ToPerson
from longwire_connectors.dingtalk.shapes import as_list
from longwire_connectors.http import MAX_BODY_BYTES, Http, Part, Reply
from longwire_connectors.unanswered import SERVER_ERROR, broken_inside, unanswered
from longwire_protocol.errors import CommandError, RetCode

TOTAL_S = 10.0
"""For a whole request; the SDK's own figure from 0.24.4 on (`HTTP_TIMEOUT_SECONDS`)."""

_TOKEN_PATH = "/v1.0/oauth2/accessToken"  # noqa: S105  a path
_PERSON_PATH = "/v1.0/robot/oToMessages/batchSend"
_GROUP_PATH = "/v1.0/robot/groupMessages/send"

Json = dict[str, Any]


class OpenApi:
    """Calls with one app's credentials. Made without a loop, used in one, closed at the end.

    Every method raises CommandError: DEADLINE_EXCEEDED for an unknown effect, or a PLATFORM code for none.
    """

    def __init__(self, *, base: str, client_id: str, client_secret: str) -> None:
        self.http = Http()
        self._base = base
        self._client_id = client_id
        self._client_secret = client_secret
        self._token = AccessToken(self._fetch_token)

    async def post_webhook(self, url: str, body: Json) -> None:
        """Post a message to a session webhook, which answers `errcode` 0 for success."""
        reply = await self.http.call("POST", url, json=body, total_s=TOTAL_S)
        if _successful(reply, is_repeatable=False).get("errcode") != 0:
            raise command_refused(_judged(reply))

    async def send(self, target: ToPerson | ToGroup, body: Json) -> str | None:
        """Send a message and return its `processQueryKey`."""
        path = _PERSON_PATH if isinstance(target, ToPerson) else _GROUP_PATH
        sent = await self.request("POST", path, body=body)
        if isinstance(target, ToPerson):
            _check_receiver(sent, target.staff_id)
        key = sent.get("processQueryKey")
        return key if isinstance(key, str) and key else None

    async def request(  # noqa: PLR0913  what HTTP has
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = NOTHING,
        body: Any = None,
        parts: Sequence[Part] = (),
        max_bytes: int = MAX_BODY_BYTES,
        total_s: float | None = None,
        is_repeatable: bool | None = None,
    ) -> Json:
        """Make a call with the app's token, and once more with a new one if DingTalk refuses that.

        Args:
            method: of HTTP.
            path: of OpenAPI, as `/v1.0/robot/groupMessages/send`.
            query: of the URL.
            body: sent as JSON; or
            parts: sent as a multipart form, of texts and bytes.
            max_bytes: of the answer.
            total_s: as of `Http.call`, for each of its calls; `TOTAL_S` by default.
            is_repeatable: it changes nothing; by default, whether it is a GET.

        Returns:
            The answer; an empty map where it has no body.
        """
        is_harmless = method == "GET" if is_repeatable is None else is_repeatable

        async def ask(token: str) -> Reply:
            return await self.http.call(
                method,
                self._base + path,
                headers={"Accept": "application/json", "x-acs-dingtalk-access-token": token},
                query=query,
                json=body,
                parts=parts,
                max_bytes=max_bytes,
                total_s=TOTAL_S if total_s is None else total_s,
                is_repeatable=is_harmless,
            )

        token = await self._token.get()
        reply = await ask(token)
        if reply.status == HTTP_UNAUTHORIZED:
            reply = await ask(await self._token.get(refused=token))
        return _successful(reply, is_repeatable=is_harmless)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()

    async def _fetch_token(self) -> tuple[str, float]:
        credentials = {"appKey": self._client_id, "appSecret": self._client_secret}
        url = self._base + _TOKEN_PATH
        reply = await self.http.call("POST", url, json=credentials, total_s=TOTAL_S, is_repeatable=True)
        match _successful(reply, is_repeatable=True):
            case {"accessToken": str(token), "expireIn": int(life_s) | float(life_s)} if token:
                return token, float(life_s)
            case _:
                raise unanswered("DingTalk gave no token", was_sent=True, is_repeatable=True)


def _successful(reply: Reply, *, is_repeatable: bool) -> Json:
    """Return what was answered, or raise what it means that it is none, or a refusal."""
    if reply.status >= SERVER_ERROR:
        judged = _judged(reply)
        code = judged.code or str(reply.status)
        raise broken_inside(
            f"DingTalk failed: code {code}",
            status=reply.status,
            is_repeatable=is_repeatable,
            wait_s=judged.retry_after_s,
            platform_code=code,
        )
    if reply.status != HTTP_OK:
        raise command_refused(_judged(reply))
    answer = reply.json() if reply.body else {}
    if answer is None:
        raise unanswered("DingTalk answered unreadably", was_sent=True, is_repeatable=is_repeatable)
    return answer


def _judged(reply: Reply) -> Answer:
    return Answer(reply.status, reply.body, reply.headers.get("Retry-After"))


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
