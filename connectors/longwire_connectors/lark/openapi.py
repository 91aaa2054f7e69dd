"""Lark's REST API in the name of one app: one client, one token, explicit refusals."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from longwire_connectors import patience
from longwire_connectors.access_token import AccessToken
from longwire_connectors.asking import NOTHING
from longwire_connectors.http import MAX_BODY_BYTES, TOTAL_S, Download, Http, Part, Reply, nobody
from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.lark.refusals import LIMITED_CODES, TOKEN_CODES, UNDER_WAY_CODES, refusal_data
from longwire_connectors.unanswered import SERVER_ERROR, broken_inside, unanswered
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.redaction import Redactor

DEFAULT_LIMIT_S = 1.0
"""To wait where the platform limits and does not say for how long; its limits count per second or minute."""
UNDER_WAY_MS = 1000
"""Until what is under way at the platform is asked for again; it answers within 0.3 s."""
TOO_MANY_REQUESTS = 429

_NOT_A_SUCCESS = 300
_LONGEST_TEXT = 300
_TOKEN_PATH = "/auth/v3/tenant_access_token/internal"  # noqa: S105  a path


class OpenApi:
    """Calls the API in the name of one app. Made without a loop, used in one, closed at the end.

    Every method raises CommandError: BAD_PARAM, DEADLINE_EXCEEDED for an unknown effect, or a PLATFORM code
    for none.
    """

    def __init__(self, options: LarkOptions, *, count: Callable[[str], None] = nobody) -> None:
        self.http = Http(count)
        self._options = options
        self._redact = Redactor((options.app_secret,))
        self._token = AccessToken(self._fetch_token)

    async def request(  # noqa: PLR0913  what HTTP has
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = NOTHING,
        body: Any = None,
        parts: Sequence[Part] = (),
        max_bytes: int = MAX_BODY_BYTES,
        total_s: float = TOTAL_S,
        is_harmless: bool | None = None,
    ) -> dict[str, Any]:
        """Make a call with the app's token, and once more with a new one if the platform refuses that.

        Args:
            method: of HTTP.
            path: below `/open-apis`.
            query: of the URL.
            body: sent as JSON; or
            parts: sent as a multipart form, of texts and bytes.
            max_bytes: of the answer.
            total_s: as of `Http.call`, for each of its calls.
            is_harmless: as of `Http.call`; by default, whether it is a GET.

        Returns:
            The whole answer, whose `code` is 0; what was asked for is mostly in its `data`.
        """
        is_harmless = method == "GET" if is_harmless is None else is_harmless

        async def ask(token: str) -> Reply:
            return await self.http.call(
                method,
                self._url(path),
                headers=_authorization(token),
                query=query,
                json=body,
                parts=parts,
                max_bytes=max_bytes,
                total_s=total_s,
                is_harmless=is_harmless,
            )

        token = await self._token.get()
        reply = await ask(token)
        if _is_token_refused(reply):
            reply = await ask(await self._token.get(refused=token))
        return self._successful(reply, is_harmless=is_harmless)

    @asynccontextmanager
    async def download(
        self,
        path: str,
        *,
        query: Mapping[str, str] = NOTHING,
        headers: Mapping[str, str] = NOTHING,
        max_bytes: int,
        total_s: float,
    ) -> AsyncGenerator[Download]:
        """Enter with a file, to be read in chunks; a token that was refused is renewed once.

        Args:
            path: below `/open-apis`.
            query: of the URL.
            headers: besides those of every call, as `Range`.
            max_bytes: of the file.
            total_s: until its last byte.
        """
        async with AsyncExitStack() as stack:

            async def begin(token: str) -> tuple[Download, Reply | None]:
                """Return the file, and the refusal if it is one."""
                stream = self.http.stream(
                    "GET",
                    self._url(path),
                    headers={**headers, **_authorization(token)},
                    query=query,
                    max_bytes=max_bytes,
                    total_s=total_s,
                )
                download = await stack.enter_async_context(stream)
                return download, None if download.status < _NOT_A_SUCCESS else await _read(download)

            token = await self._token.get()
            download, refusal = await begin(token)
            if refusal is not None and _is_token_refused(refusal):
                await stack.aclose()  # or those that wait for their second place would hold all first ones
                download, refusal = await begin(await self._token.get(refused=token))
            if refusal is not None:
                self._successful(refusal, is_harmless=True)
            yield download

    async def close(self) -> None:
        """Close the connections; the next call would open others."""
        await self.http.close()

    async def _fetch_token(self) -> tuple[str, float]:
        body = {"app_id": self._options.app_id, "app_secret": self._options.app_secret}
        reply = await self.http.call("POST", self._url(_TOKEN_PATH), json=body, is_harmless=True)
        match self._successful(reply, is_harmless=True):
            case {"tenant_access_token": str(token), "expire": int(life_s) | float(life_s)} if token:
                return token, float(life_s)
            case _:
                raise unanswered("Lark's answer has no token", was_sent=True, is_harmless=True)

    def _url(self, path: str) -> str:
        return f"{self._options.base}/open-apis{path}"

    def _successful(self, reply: Reply, *, is_harmless: bool) -> dict[str, Any]:
        """Return the answer, or raise what it means that it is none, or a refusal."""
        answer = reply.json() or {}
        code = answer.get("code")
        if reply.status >= SERVER_ERROR:
            raise broken_inside(
                self._refused(code, answer),
                status=reply.status,
                is_harmless=is_harmless,
                wait_s=_asked_s(reply.headers),
                platform_code=code,
            )
        if code == 0 and reply.status < _NOT_A_SUCCESS:
            return answer
        if reply.status == TOO_MANY_REQUESTS or code in LIMITED_CODES:
            wait_ms = retry_after_ms(reply.headers)
            raise self._refusal(RetCode.PLATFORM_LIMITED, code, answer, wait_ms=wait_ms)
        if code in UNDER_WAY_CODES:
            raise self._refusal(RetCode.PLATFORM_REFUSED, code, answer, wait_ms=UNDER_WAY_MS)
        if isinstance(code, int) or reply.status >= _NOT_A_SUCCESS:
            code = code or reply.status
            raise self._refusal(RetCode.PLATFORM_REFUSED, code, answer)
        raise unanswered("Lark's answer cannot be read", was_sent=True, is_harmless=is_harmless)

    def _refusal(
        self, retcode: RetCode, code: object, answer: dict[str, Any], *, wait_ms: int | None = None
    ) -> CommandError:
        return CommandError(
            retcode,
            self._refused(code, answer),
            retryable=wait_ms is not None,
            retry_after_ms=wait_ms,
            data=refusal_data(code),
        )

    def _refused(self, code: object, answer: dict[str, Any]) -> str:
        return self._redact(f"Lark refused: code {code}, {answer.get('msg', '')}")[:_LONGEST_TEXT]


def retry_after_ms(headers: Mapping[str, str]) -> int:
    """Return how long the platform asks to wait."""
    return round((_asked_s(headers) or DEFAULT_LIMIT_S) * 1000)


def _asked_s(headers: Mapping[str, str]) -> float | None:
    return patience.asked_s(headers.get("x-ogw-ratelimit-reset"), headers.get("Retry-After"))


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _is_token_refused(reply: Reply) -> bool:
    return (reply.json() or {}).get("code") in TOKEN_CODES


async def _read(download: Download) -> Reply:
    body = b"".join([chunk async for chunk in download.chunks()])
    return Reply(download.status, download.headers, body)
