"""Whether DingTalk takes an app's credentials: asks for a token, which costs the app nothing."""

from __future__ import annotations

from time import time

from longwire_connectors import clock, webcall
from longwire_connectors.dingtalk.errors import Answer, judge_opening, opening_failed
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_protocol.link import LinkFailure
from longwire_protocol.probing import Probe

PATH = "/v1.0/oauth2/accessToken"
_HTTP_OK = 200


def probe(options: DingTalkOptions) -> Probe:
    """Ask once; blocks for some seconds at most, see `webcall`."""
    asked_at = time()
    credentials = {"appKey": options.client_id, "appSecret": options.client_secret}
    try:
        reply = webcall.call("POST", options.base + PATH, json=credentials)
    except TimeoutError:
        return Probe(failure=opening_failed(is_timeout=True))
    except (OSError, ValueError) as error:
        return Probe(failure=opening_failed(is_timeout=False, error=type(error).__name__))
    answer = Answer(reply.status, reply.body, reply.headers.get("Retry-After"))
    return Probe(
        failure=judge(answer),
        clock_ahead_s=clock.ahead_s(reply.headers.get("Date"), asked_at=asked_at, answered_at=time()),
    )


def judge(answer: Answer) -> LinkFailure | None:
    """Return why it is no token, by the codes that hold for a connection, too; `None` for a token."""
    if answer.status == _HTTP_OK and b"accessToken" in answer.body:
        return None
    found = judge_opening(answer, None)
    assert isinstance(found, LinkFailure)  # noqa: S101  # nothing was granted
    return found
