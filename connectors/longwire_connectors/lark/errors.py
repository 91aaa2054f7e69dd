"""What went wrong with a link: the platform's codes as a `LinkFailure`. Pure.

Everything is decided from codes and places, never from words in a text: a passing error whose text happens to
contain `app_id` is passing all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from longwire_protocol.link import Fault, LinkFailure
from longwire_protocol.redaction import Redactor

TOO_MANY_CONNECTIONS = 1000040350
"""Of discovery and of the handshake alike (mateclaw#86; lark_oapi/ws/const.py `EXCEED_CONN_LIMIT`)."""
TOO_MANY_RETRY_S = 60.0
"""Another connection has to end first, so asking sooner is hammering. No source gives a number."""

FORBIDDEN = 403
AUTH_FAILED = 514
"""Of the header `Handshake-Status` (lark_oapi/ws/const.py)."""

TOO_BIG = 1009
"""The WebSocket close code for a message over the size limit (RFC 6455, 7.4.1)."""

_LONGEST_TEXT = 300
"""Characters of a platform's or library's own words that are passed on."""


class _Refusal(msgspec.Struct, frozen=True):
    reason: str
    user_action: str


_CREDENTIALS = _Refusal(
    "bad_credentials",
    "Compare app_id and app_secret with the app's page in the Lark developer console; correct them in the "
    "configuration and send SIGHUP, or restart the supervisor if they come from its environment.",
)
_WRONG_DOMAIN = _Refusal(
    "wrong_domain",
    "Set domain to https://open.feishu.cn for a Feishu app, to https://open.larksuite.com for a Lark app; "
    "then send SIGHUP.",
)
_UNNAMED = _Refusal(
    "refused_by_platform",
    "Look the code up in Lark's documents, and check in the developer console that the app is enabled, "
    "published and allowed to use the long connection; then restart the account.",
)
_FORBIDDEN = _Refusal(
    "forbidden",
    "Check in the developer console that the app is enabled, published and allowed to use the long "
    "connection; then restart the account.",
)

_REFUSALS: Mapping[int, _Refusal] = {
    10003: _CREDENTIALS,  # invalid app_id (documents of the token call)
    10014: _CREDENTIALS,  # invalid app_secret (the same)
    1000040344: _CREDENTIALS,  # the SDK's own: app_id or app_secret is empty
    1000040345: _CREDENTIALS,  # invalid app_secret; not established, it follows 1000040346
    1000040346: _CREDENTIALS,  # «app_id is invalid» (live probe in public code)
    1000040351: _WRONG_DOMAIN,  # «Incorrect domain name» (cc-connect#63)
}


class Failures:
    """Makes failures whose texts hold no secret of this account."""

    def __init__(self, *, secrets: tuple[str, ...]) -> None:
        self._redact = Redactor(secrets)

    def refused(self, code: object, text: str) -> LinkFailure:
        """Discovery answered with a code that the SDK takes for final (`ClientException`)."""
        if not isinstance(code, int):
            # A 200 without any code is not Lark's answer: a portal's or a proxy's.
            return self.unreadable(f"the answer has no code: {text}")
        said = text.removeprefix(f"{code}: ")  # the SDK's text begins with it
        message = self._text(f"Lark refused to give a connection: code {code}, {said}")
        if code == TOO_MANY_CONNECTIONS:
            return _too_many(message)
        refusal = _REFUSALS.get(code, _UNNAMED)
        return _permanent(refusal, message, error_code=str(code))

    def busy(self, code: object, text: str) -> LinkFailure:
        """Discovery answered an HTTP status other than 200, code 1 or 1000040343 (`ServerException`)."""
        return LinkFailure(
            fault=Fault.TRANSIENT,
            reason="platform_busy",
            message=self._text(f"Lark has no connection to give now: code {code}, {text}"),
            error_code=str(code),
        )

    def handshake(self, http_status: int, headers: Mapping[str, str]) -> LinkFailure:
        """Return why the WebSocket handshake was refused, from the headers Lark adds (const.py:21-23)."""
        lowered = {name.lower(): value for name, value in headers.items()}
        status, auth_code = _number(lowered, "handshake-status"), _number(lowered, "handshake-autherrcode")
        code = auth_code if status == AUTH_FAILED and auth_code is not None else status
        text = lowered.get("handshake-msg", "")
        message = self._text(f"Lark refused the WebSocket: HTTP {http_status}, code {code}, {text}")
        if status == AUTH_FAILED and auth_code == TOO_MANY_CONNECTIONS:
            return _too_many(message)
        if status == FORBIDDEN:
            return _permanent(_FORBIDDEN, message, error_code=str(status))
        return LinkFailure(
            fault=Fault.TRANSIENT,
            reason="handshake_refused",
            message=message,
            error_code=str(code if code is not None else http_status),
        )

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


def _permanent(refusal: _Refusal, message: str, *, error_code: str) -> LinkFailure:
    return LinkFailure(
        fault=Fault.PERMANENT,
        reason=refusal.reason,
        message=message,
        error_code=error_code,
        user_action=refusal.user_action,
    )


def _too_many(message: str) -> LinkFailure:
    return LinkFailure(
        fault=Fault.LIMITED,
        reason="too_many_connections",
        message=message,
        error_code=str(TOO_MANY_CONNECTIONS),
        retry_after_s=TOO_MANY_RETRY_S,
    )


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
