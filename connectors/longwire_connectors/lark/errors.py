"""What went wrong with a link: the platform's codes as a `LinkFailure`. Pure.

Everything is decided from codes and places, never from words in a text: a passing error whose text happens to
contain `app_id` is passing all the same. A code that nobody has explained yet is retried, and shown as
`unknown_refusal`: to park an account for it would silence a bot for what may pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from longwire_connectors import patience
from longwire_protocol.link import Fault, LinkFailure
from longwire_protocol.redaction import Redactor

TOO_MANY_CONNECTIONS = 1000040350
"""Of discovery and of the handshake alike (mateclaw#86; lark_oapi/ws/const.py `EXCEED_CONN_LIMIT`)."""
TOO_MANY_RETRY_S = 60.0
"""Another connection has to end first, so asking sooner is hammering. No source gives a number."""

RATE_LIMITED = 99991400
"""«request frequency limit exceeded», with HTTP 429 or, from old interfaces, 400 (document «频控策略»)."""
BUSY = frozenset({1, 1000040343})
"""«system busy» and «internal error» (lark_oapi/ws/const.py), of discovery and of the handshake."""

HTTP_OK = 200
HTTP_LIMITED = 429
HTTP_SERVER_ERROR = 500
FORBIDDEN = 403
_LAST_HTTP_STATUS = 599
AUTH_FAILED = 514
"""Of the header `Handshake-Status` (lark_oapi/ws/const.py)."""

TOO_BIG = 1009
"""The WebSocket close code for a message over the size limit (RFC 6455, 7.4.1)."""

UNKNOWN = "unknown_refusal"
"""The reason for a code that is in no table here."""

_LONGEST_TEXT = 300
"""Characters of a platform's or library's own words that are passed on."""


class _Refusal(msgspec.Struct, frozen=True):
    reason: str
    user_action: str
    user_action_zh: str


_CREDENTIALS = _Refusal(
    "bad_credentials",
    "Compare app_id and app_secret with the app's page in the Lark developer console; correct them in the "
    "configuration and send SIGHUP, or restart the supervisor if they come from its environment.",
    "请在飞书开发者后台的「凭证与基础信息」页核对 app_id 与 app_secret，改正配置后发送 SIGHUP；"
    "如果它们来自 supervisor 的环境变量，则重启 supervisor。",
)
_WRONG_DOMAIN = _Refusal(
    "wrong_domain",
    "Set domain to https://open.feishu.cn for a Feishu app, to https://open.larksuite.com for a Lark app; "
    "then send SIGHUP.",
    "飞书应用请将 domain 设为 https://open.feishu.cn，Lark 国际版应用请设为 https://open.larksuite.com，"
    "然后发送 SIGHUP。",
)
_UNAVAILABLE = _Refusal(
    "app_unavailable",
    "Enable the app and have it installed and published in its tenant (Lark developer console and admin "
    "console); then restart the account.",
    "请在飞书开发者后台与管理后台启用该应用，并确认它已在所属企业内发布和安装，然后重启该账号。",
)
_STORE_APP = _Refusal(
    "app_not_supported",
    "Lark gives long connections to self-built apps only: make one in the developer console, and use its "
    "app_id and app_secret.",
    "飞书长连接仅支持企业自建应用：请在开发者后台新建自建应用，并改用它的 app_id 与 app_secret。",
)
_FORBIDDEN = _Refusal(
    "forbidden",
    "Check in the developer console that the app is enabled, published and allowed to use the long "
    "connection; then restart the account.",
    "请在飞书开发者后台确认该应用已启用、已发布，并且订阅方式为「使用长连接接收事件」，然后重启该账号。",
)

REFUSALS: Mapping[int, _Refusal] = {
    10003: _CREDENTIALS,  # «invalid app_id» (documents of the token call)
    10014: _CREDENTIALS,  # «app secret invalid» (larksuite/cli internal/errclass/codemeta.go)
    10015: _CREDENTIALS,  # the secret is not this app's (public code)
    20002: _CREDENTIALS,  # «client secret invalid» (codemeta.go)
    20048: _CREDENTIALS,  # «app specified is not exist» (codemeta.go)
    99991543: _CREDENTIALS,  # «app_id or app_secret is incorrect» (codemeta.go)
    1000040344: _CREDENTIALS,  # the SDK's own: app_id or app_secret is empty
    1000040345: _CREDENTIALS,  # «app_id or app_secret is invalid» (probes of discovery in public code)
    1000040346: _CREDENTIALS,  # «app_id is invalid» (live probe in public code)
    1000040351: _WRONG_DOMAIN,  # «Incorrect domain name» (cc-connect#63)
    20009: _UNAVAILABLE,  # «app specified is not installed» (codemeta.go)
    20069: _UNAVAILABLE,  # «app specified is disabled» (codemeta.go)
    99991662: _UNAVAILABLE,  # «app is disabled or not installed in this tenant» (larksuite/cli)
    99991673: _UNAVAILABLE,  # «app status unavailable; check installation» (larksuite/cli)
    1000040347: _STORE_APP,  # «store apps are not supported yet» (public code)
}
"""The codes that are final, wherever the platform says them in an answer to discovery."""


WAIT_HEADERS = ("x-ogw-ratelimit-reset", "Retry-After")
"""Both in seconds (document «频控策略»)."""


class Answer(msgspec.Struct, frozen=True):
    """Discovery's answer, as far as it is judged."""

    status: int
    """Of HTTP."""
    code: int | None = None
    """The platform's, in the body."""
    retry_after_s: float | None = None
    said: str = ""
    """The platform's words, in the body."""

    @classmethod
    def read(cls, status: int, *, body: bytes, waits: Iterable[str | None] = ()) -> Answer:
        """Return what an HTTP answer says; `waits` are the values of `WAIT_HEADERS`."""
        refusal = _read(body)
        said = refusal.msg if isinstance(refusal.msg, str) else ""
        return cls(status, refusal.code, patience.asked_s(*waits), said)


class Failures:
    """Makes failures whose texts hold no secret of this account."""

    def __init__(self, *, secrets: tuple[str, ...]) -> None:
        self._redact = Redactor(secrets)

    def discovery(self, answer: Answer, text: str, *, wanted: str = "a connection") -> LinkFailure:
        """Return why discovery, or a request like it, gave nothing; `text` is what is said of it."""
        code = answer.status if answer.code is None else answer.code
        said = text.removeprefix(f"{code}: ")  # the SDK's text begins with it
        message = self._text(f"Lark refused to give {wanted}: code {code}, {said}")
        if answer.status >= HTTP_SERVER_ERROR or answer.code in BUSY:
            return _transient("platform_busy", message, code=code)
        if answer.code == TOO_MANY_CONNECTIONS:
            return _too_many(message)
        if answer.status == HTTP_LIMITED or answer.code == RATE_LIMITED:
            return _limited(message, code=code, retry_after_s=answer.retry_after_s)
        if (refusal := REFUSALS.get(code)) is not None:
            return _permanent(refusal, message, code=code)
        if answer.status == HTTP_OK and answer.code is None:
            # A 200 without any code is not Lark's answer: a portal's or a proxy's.
            return self.unreadable(f"the answer has no code: {text}")
        return _transient(UNKNOWN, message, code=code)

    def handshake(self, http_status: int, headers: Mapping[str, str]) -> LinkFailure:
        """Return why the WebSocket handshake was refused, from the headers Lark adds (const.py:21-23)."""
        lowered = {name.lower(): value for name, value in headers.items()}
        status, auth_code = _number(lowered, "handshake-status"), _number(lowered, "handshake-autherrcode")
        code = auth_code if status == AUTH_FAILED and auth_code is not None else (status or http_status)
        text = lowered.get("handshake-msg", "")
        message = self._text(f"Lark refused the WebSocket: HTTP {http_status}, code {code}, {text}")
        if status == AUTH_FAILED and auth_code == TOO_MANY_CONNECTIONS:
            return _too_many(message)
        if HTTP_LIMITED in {status, http_status}:
            return _limited(message, code=code, retry_after_s=patience.asked_s(lowered.get("retry-after")))
        if status == FORBIDDEN:
            return _permanent(_FORBIDDEN, message, code=status)
        is_known = code in BUSY or HTTP_SERVER_ERROR <= code <= _LAST_HTTP_STATUS
        return _transient("handshake_refused" if is_known else UNKNOWN, message, code=code)

    def lost(self, *, received: tuple[int, str] | None, sent_code: int | None) -> LinkFailure:
        """Return why an open connection ended.

        Args:
            received: code and text of the peer's close frame; `None` for a cut.
            sent_code: code of our own close frame, if one was sent first.
        """
        if sent_code == TOO_BIG:
            return _transient("frame_too_large", "Lark sent a frame over the size limit", code=TOO_BIG)
        if received is None:
            return _transient("connection_lost", "the connection was cut without a close frame")
        code, text = received
        return _transient(
            "closed_by_peer", self._text(f"Lark closed the connection: {code} {text}"), code=code
        )

    def unreachable(self, error: BaseException, *, doing: str) -> LinkFailure:
        """Return the failure of a network error while `doing`."""
        return _transient("unreachable", self._text(f"{doing} failed: {type(error).__name__}: {error}"))

    def unreadable(self, text: str) -> LinkFailure:
        """Discovery answered something that is no address to connect to."""
        return _transient("bad_discovery_answer", self._text(f"Lark's answer cannot be used: {text}"))

    def _text(self, text: str) -> str:
        return self._redact(text)[:_LONGEST_TEXT]


def discovery_timeout(timeout_s: float) -> LinkFailure:
    """Discovery was not answered in time."""
    return _transient("discovery_timeout", f"Lark gave no address to connect to within {timeout_s:g} s")


def connect_timeout(timeout_s: float) -> LinkFailure:
    """The WebSocket did not open in time."""
    return _transient("connect_timeout", f"the WebSocket did not open within {timeout_s:g} s")


def link_timeout(timeout_s: float) -> LinkFailure:
    """Neither a frame nor a WebSocket pong arrived in time."""
    return _transient("link_timeout", f"the socket gave no sign of life for {timeout_s:g} s")


def platform_silent(timeout_s: float) -> LinkFailure:
    """The socket may live, but Lark's pongs are overdue."""
    return _transient("platform_silent", f"Lark answered none of its own pings for {timeout_s:g} s")


def _transient(reason: str, message: str, *, code: int | None = None) -> LinkFailure:
    return LinkFailure(
        fault=Fault.TRANSIENT,
        reason=reason,
        message=message,
        error_code=None if code is None else str(code),
    )


def _permanent(refusal: _Refusal, message: str, *, code: int) -> LinkFailure:
    return LinkFailure(
        fault=Fault.PERMANENT,
        reason=refusal.reason,
        message=message,
        error_code=str(code),
        user_action=refusal.user_action,
        user_action_zh=refusal.user_action_zh,
    )


def _limited(message: str, *, code: int, retry_after_s: float | None) -> LinkFailure:
    return LinkFailure(
        fault=Fault.LIMITED,
        reason="rate_limited",
        message=message,
        error_code=str(code),
        retry_after_s=retry_after_s,
    )


def _too_many(message: str) -> LinkFailure:
    return LinkFailure(
        fault=Fault.LIMITED,
        reason="too_many_connections",
        message=message,
        error_code=str(TOO_MANY_CONNECTIONS),
        user_action="Find who else holds connections of this app: an old deployment, a developer's machine.",
        user_action_zh="请找出还有谁占用该应用的长连接：例如旧的部署，或开发者自己的机器。",
        retry_after_s=TOO_MANY_RETRY_S,
    )


class _Body(msgspec.Struct):
    code: int | None = None
    msg: object = None


def _read(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _Body()


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
