"""Whether Lark takes an app's credentials: asks for a token, which costs the app nothing."""

from __future__ import annotations

from time import time

from longwire_connectors import clock, webcall
from longwire_connectors.lark import errors
from longwire_connectors.lark.errors import HTTP_OK, WAIT_HEADERS, Answer, Failures
from longwire_connectors.lark.options import LarkOptions
from longwire_protocol.link import LinkFailure
from longwire_protocol.probing import Probe

PATH = "/open-apis/auth/v3/tenant_access_token/internal"


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
    answer = Answer.read(reply.status, body=reply.body, waits=map(reply.headers.get, WAIT_HEADERS))
    return Probe(
        failure=judge(answer, failures),
        clock_ahead_s=clock.ahead_s(reply.headers.get("Date"), asked_at=asked_at, answered_at=time()),
    )


def judge(answer: Answer, failures: Failures) -> LinkFailure | None:
    """Return why it is no token, by the codes that hold for discovery, too; `None` for a token."""
    if answer.code == 0:
        return None
    if answer.code is None and answer.status == HTTP_OK:
        return failures.unreadable("it is not Lark that answers; a proxy, or a portal that wants a login?")
    return failures.discovery(answer, answer.said or f"HTTP {answer.status}", wanted="a token")
