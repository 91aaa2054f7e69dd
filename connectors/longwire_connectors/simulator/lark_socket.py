"""Lark's WebSocket: handshake, pings, and acks."""

import base64
import binascii
from functools import partial

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from longwire_connectors.simulator.errors import ClientFrameError
from longwire_connectors.simulator.fault_kinds import (
    ConfigValues,
    LarkHandshakeRefusal,
    LarkNoPong,
    LarkPongConfig,
)
from longwire_connectors.simulator.lark_config import pong_config
from longwire_connectors.simulator.lark_discovery import TOO_MANY_CONNECTIONS, LarkDiscovery
from longwire_connectors.simulator.lark_frames import CONTROL, DATA, LarkFrame, decode, encode
from longwire_connectors.simulator.link import Link
from longwire_connectors.simulator.platform import Platform

__all__ = ["LarkSocket", "read_ack"]

ACK_OK = 200
NO_CODE = -1
"""Counted for an ack whose payload has no code."""

INVALID_TICKET = LarkHandshakeRefusal(platform="lark", handshake_msg="invalid ticket")
"""For a wrong or used ticket. Not established; 514 with this autherrcode makes clients ask for a new one."""
TOO_MANY = LarkHandshakeRefusal(
    platform="lark",
    handshake_msg="the number of connections exceeded the limit",
    autherrcode=TOO_MANY_CONNECTIONS,
)


class _Ack(msgspec.Struct):
    code: int = NO_CODE
    data: str | None = None


class LarkSocket:
    """Serves ``GET /ws/v2``."""

    def __init__(self, platform: Platform, *, discovery: LarkDiscovery) -> None:
        self._platform = platform
        self._discovery = discovery

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Complete or refuse the handshake, and serve the connection to its end."""
        ticket, access_key = request.query.get("ticket", ""), request.query.get("access_key", "")
        grant = self._discovery.redeem(ticket, access_key)
        if grant is None:
            return self._refuse("", INVALID_TICKET)
        app = grant.app
        refusal = self._refusal(app)
        if refusal is not None:
            return self._refuse(app, refusal)
        link = self._platform.new_link(app, user_agent=request.headers.get("User-Agent", ""))
        interval = grant.config.get("PingInterval")
        self._platform.note("paced", app, connection=link.state.id, value=interval)
        return await self._platform.serve(
            link, request=request, on_message=partial(self._take, config=grant.config)
        )

    def _refusal(self, app: str) -> LarkHandshakeRefusal | None:
        """Return why this app may not connect now, None if it may."""
        if fault := self._platform.fault(LarkHandshakeRefusal, app):
            return fault
        return None if self._discovery.has_room(app) else TOO_MANY

    def _refuse(self, app: str, refusal: LarkHandshakeRefusal) -> web.Response:
        self._platform.state(app).handshakes_refused += 1
        values = {
            "Handshake-Status": refusal.handshake_status,
            "Handshake-Msg": refusal.handshake_msg,
            "Handshake-Autherrcode": refusal.autherrcode,
        }
        headers = {key: str(value) for key, value in values.items() if value is not None}
        return web.Response(
            status=refusal.status, reason="Handshake refused", headers={**refusal.headers, **headers}
        )

    async def _take(self, link: Link, message: WSMessage, *, config: ConfigValues) -> None:
        try:
            await self._take_frame(link, decode(_binary(message)), config=config)
        except ClientFrameError:
            self._platform.state(link.app).bad_frames_in += 1

    async def _take_frame(self, link: Link, frame: LarkFrame, *, config: ConfigValues) -> None:
        kind = frame.headers.get("type")
        if frame.method == CONTROL and kind == "ping":
            await self._take_ping(link, frame, config=config)
        elif frame.method == DATA:
            self._take_ack(link, frame)
        else:
            raise ClientFrameError(f"method {frame.method} of type {kind} is nothing a client sends")

    async def _take_ping(self, link: Link, frame: LarkFrame, *, config: ConfigValues) -> None:
        state = self._platform.state(link.app)
        state.pings += 1
        link.state.pings += 1
        if self._platform.fault(LarkNoPong, link.app):
            return
        state.pongs += 1
        state.frames_out += 1
        link.state.pongs += 1
        pushed = pong_config(self._platform.fault(LarkPongConfig, link.app), current=config)
        await link.send(encode(_pong(frame.service, pushed)))
        interval = None if pushed is None else pushed.get("PingInterval")
        self._platform.note("pong", link.app, connection=link.state.id, value=interval)

    def _take_ack(self, link: Link, frame: LarkFrame) -> None:
        code, data = read_ack(frame.payload or b"")
        self._platform.acked(
            link,
            frame_message_id=frame.headers.get("message_id", ""),
            code=code,
            data=data,
            succeeded=code == ACK_OK,
        )


def read_ack(payload: bytes) -> tuple[int, str | None]:
    """Return an ack's code and its answer as JSON text; ClientFrameError if it is no ack.

    The JSON is parsed, not compared, since SDKs differ in spaces; ``data`` is base64 of the handler's answer.
    """
    try:
        ack = msgspec.json.decode(payload, type=_Ack)
        data = None if ack.data is None else base64.b64decode(ack.data, validate=True).decode()
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError) as error:
        raise ClientFrameError(f"an ack that cannot be read: {error}") from error
    return ack.code, data


def _pong(service: int, pushed: ConfigValues | None) -> LarkFrame:
    payload = None if pushed is None else msgspec.json.encode(pushed)
    return LarkFrame(method=CONTROL, service=service, headers={"type": "pong"}, payload=payload)


def _binary(message: WSMessage) -> bytes:
    if message.type is not WSMsgType.BINARY or not isinstance(message.data, bytes):
        raise ClientFrameError("Lark's frames are binary WebSocket messages")
    return message.data
