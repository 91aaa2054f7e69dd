"""One attempt: discovery, connection, service, and a proper end. Import only after `sdk.load`.

While the connection is open, a reader, two watches (over socket proof and platform proof) and pings of both
kinds run side by side. The first of reader and watches to finish says why the link ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed

from longwire_connectors.base import Host, Link
from longwire_connectors.lark import errors
from longwire_connectors.lark.client import DiscoveryRefused, LarkClient
from longwire_connectors.lark.errors import Failures
from longwire_connectors.lark.identity import introduce
from longwire_connectors.lark.inflight import Inflight
from longwire_connectors.lark.liveness import PlatformProof, first_answer_s, window_s
from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.lark.sdk import CLOSE_TIMEOUT_S, OPEN_TIMEOUT_S, HandshakeRefused
from longwire_connectors.proof import SocketProof
from longwire_protocol.link import LinkFailure
from longwire_protocol.threads import in_thread

DISCOVERY_TIMEOUT_S = 13.0
"""Connecting and answering together; bounded each by `webcall`. Node's SDK has 15 s."""
ACK_GRACE_S = 0.3
"""How long events on their way may still be stored and acked when the link ends; a commit takes
milliseconds."""

_log = logging.getLogger(__name__)


async def serve(options: LarkOptions, *, host: Host, link: Link) -> LinkFailure:
    """Make one attempt and return why there is no link any more. Contract: `Connector.serve`."""
    attempt = _Attempt(options, host=host, link=link)
    try:
        failure = await attempt.run()
    finally:
        await attempt.end()
    if failure.reason == errors.UNKNOWN:
        _log.warning(errors.UNKNOWN, extra={"code": failure.error_code, "text": failure.message})
    return failure


class _Attempt:
    def __init__(self, options: LarkOptions, *, host: Host, link: Link) -> None:
        self._options = options
        self._host = host
        self._link = link
        self._timeout_s = host.account.link_timeout_s
        self._failures = Failures(secrets=(options.app_secret,))
        self._client = LarkClient(options, host=host, link=link)
        self._frames = Inflight(name="lark frame")

    async def run(self) -> LinkFailure:
        """Return why the attempt or its connection ended."""
        found = await self._discover()
        if isinstance(found, LinkFailure):
            return found
        failure = await self._connect(found)
        if failure is not None:
            return failure
        return await _Service(self._client, host=self._host, link=self._link, frames=self._frames).run(
            self._failures, self._options
        )

    async def end(self) -> None:
        """Let events be acked that are just being stored, then close properly; nothing is left."""
        client = self._client
        try:
            await self._frames.finish(grace_s=ACK_GRACE_S)
            await client.let_go(grace_s=ACK_GRACE_S)
        finally:
            try:
                if client.socket is not None:
                    await _close(client.socket)
            finally:
                await client.retire()

    async def _discover(self) -> str | LinkFailure:
        """Return the address to connect to. In a thread, because the SDK's call blocks for ever (L3)."""
        timeout_s = min(self._timeout_s, DISCOVERY_TIMEOUT_S)
        try:
            return await in_thread(self._client.discover, name="lark discovery", timeout_s=timeout_s)
        except Exception as error:  # noqa: BLE001  the SDK's edge: whatever it raises is a failed attempt
            return self._of_discovery(error, timeout_s=timeout_s)

    def _of_discovery(self, error: Exception, *, timeout_s: float) -> LinkFailure:
        if isinstance(error, DiscoveryRefused):
            return self._failures.discovery(error.answer, str(error))
        if isinstance(error, TimeoutError):
            return errors.discovery_timeout(timeout_s)
        if isinstance(error, OSError):  # whatever the network had
            return self._failures.unreachable(error, doing="asking Lark for a connection")
        return self._failures.unreadable(f"{type(error).__name__}: {error}")

    async def _connect(self, url: str) -> LinkFailure | None:
        timeout_s = min(self._timeout_s, OPEN_TIMEOUT_S)
        try:
            async with asyncio.timeout(timeout_s):
                await self._client.connect(url)
        except HandshakeRefused as refused:
            return self._failures.handshake(refused.status, refused.headers)
        except TimeoutError:
            return errors.connect_timeout(timeout_s)
        except (KeyError, ValueError, TypeError) as error:
            return self._failures.unreadable(f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  the library's edge: whatever it raises is a failed attempt
            return self._failures.unreachable(error, doing="opening the WebSocket")
        return None


class _Service:
    """An open connection."""

    def __init__(self, client: LarkClient, *, host: Host, link: Link, frames: Inflight) -> None:
        self._client = client
        self._host = host
        self._account = host.account
        self._link = link
        self._frames = frames
        self._proven = asyncio.Event()
        self._introduced = asyncio.Event()
        """Whether events need not wait for the bot's identity."""
        self._held = asyncio.Lock()
        first_s = first_answer_s(self._account, interval_s=client.interval_s)
        self._socket_proof = SocketProof(
            timeout_s=self._account.link_timeout_s, on_pong=link.pong, first_within_s=first_s
        )
        self._platform_proof = PlatformProof(limit_s=first_s)
        client.on_answer = self._answered
        client.on_pong = self._ponged
        if host.bot is None:
            client.before_event = self._introduction

    async def run(self, failures: Failures, options: LarkOptions) -> LinkFailure:
        """Return why the connection ended."""
        # A watch that cuts the connection ends the reader, too: its reason comes first.
        ends = {
            "lark socket watch": self._watch_socket(),
            "lark platform watch": self._watch_platform(),
            "lark reader": self._read(failures),
        }
        sides = {
            "lark socket ping": self._ping_socket(),
            "lark platform ping": self._client.ping_platform(),
            "lark identity": self._identify(options),
        }
        return await _first(ends, beside=sides)

    async def _read(self, failures: Failures) -> LinkFailure:
        socket = self._client.socket
        while True:
            with self._socket_proof.paused(), self._platform_proof.paused():
                await self._frames.room()
                await self._link.room()
            try:
                message = await socket.recv()
            except ConnectionClosed as closed:
                return self._lost(closed, failures)
            self._socket_proof.note()
            self._link.frame()
            self._frames.start(self._client.handle(message))

    def _lost(self, closed: ConnectionClosed, failures: Failures) -> LinkFailure:
        failure = _lost(closed, failures)
        if failure.reason == "frame_too_large":
            self._host.count("frame_too_large")
        return failure

    async def _watch_socket(self) -> LinkFailure:
        await self._socket_proof.silence()
        self._client.socket.transport.abort()
        return errors.link_timeout(self._socket_proof.limit_s)

    async def _watch_platform(self) -> LinkFailure:
        await self._platform_proof.silence()
        self._client.socket.transport.abort()
        return errors.platform_silent(self._platform_proof.limit_s)

    async def _ping_socket(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # the reader reports it
            await self._socket_proof.ping(self._client.socket)

    async def _identify(self, options: LarkOptions) -> None:
        await self._proven.wait()
        await introduce(options, host=self._host, done=self._introduced)

    async def _introduction(self) -> None:
        """Wait for the bot's identity, or until it is not worth it.

        One after the other: a frame that comes just as the event is set would overtake those that wait.
        """
        async with self._held:
            await self._introduced.wait()

    def _answered(self) -> None:
        """Note a data frame: the platform speaks, so the link is up; its age is counted by pongs alone."""
        if not self._proven.is_set():
            self._prove()

    def _ponged(self) -> None:
        self._prove()
        self._link.platform_answered(timeout_s=self._platform_proof.limit_s)

    def _prove(self) -> None:
        limit_s = window_s(self._account, interval_s=self._client.interval_s)
        self._platform_proof.note(limit_s=limit_s)
        if not self._proven.is_set():
            self._proven.set()
            self._link.proven(self._client.connection)


async def _first(
    ends: Mapping[str, Coroutine[Any, Any, LinkFailure]], *, beside: Mapping[str, Coroutine[Any, Any, None]]
) -> LinkFailure:
    """Return what the first of `ends` to finish returns, the earlier one if they finish together.

    Then all are over, and what ran beside them too.

    Raises:
        ExceptionGroup: one of them failed, which is a bug of ours.
    """
    async with asyncio.TaskGroup() as tasks:
        deciding = [tasks.create_task(work, name=name) for name, work in ends.items()]
        others = [tasks.create_task(work, name=name) for name, work in beside.items()]
        done, _ = await asyncio.wait(deciding, return_when=asyncio.FIRST_COMPLETED)
        for task in (*deciding, *others):
            task.cancel()
    return next(task.result() for task in deciding if task in done)


def _lost(closed: ConnectionClosed, failures: Failures) -> LinkFailure:
    received, sent = closed.rcvd, closed.sent
    return failures.lost(
        received=None if received is None else (received.code, received.reason),
        # An answer to the peer's close frame repeats its code and says nothing of ours.
        sent_code=sent.code if sent is not None and not closed.rcvd_then_sent else None,
    )


async def _close(socket: Any) -> None:
    """Close with a close frame of code 1000; cut the connection if that is not answered in time.

    Not by the SDK's `_disconnect`, which breaks its lock when cancelled (L7).
    """
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close()
    except (TimeoutError, OSError) as error:
        _log.info("close_unanswered", extra={"error": type(error).__name__})
    finally:
        socket.transport.abort()
