"""What an answer of DingTalk means: for the link, and for a command. Pure.

Decided from HTTP status, platform code and place alone. Only what nobody but the operator can mend is
`PERMANENT`: a 401 is a clear refusal whatever its body says (AstrBot#885; `authFailed` in
dify-on-dingtalk#28), and `invalidClientIdOrSecret` is documented for credentials that do not fit (HTTP 400,
«获取企业内部应用的accessToken»). The platform's own `systemError` comes as a 400, too (AstrBot#1628), and is
retried. A 403 is a rate limit where its code says so. What is in no table here is retried, and shown as
`unknown_refusal`: to park an account for it would silence a bot for what may pass.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from longwire_connectors import patience
from longwire_connectors.dingtalk.shapes import as_map
from longwire_connectors.unanswered import unanswered
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.link import Fault, LinkFailure

HTTP_OK = 200
HTTP_REDIRECTED = 300
HTTP_UNAUTHORIZED = 401
HTTP_LIMITED = 429
HTTP_SERVER_ERROR = 500

CREDENTIAL_CODES = frozenset({"invalidClientIdOrSecret"})
"""Codes that mean bad credentials, whatever the status."""
TOKEN_CODES = frozenset({"InvalidAuthentication", "40001", "40014", "42001", "88"})
"""Codes that mean a token that is not valid any more. The first comes with HTTP 401, the others from the old
host with 200; of these 88 says so in `sub_code`."""
LIMIT_CODES = frozenset(
    {
        "Forbidden.AccessDenied.QpsLimitForApi",
        "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
        "90002",
        "90018",
        "90030",
        "130101",
    }
)
"""Codes that mean «too fast»: two with HTTP 403, four of the old host and of webhooks (open.dingtalk.com
«rate limits»; 90030 «webhook over limit»). And `Throttling` with whatever follows it."""
CHAT_CODES = frozenset({"90030", "130101"})
"""Of these the ones that a webhook answers, which is one chat's: the others need not wait."""
PENALTY_S = {"130101": 600.0}
"""Seconds to wait where the code implies it: 20 a minute, then ten minutes' penalty (csdn 118615052)."""
SESSION_CODES = frozenset({"300001", "310000"})
"""What a session webhook that has ended may answer. Which of them: «Not established»; the custom robots'
webhooks, which are older, answer these for one that is not valid."""
BUSY_CODES = frozenset({"systemError", "-1"})
"""Codes that mean the platform's own trouble, whatever the status (AstrBot#1628; -1 is «system busy» in the
old host's global codes)."""

UNKNOWN = "unknown_refusal"
"""The reason for an answer that is in no table here."""

CHECK_CREDENTIALS = (
    "Compare client_id and client_secret with the app's page in DingTalk's developer console; correct them "
    "in the configuration and send SIGHUP, or restart the supervisor if they come from its environment."
)
CHECK_CREDENTIALS_ZH = (
    "请在钉钉开发者后台的应用页核对 client_id（AppKey）与 client_secret（AppSecret），改正配置后发送 SIGHUP；"
    "如果它们来自 supervisor 的环境变量，则重启 supervisor。"
)

_CODE = re.compile(r"[\w.\-]{1,80}")
_CLOSED_BY_US_TOO_BIG = 1009


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer, as far as it is judged."""

    status: int
    body: bytes
    retry_after: str | None = None
    """The header as it came."""

    @property
    def code(self) -> str | None:
        """The platform's code in the body (`code` or `errcode`), if it has one that can be shown."""
        body = _object(self.body)
        code = str(body.get("code", body.get("errcode", "")))
        return code if _CODE.fullmatch(code) else None

    @property
    def is_success(self) -> bool:
        """Whether it was done; the old host and webhooks say so in `errcode`, whatever the status."""
        return HTTP_OK <= self.status < HTTP_REDIRECTED and _object(self.body).get("errcode", 0) in {0, "0"}

    @property
    def is_limit(self) -> bool:
        """Whether it says «too fast»; nothing was done then."""
        code = self.code or ""
        return self.status == HTTP_LIMITED or code in LIMIT_CODES or code.startswith("Throttling")

    @property
    def is_broken(self) -> bool:
        """Whether the platform failed in the middle of it, so that it may have been done."""
        return self.status >= HTTP_SERVER_ERROR or (self.code in BUSY_CODES and not self.is_success)

    @property
    def is_token_refused(self) -> bool:
        """Whether another token would help."""
        code = self.code
        if code == "88":
            code = str(_object(self.body).get("sub_code", ""))
        return not self.is_success and (self.status == HTTP_UNAUTHORIZED or code in TOKEN_CODES)

    @property
    def retry_after_s(self) -> float | None:
        """Seconds to wait, if the platform says so."""
        asked_s = patience.asked_s(self.retry_after)
        return PENALTY_S.get(self.code or "") if asked_s is None else asked_s


class Grant(msgspec.Struct, frozen=True):
    """Where to connect, and the ticket for one connection."""

    endpoint: str
    ticket: str

    def __repr__(self) -> str:
        return "Grant(...)"  # a ticket must not get into a traceback


def judge_opening(answer: Answer, granted: Any) -> Grant | LinkFailure:
    """Return what the answer to `connections/open` means; `granted` is its JSON as the SDK returned it."""
    if answer.status != HTTP_OK:
        return _opening_refused(answer)
    match granted:
        case {"endpoint": str(endpoint), "ticket": str(ticket)} if endpoint and ticket:
            return Grant(endpoint, ticket)
        case _:
            return LinkFailure(
                Fault.TRANSIENT, "discovery_bad_answer", "DingTalk's answer names no endpoint or no ticket"
            )


def _opening_refused(answer: Answer) -> LinkFailure:
    code = answer.code or str(answer.status)
    if answer.status == HTTP_UNAUTHORIZED or code in CREDENTIAL_CODES:
        return LinkFailure(
            Fault.PERMANENT,
            "bad_credentials",
            "DingTalk does not accept the app's credentials",
            error_code=code,
            user_action=CHECK_CREDENTIALS,
            user_action_zh=CHECK_CREDENTIALS_ZH,
        )
    if answer.is_limit:
        return LinkFailure(
            Fault.LIMITED,
            "rate_limited",
            "DingTalk limits how often a connection may be asked for",
            error_code=code,
            retry_after_s=answer.retry_after_s,
        )
    is_known = answer.status >= HTTP_SERVER_ERROR or code in BUSY_CODES
    return LinkFailure(
        Fault.TRANSIENT,
        "discovery_refused" if is_known else UNKNOWN,
        f"DingTalk answered HTTP {answer.status} to the request for a connection",
        error_code=code,
    )


def opening_failed(*, is_timeout: bool, error: str = "") -> LinkFailure:
    """Return the failure of a request for a connection that got no answer; `error` is its type's name."""
    if is_timeout:
        return LinkFailure(Fault.TRANSIENT, "discovery_timeout", "DingTalk did not answer in time")
    return LinkFailure(
        Fault.TRANSIENT, "discovery_unreachable", f"DingTalk cannot be reached ({error or 'no answer'})"
    )


def handshake_failed(*, status: int | None, retry_after: str | None = None, error: str = "") -> LinkFailure:
    """Return the failure of a WebSocket handshake.

    A 401 here is a ticket that was used or got too old, not the app's credentials: a new one mends it.

    Args:
        status: the HTTP status of a refusal, `None` if there was no answer.
        retry_after: its header of that name.
        error: the name of the exception's type.
    """
    if status is None:
        return LinkFailure(Fault.TRANSIENT, "handshake_failed", f"no WebSocket connection ({error})")
    if status == HTTP_LIMITED:
        answer = Answer(status, b"", retry_after)
        return LinkFailure(
            Fault.LIMITED,
            "rate_limited",
            "DingTalk limits how often one may connect",
            error_code=str(status),
            retry_after_s=answer.retry_after_s,
        )
    reason = "handshake_refused" if status >= HTTP_SERVER_ERROR else UNKNOWN
    if status == HTTP_UNAUTHORIZED:
        reason = "ticket_refused"
    message = f"DingTalk answered HTTP {status} to the WebSocket handshake"
    return LinkFailure(Fault.TRANSIENT, reason, message, error_code=str(status))


def handshake_timed_out() -> LinkFailure:
    """Return the failure of a handshake that was not finished in time."""
    return LinkFailure(Fault.TRANSIENT, "handshake_timeout", "the WebSocket handshake took too long")


def silent(limit_s: float) -> LinkFailure:
    """Return the failure of a connection without proof for `limit_s` seconds."""
    return LinkFailure(
        Fault.TRANSIENT, "link_timeout", f"neither frame nor pong within {limit_s:g} s; connection cut"
    )


def handed_over() -> LinkFailure:
    """Return the end of a connection that DingTalk asked to be replaced."""
    return LinkFailure(
        Fault.HANDOVER,
        "platform_handover",
        "DingTalk asked for a new connection and delivers no more",
    )


def closed(*, received: int | None, sent: int | None) -> LinkFailure:
    """Return why a connection ended, from the codes of the close frames that were received and sent."""
    if received is not None:
        return LinkFailure(
            Fault.TRANSIENT,
            "closed_by_peer",
            f"DingTalk closed the connection with code {received}",
            error_code=str(received),
        )
    if sent == _CLOSED_BY_US_TOO_BIG:
        return LinkFailure(
            Fault.TRANSIENT, "frame_too_large", "DingTalk sent a frame over the limit", error_code=str(sent)
        )
    return LinkFailure(Fault.TRANSIENT, "connection_lost", "the connection broke without a close frame")


def command_refused(answer: Answer) -> CommandError:
    """Return the error for an answer that is no success; its code is in `data.platform_code`."""
    code = answer.code or str(answer.status)
    data: dict[str, object] = {"platform_code": code, "http_status": answer.status}
    if code in CHAT_CODES:
        data["limit"] = "chat"
    if answer.is_limit:
        wait_s = answer.retry_after_s
        return CommandError(
            RetCode.PLATFORM_LIMITED,
            f"DingTalk limits the rate: code {code}",
            retryable=True,
            retry_after_ms=1000 if wait_s is None else round(wait_s * 1000),
            data=data,
        )
    return CommandError(RetCode.PLATFORM_REFUSED, f"DingTalk refused: code {code}", data=data)


def command_unreadable(*, is_harmless: bool = False) -> CommandError:
    """Return the error for an answer that is a success but not of the documented form."""
    return unanswered("DingTalk answered unreadably", was_sent=True, is_harmless=is_harmless)


def is_session_over(error: CommandError) -> bool:
    """Tell whether a session webhook refused because it has ended; nothing was sent then."""
    return as_map(error.data).get("platform_code") in SESSION_CODES


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}
