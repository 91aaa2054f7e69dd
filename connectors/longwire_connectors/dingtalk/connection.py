"""The WebSocket of one attempt: how it is opened, answered on, and left."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import quote_plus

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from longwire_connectors import webcall
from longwire_connectors.dingtalk import errors, wire
from longwire_connectors.dingtalk.errors import Grant
from longwire_protocol.link import LinkFailure

MAX_FRAME_BYTES = 8 * 1024 * 1024
"""Eight times what the SDK takes; longer ones end the connection with code 1009, counted."""
OPEN_S = 10.0
"""For TCP, TLS and WebSocket handshake together: the library's default, which the SDK uses."""
CLOSE_S = 1.0
"""For the close handshake, before the connection is cut."""

_log = logging.getLogger("longwire.dingtalk")
# Its lines at DEBUG have the request's path, which holds the ticket.
_websocket_log = logging.getLogger("longwire.dingtalk.websocket")
_websocket_log.setLevel(logging.WARNING)


async def open_socket(grant: Grant, *, timeout_s: float) -> ClientConnection | LinkFailure:
    """Return a connection whose WebSocket handshake is done, or why there is none.

    Args:
        grant: from DingTalk; its ticket is used up.
        timeout_s: seconds for all of it; 10 at most.
    """
    try:
        return await connect(
            f"{grant.endpoint}?ticket={quote_plus(grant.ticket)}",
            max_size=MAX_FRAME_BYTES,
            ping_interval=None,
            open_timeout=min(OPEN_S, timeout_s),
            close_timeout=CLOSE_S,
            logger=_websocket_log,
            **webcall.tls(grant.endpoint),
        )
    except InvalidStatus as exc:
        refusal = exc.response
        return errors.handshake_failed(
            status=refusal.status_code, retry_after=refusal.headers.get("Retry-After")
        )
    except TimeoutError:
        return errors.handshake_timed_out()
    # ImportError: a SOCKS proxy in the environment without the package for it.
    except (OSError, WebSocketException, EOFError, ValueError, ImportError) as exc:
        return errors.handshake_failed(status=None, error=type(exc).__name__)


async def answer(
    socket: ClientConnection, envelope: wire.Envelope, *, code: int, message: str, data: str | None = None
) -> None:
    """Answer a frame on the connection it came on; nothing if it has no id. Raises ConnectionClosed."""
    if envelope.message_id is not None:
        text = wire.answer(envelope.message_id, code=code, message=message, data=data or "{}")
        await socket.send(text)


async def leave(socket: ClientConnection) -> None:
    """Close properly within a second, else cut; nothing of the connection is left then."""
    try:
        async with asyncio.timeout(2 * CLOSE_S):  # sending the close frame may itself hang
            await socket.close()
    except TimeoutError:
        _log.info("close_handshake_hung")
    finally:
        socket.transport.abort()
        await socket.wait_closed()
