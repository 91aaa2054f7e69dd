"""Whether Lark takes an app's credentials: asks for a token, which costs the app nothing."""

from __future__ import annotations

from time import time

import msgspec

from longwire_connectors import clock, webcall
from longwire_connectors.lark import errors
from longwire_connectors.lark.errors import Failures
from longwire_connectors.lark.options import LarkOptions
from longwire_protocol.link import LinkFailure
from longwire_protocol.probing import Probe

PATH = "/open-apis/auth/v3/tenant_access_token/internal"
_HTTP_OK = 200
_HTTP_SERVER_ERROR = 500


class _Said(msgspec.Struct):
    code: int
    msg: str = ""


def probe(options: LarkOptions) -> Probe:
    """Ask once; blocks for some seconds at most, see `webcall`."""
    failures, asked_at = Failures(secrets=(options.app_secret,)), time()
    credentials = {"app_id": options.app_id, "app_secret": options.app_secret}
    try:
        reply = webcall.call("POST", options.base + PATH, json=credentials)
    except TimeoutError:
        return Probe(failure=errors.discovery_timeout(webcall.SILENCE_S))
    except (OSError, ValueError) as error:
        return Probe(failure=failures.unreachable(error, doing="asking Lark for a token"))
    return Probe(
        failure=judge(reply.status, reply.body, failures),
        clock_ahead_s=clock.ahead_s(reply.headers.get("Date"), asked_at=asked_at, answered_at=time()),
    )


def judge(status: int, body: bytes, failures: Failures) -> LinkFailure | None:
    """Return why it is no token, by the codes that hold for discovery, too; `None` for a token."""
    try:
        said = msgspec.json.decode(body, type=_Said)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        if status == _HTTP_OK:
            return failures.unreadable(
                "it is not Lark that answers; a proxy, or a portal that wants a login?"
            )
        return failures.busy(status, f"HTTP {status}")
    if said.code == 0:
        return None
    if status >= _HTTP_SERVER_ERROR:
        return failures.busy(said.code, said.msg)
    return failures.refused(said.code, said.msg)
