"""DingTalk's WebSocket: tickets, answers to pushed frames, and the two-step disconnect."""

import msgspec
from aiohttp import WSMessage, web

from longwire_connectors.simulator.answers import json_answer
from longwire_connectors.simulator.dingtalk_gateway import DingTalkGateway, error_body
from longwire_connectors.simulator.errors import ClientFrameError
from longwire_connectors.simulator.fault_kinds import DingTalkHandshakeStatus
from longwire_connectors.simulator.link import Link
from longwire_connectors.simulator.platform import Platform

__all__ = ["DingTalkSocket", "read_answer"]

ACK_OK = 200


class _AnswerHeaders(msgspec.Struct, kw_only=True, rename="camel"):
    message_id: str


class _Answer(msgspec.Struct, kw_only=True):
    code: int
    headers: _AnswerHeaders
    data: str | None = None


class _EventStatus(msgspec.Struct, kw_only=True):
    status: object = None


class DingTalkSocket:
    """Serves ``GET /connect``."""

    def __init__(self, platform: Platform, *, gateway: DingTalkGateway) -> None:
        self._platform = platform
        self._gateway = gateway

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Complete the handshake or fail it with 401, and serve the connection to its end."""
        grant = self._gateway.redeem(request.query.get("ticket", ""))
        if grant is None:
            self._platform.state("").handshakes_refused += 1
            return json_answer(error_body("invalidTicket", "ticket is invalid or expired"), status=401)
        if refusal := self._platform.fault(DingTalkHandshakeStatus, grant.app):
            self._platform.state(grant.app).handshakes_refused += 1
            return web.Response(status=refusal.status, headers=refusal.headers)
        link = self._platform.new_link(grant.app, user_agent=request.headers.get("User-Agent", ""))
        link.topics = grant.topics
        link.state.subscriptions = sorted(grant.topics)
        return await self._platform.serve(link, request=request, on_message=self._take)

    async def _take(self, link: Link, message: WSMessage) -> None:
        try:
            frame_message_id, code, data = read_answer(message.data)
        except ClientFrameError:
            self._platform.state(link.app).bad_frames_in += 1
            return
        self._platform.acked(
            link,
            frame_message_id=frame_message_id,
            code=code,
            data=data,
            succeeded=code == ACK_OK and not asks_for_later(data),
        )


def read_answer(text: object) -> tuple[str, int, str | None]:
    """Return messageId, code and data of a client's frame; ClientFrameError if it is no answer."""
    if not isinstance(text, str):
        raise ClientFrameError("DingTalk's frames are text WebSocket messages")
    try:
        answer = msgspec.json.decode(text, type=_Answer)
    except msgspec.MsgspecError as error:
        raise ClientFrameError(f"an answer that cannot be read: {error}") from error
    return answer.headers.message_id, answer.code, answer.data


def asks_for_later(data: str | None) -> bool:
    """Tell whether an event's answer asks for redelivery: status LATER.

    Answers without a status count as success, because the Python SDK echoes the event's own data and is not
    known to get its events twice for it.
    """
    try:
        return msgspec.json.decode(data or "{}", type=_EventStatus).status == "LATER"
    except msgspec.MsgspecError:
        return False
