"""The life of a child: hello, attempts when the parent asks for them, heartbeats, commands, stop.

Everything runs on one loop, the one the SDK uses, so a heartbeat proves that the SDK's loop turns. The parent
decides when to connect, and what a silence means; the child reports. A link task that does not end when it is
cancelled ends the process instead: nothing may be left of a link that was given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Coroutine
from random import Random
from time import time
from typing import Any

import msgspec

from longwire_connectors.attempt import Attempt
from longwire_connectors.base import Account, Connector, Stamp
from longwire_connectors.clicks import Clicks
from longwire_connectors.commands import Commands
from longwire_connectors.discretion import discreet, secrets_of
from longwire_connectors.handover import HandOverWindow
from longwire_connectors.line import Line
from longwire_connectors.senders import Senders
from longwire_protocol.channel import Sent
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.errors import FrameError
from longwire_protocol.event import Bot
from longwire_protocol.frames import (
    Bootstrap,
    Command,
    Connect,
    Disconnect,
    FromChild,
    Heartbeat,
    Hello,
    Identity,
    LinkLost,
    Phase,
    Stop,
    Stopped,
    Stored,
    ToChild,
)
from longwire_protocol.link import Fault, LinkFailure, LinkState
from longwire_protocol.redaction import Redactor
from longwire_protocol.version import CHILD_PROTOCOL

_log = logging.getLogger("longwire.child")

_decode = Decoder[ToChild](ToChild)

_CLOSE_S = 3.0
"""How long a cancelled link may take to close its socket: a close handshake of one second and some CPU."""

_TERMINATED_GRACE_S = 0.5
"""The grace of a stop by SIGTERM: the second rung of the stop ladder, or somebody else's."""

_RELEASE_S = 0.5
"""How long a connector may take to release what outlives a connection."""

_MOMENTS = 10
"""So many moments of an interval are there for heartbeats: the parent wakes up for those of many children."""

_SHOW_S = 0.1
"""How long the acks of clicks may take to get out at a stop; a write to a socket that is read takes none."""

_STUCK_EXIT_CODE = os.EX_SOFTWARE
"""Exit code of a child whose link could not be ended."""

_HAND_OVER_SHARE = 0.25
"""Share of the stop's grace in which what is under way is done, stored and acknowledged, before the close."""


class Child:
    """One child's run time. Make it and run it on the same loop; it is a connector's `Host`."""

    def __init__(self, bootstrap: Bootstrap, connector_class: type[Connector]) -> None:
        self._bootstrap = bootstrap
        self._class = connector_class
        self.account = Account(
            account=bootstrap.account,
            tenant=bootstrap.tenant,
            platform=connector_class.declaration.platform,
            link_timeout_s=bootstrap.link_timeout_s,
            is_link_timeout_explicit=bootstrap.is_link_timeout_explicit,
        )
        self.bot: Bot | None = bootstrap.bot
        self._senders = Senders(bootstrap.allow_senders)
        self.clicks = Clicks(self._senders)
        self._redact = Redactor(secrets_of(bootstrap.options, connector_class.declaration.secrets))
        self._counters: Counter[str] = Counter()
        self._random = Random()  # noqa: S311  # ids are unique, not secret; the system's source costs 2 us each
        self._connector: Connector | None = None
        self._unusable: LinkFailure | None = None
        self._outbox: deque[bytes] = deque()
        self._attempt: Attempt | None = None
        self._link: asyncio.Task[LinkFailure] | None = None
        self._disconnect_reason: LinkFailure | None = None
        self._grace_s: float | None = None
        self._is_stopping = asyncio.Event()
        self._beat: asyncio.TimerHandle | None = None
        self._seen_phase = (Phase.IMPORTING, 0.0)
        """The phase of the last heartbeat, and since when, on the loop's clock."""

    # What a connector sees.

    def identify(self, bot: Bot) -> None:
        """See `Host.identify`."""
        if bot != self.bot:
            self.bot = bot
            self._tell(Identity(bot))

    def stamp(self) -> Stamp:
        """See `Host.stamp`."""
        bootstrap = self._bootstrap
        return Stamp(
            id=self._random.randbytes(16).hex(),
            recv_time=time(),
            tenant=bootstrap.tenant,
            account=bootstrap.account,
            platform=self.account.platform,
            bot=self.bot,
        )

    def count(self, what: str) -> None:
        """See `Host.count`."""
        self._counters[what] += 1

    def _too_large(self, kind: str, size_bytes: int) -> None:
        self.count("event_too_large")
        _log.warning("event_too_large", extra={"kind": kind, "size_bytes": size_bytes})

    # The life.

    async def run(self) -> None:
        """Live until the parent says stop or SIGTERM comes; the link is closed when this returns."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_loose_end)
        self._line = Line(self._bootstrap.endpoint, self._on_message, on_writable=self._flush)
        self._window = HandOverWindow(self._send_events, too_large=self._too_large)
        try:
            sdk = self._load()
            # What the SDK brought stays for good: with all of lark-oapi, each full round of the collector
            # over it would hold up the loop for 100 ms and more.
            gc.freeze()
            # Only now: before, there is nothing to close, and the default action ends a slow import at once.
            loop.add_signal_handler(signal.SIGTERM, self._stop_soon, _TERMINATED_GRACE_S)
            self._tell(Hello(CHILD_PROTOCOL, self._bootstrap.token, os.getpid(), sdk))
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._commands = Commands(tasks, self._usable_connector, self._tell)
                self._heartbeat()
                await self._is_stopping.wait()
                await self._wind_down()
        finally:
            await self._leave()

    def _load(self) -> str:
        """Import the SDK and make the connector; a failure parks the account at its first attempt."""
        declaration = self._class.declaration
        try:
            options = msgspec.convert(self._bootstrap.options, declaration.options)
            self._connector = self._class(options, self)
            return self._connector.load()
        except ImportError as exc:
            command = f"{sys.executable} -m pip install 'longwire[{declaration.extra}]'"
            self._unusable = _permanent(
                "sdk_missing",
                f"the platform's SDK cannot be imported: {exc}",
                command if declaration.extra else f"install its SDK for {sys.executable}",
                f"请运行：{command}" if declaration.extra else f"请为 {sys.executable} 安装该平台的 SDK",
            )
        except msgspec.ValidationError as exc:
            self._unusable = _permanent(
                "bad_options", str(exc), "correct the account's options", "请改正该账号的选项"
            )
        return ""

    def _usable_connector(self) -> Connector | None:
        return None if self._unusable else self._connector

    async def _wind_down(self) -> None:
        grace_s = self._grace_s or 0.0
        try:
            async with asyncio.timeout(grace_s * _HAND_OVER_SHARE):
                await self.clicks.settled()
                await self._commands.finish()  # after them, as one may have been waiting for its click
                await self._window.empty()
        except TimeoutError:
            if self._window.unstored:
                _log.info("stopped_with_unstored_events", extra={"unstored": self._window.unstored})
        await self._show_defaults()
        self._commands.cancel()
        if self._link is not None:
            await self._close_link(self._link)
        self._tell(Stopped())

    async def _show_defaults(self) -> None:
        """Acknowledge the clicks that are still held: the connection is about to end."""
        self.clicks.release()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHOW_S):
                await self.clicks.settled()

    async def _leave(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if self._connector is not None:
            try:
                async with asyncio.timeout(_RELEASE_S):
                    await self._connector.close()
            except Exception:  # noqa: BLE001  # the process ends anyway
                _log.exception("connector_not_closed")
        self._flush()
        self._window.close()
        self._line.close()

    # Frames.

    def _on_message(self, parts: list[bytes]) -> None:
        try:
            frame = _decode(parts[-1])
        except FrameError as exc:
            _log.error("unreadable_frame_from_parent", extra={"error": str(exc)})
            return
        match frame:
            case Stored():
                self._window.stored(frame.up_to)
            case Command():
                self._commands.begin(frame)
            case Connect():
                self._connect()
            case Disconnect():
                self._give_up(frame.reason)
            case Stop():
                self._stop_soon(frame.grace_s)

    def _tell(self, frame: FromChild) -> None:
        """Send a control frame; it waits here if the parent's queue is full, and is never lost."""
        self._outbox.append(encode(frame))
        self._flush()

    def _send_events(self, frame: FromChild) -> Sent:
        return Sent.FULL if self._outbox else self._line.send([encode(frame)])

    def _flush(self) -> None:
        while self._outbox:
            if self._line.send([self._outbox[0]]) is not Sent.OK:
                return
            self._outbox.popleft()
        self._window.flush()

    def _heartbeat(self) -> None:
        loop = asyncio.get_running_loop()
        now, phase = loop.time(), self._phase()
        if phase is not self._seen_phase[0]:
            self._seen_phase = phase, now
        beat = Heartbeat(
            at=now,
            phase=phase,
            phase_age_s=now - self._seen_phase[1],
            link=LinkState.DOWN,
            unstored=self._window.unstored,
            counters=dict(self._counters),
        )
        if self._attempt is not None:
            beat = self._attempt.facts(beat)
        if not self._outbox:  # else the parent does not read, and this one would be old news
            self._line.send([encode(beat)])
        interval_s = self._bootstrap.heartbeat_interval_s
        due = now + interval_s  # of a clock that all children share
        self._beat = loop.call_at(due - due % (interval_s / _MOMENTS), self._heartbeat)

    def _phase(self) -> Phase:
        if self._window.unstored or self._commands.is_busy:
            return Phase.WORKING
        is_connecting = self._attempt is not None and self._attempt.state is LinkState.CONNECTING
        return Phase.CONNECTING if is_connecting else Phase.IDLE

    # The link.

    def _connect(self) -> None:
        if self._link is None and not self._is_stopping.is_set():
            self._link = self._tasks.create_task(self._serve(), name="link")
            self._link.add_done_callback(self._link_ended)

    async def _serve(self) -> LinkFailure:
        """Make one attempt and return why it ended. Cancelled by `_close_link` alone."""
        if self._unusable is not None or self._connector is None:
            return self._unusable or _broken("there is no connector")
        attempt = self._attempt = Attempt(self._tell, self._window, senders=self._senders, count=self.count)
        try:
            return await self._connector.serve(attempt)
        except Exception:  # noqa: BLE001  # the edge of a task; the log has the traceback
            _log.exception("connector_failed")
            return _broken("the connector failed; its log has the traceback")
        finally:
            attempt.end()
            self._attempt = None

    def _link_ended(self, link: asyncio.Task[LinkFailure]) -> None:
        """Report the end of a link, however it came to it.

        A callback, as a task that is cancelled before its first step runs nothing of its own: nobody would be
        told, and every later `Connect` would find a link that is there already.
        """
        why, self._link, self._disconnect_reason = self._disconnect_reason, None, None
        if not link.cancelled():
            why = link.result()
        elif why is None and not self._is_stopping.is_set():
            why = _broken("the link was cancelled, and not by us")
        if why is not None:
            self._tell(LinkLost(discreet(why, self._redact)))

    def _give_up(self, reason: str) -> None:
        """Close the link that is there now; where none is, its end was reported."""
        if self._link is not None:
            self._disconnect_reason = _transient(reason, "the parent gave the link up")
            self._spawn(self._close_link(self._link), "disconnect")

    async def _close_link(self, link: asyncio.Task[LinkFailure]) -> None:
        """Close this link and wait until it is closed."""
        if not link.cancelling():  # a second one would interrupt the close
            link.cancel()
        _, stuck = await asyncio.wait([link], timeout=_CLOSE_S)
        if stuck:
            _log.critical("link_did_not_end", extra={"is_stopping": self._is_stopping.is_set()})
            os._exit(_STUCK_EXIT_CODE)

    def _stop_soon(self, grace_s: float) -> None:
        self._grace_s = grace_s if self._grace_s is None else min(grace_s, self._grace_s)
        self._is_stopping.set()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._is_stopping.is_set():
            work.close()
            return
        self._tasks.create_task(work, name=name)


def _permanent(reason: str, message: str, user_action: str, user_action_zh: str) -> LinkFailure:
    return LinkFailure(
        fault=Fault.PERMANENT,
        reason=reason,
        message=message,
        user_action=user_action,
        user_action_zh=user_action_zh,
    )


def _broken(message: str) -> LinkFailure:
    return LinkFailure(fault=Fault.OURS, reason="connector_error", message=message)


def _transient(reason: str, message: str) -> LinkFailure:
    return LinkFailure(fault=Fault.TRANSIENT, reason=reason, message=message)


def _log_loose_end(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would print of a task nobody awaited; SDKs leave such tasks behind when they give up."""
    _log.warning(
        "loose_end_of_the_loop",
        extra={"what": context.get("message"), "error": repr(context.get("exception"))},
    )
