"""One incarnation of an account's child: its process, its frames, its heartbeats, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol

import msgspec

from longwire.childlog import ChildLog
from longwire.children import ChildrenHub, Peer
from longwire.config import AccountConfig
from longwire.evidence import Findings
from longwire.health import Health
from longwire.incident import Incident, Kind
from longwire.incidents import Incidents
from longwire.inquiries import Inquiries
from longwire.interpreter import protocol_mismatch
from longwire.logger import get_logger
from longwire.nursery import Nursery, kind_of
from longwire.watch import Watch
from longwire_protocol.codec import encode
from longwire_protocol.event import Bot
from longwire_protocol.frames import (
    Bootstrap,
    CommandResult,
    Connect,
    Disconnect,
    FromChild,
    Heartbeat,
    Hello,
    Identity,
    LinkLost,
    LinkUp,
    ProcessLimits,
    Stop,
)
from longwire_protocol.link import Fault, LinkFailure
from longwire_protocol.redaction import Redactor
from longwire_protocol.version import CHILD_PROTOCOL

_log = get_logger("longwire.child")

_TERM_SHARE, _KILL_SHARE = 0.5, 0.75
"""Of the stop timeout: when SIGTERM and SIGKILL follow the stop frame, so that all is over within it."""

_LENGTH_BYTES = 4
_MAX_BOOTSTRAP_BYTES = 60_000
"""Fits an empty pipe, so that writing it never waits for the child."""


class ChildOwner(Protocol):
    """What a child reports to."""

    def child_ready(self, child: Child) -> None:
        """It said hello."""
        ...

    def child_linked(self, child: Child, connection: str) -> None:
        """Its link is proven."""
        ...

    def child_unlinked(self, child: Child, failure: LinkFailure) -> None:
        """Its attempt failed or its link ended."""
        ...

    def child_identified(self, child: Child, bot: Bot) -> None:
        """It knows who the bot is."""
        ...

    def child_late(self, child: Child) -> None:
        """Its heartbeats are missing, not yet too long."""
        ...

    def child_on_time(self, child: Child) -> None:
        """Its heartbeats are back."""
        ...

    def child_hung(self, child: Child, why: LinkFailure) -> None:
        """It cannot be trusted any more and must be killed."""
        ...

    def child_exited(self, child: Child, why: LinkFailure) -> None:
        """Its process is gone; the last thing it reports."""
        ...


class Yard(msgspec.Struct, frozen=True):
    """What every child needs of the supervisor."""

    hub: ChildrenHub
    watch: Watch
    nursery: Nursery
    incidents: Incidents


class Vitals(msgspec.Struct):
    """What a child last said of itself; times on the machine's monotonic clock, which no hand sets."""

    beat: Heartbeat | None = None
    sdk: str | None = None
    connection: str | None = None
    frame_at: float | None = None
    event_at: float | None = None


class Child:
    """One incarnation of an account's child; `start` it first, and use nothing else if that fails."""

    def __init__(
        self, config: AccountConfig, incarnation: int, *, yard: Yard, owner: ChildOwner, bot: Bot | None
    ) -> None:
        self.incarnation = incarnation
        self.vitals = Vitals()
        self._config = config
        self._yard = yard
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._peer = Peer(config.account, config.tenant, incarnation, self)
        self._redact = Redactor(config.secret_values())
        self._is_leaving = False
        """Whether its end is wanted, by whomever: it is no incident any more."""
        self._ladder: list[asyncio.TimerHandle] = []
        self.inquiries = Inquiries(partial(yard.hub.send, self._peer), yard.hub.drain)
        self._bot = bot

    async def start(self, *, is_successor: bool = False) -> None:
        """Start its process. Cancelled, it leaves none behind.

        Args:
            is_successor: whether it is made beside the account's present process.

        Raises:
            OSError: the system cannot start a process now.
        """
        config, yard = self._config, self._yard
        payload = _payload(self._bootstrap(self._bot))
        yard.hub.expect(self._peer)
        try:
            with _letterbox() as (theirs, ours):
                self._process = await yard.nursery.make(
                    config.account,
                    kind_of(config),
                    bootstrap_fd=theirs,
                    is_forked=config.settings.isolation == "fork",
                    is_successor=is_successor,
                    on_exit=self._exited,
                )
                self._introduce(ours, payload)
        except BaseException:
            yard.hub.retire(self._peer)
            raise
        self._logs = ChildLog(
            self._process.log_fd,
            redact=self._redact,
            context={"account": config.account, "incarnation": self.incarnation},
        )
        self.health = Health(self._process, settings=config.settings, watch=yard.watch, patient=self)

    def _introduce(self, fd: int, payload: bytes) -> None:
        """Write the bootstrap, now that the process is tied to us and we can hear it; else let it end."""
        try:
            written = os.write(fd, payload)
        except OSError as exc:
            text = str(exc)
        else:
            if written == len(payload):
                return
            text = f"{written} of {len(payload)} bytes fit into a pipe: the user has too many of them"
        _log.error("bootstrap_not_written", account=self._config.account, text=text)
        self._process.let_go()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def template_pid(self) -> int | None:
        """The template that forked it; `None` for a fresh process."""
        return self._process.template_pid

    @property
    def isolation(self) -> Literal["fork", "spawn"]:
        """How it was really made."""
        return "spawn" if self.template_pid is None else "fork"

    def connect(self) -> None:
        """Let it make an attempt; one that does not, also as it does not read, is replaced."""
        self.health.connect_asked()
        if not self._yard.hub.send(self._peer, Connect()):
            _log.warning("connect_not_sent", account=self._config.account, incarnation=self.incarnation)

    def stop(self) -> None:
        """Begin the stop ladder; the process is gone within the stop timeout."""
        timeout_s = self._config.settings.stop_timeout_s
        self._is_leaving = True
        self.health.end()
        self._process.signal(signal.SIGCONT)  # a stopped process hears nothing else
        if not self._yard.hub.send(self._peer, Stop(grace_s=timeout_s * _TERM_SHARE)):
            self._terminate()
        self._ladder = [
            self._loop.call_later(timeout_s * _TERM_SHARE, self._terminate),
            self._loop.call_later(timeout_s * _KILL_SHARE, self.kill),
        ]

    def kill(self) -> None:
        """End the process group at once."""
        self._is_leaving = True
        self.health.end()
        self._process.signal(signal.SIGKILL)

    def on_frame(self, peer: Peer, frame: FromChild) -> None:
        """See `children.Owner`."""
        del peer
        match frame:
            case Heartbeat():
                self._beat(frame)
            case Hello():
                self._hello(frame)
            case LinkUp():
                self.vitals.connection = frame.connection
                self.health.link_up()
                self._owner.child_linked(self, frame.connection)
            case LinkLost():
                self.vitals.connection = None
                self.health.link_lost()
                self._owner.child_unlinked(self, frame.failure)
            case Identity():
                self._owner.child_identified(self, frame.bot)
            case CommandResult():
                self.inquiries.answered(frame)
            case _:  # `stopped` is a courtesy, the exit is what counts; events go another way
                pass

    def on_garbage(self, peer: Peer, what: str) -> None:
        """See `children.Owner`."""
        del peer
        self._hang(_failure("unusable_frame", f"the child sent {what}"))

    def _hello(self, hello: Hello) -> None:
        if hello.protocol != CHILD_PROTOCOL:
            text = protocol_mismatch(hello.protocol, self._config.settings.python)
            self._hang(_failure("version_mismatch", text))
            return
        self.vitals.sdk = hello.sdk
        self.health.ready()
        self._owner.child_ready(self)

    def _beat(self, beat: Heartbeat) -> None:
        vitals = self.vitals
        vitals.beat = beat
        if beat.last_frame_age_s is not None:
            vitals.frame_at = beat.at - beat.last_frame_age_s
        if beat.last_event_age_s is not None:
            vitals.event_at = beat.at - beat.last_event_age_s
        self.health.beat(beat)

    # What its health leads to: see `health.Patient`.

    def late(self) -> None:
        """See `health.Patient`."""
        self._owner.child_late(self)

    def on_time(self) -> None:
        """See `health.Patient`."""
        self._owner.child_on_time(self)

    def reconnect(self, reason: str) -> None:
        """See `health.Patient`."""
        _log.warning("link_in_doubt", account=self._config.account, reason=reason)
        self._yard.hub.send(self._peer, Disconnect(reason))

    def restart(self, reason: str, message: str) -> None:
        """See `health.Patient`."""
        self._hang(_failure(reason, message))

    def _hang(self, why: LinkFailure) -> None:
        """Have it killed; what is known of it is kept first, as it is gone afterwards."""
        if self._is_leaving:
            return
        self._is_leaving = True
        try:
            self._keep_evidence(why)
        finally:  # an error in there must not save it
            self._owner.child_hung(self, why)

    def _keep_evidence(self, why: LinkFailure) -> None:
        findings = self.health.findings()
        if findings.stacks is not None:
            _log.warning(
                "child_stacks",
                account=self._config.account,
                incarnation=self.incarnation,
                text=findings.stacks,
            )
        self._record(Kind.KILLED, why, findings=findings)

    def _record(
        self, kind: Kind, why: LinkFailure, *, findings: Findings, exit_code: int | None = None
    ) -> None:
        """Keep what is known of its end."""
        account, health = self._config.account, self.health
        phase, since = health.phase
        self._yard.incidents.record(
            Incident(
                id=f"{account}.{self.incarnation}",
                account=account,
                tenant=self._config.tenant,
                incarnation=self.incarnation,
                pid=self.pid,
                at=time.time(),
                kind=kind,
                reason=why.reason,
                message=self._redact(why.message),
                exit_code=exit_code,
                phase=phase,
                phase_since=time.time() + since - self._loop.time(),
                liveness=health.judgement().liveness,
                findings=findings,
                log=[*self._logs.last],
            )
        )

    def _terminate(self) -> None:
        self._process.signal(signal.SIGTERM)
        self._process.signal(signal.SIGCONT)

    def _exited(self, code: int | None) -> None:
        for timer in self._ladder:
            timer.cancel()
        self.health.end()
        self._yard.hub.drain()
        self._yard.hub.retire(self._peer)
        self._logs.close()
        why = _exit_failure(code)
        if not self._is_leaving and code != 0:  # somebody else's SIGTERM, as at a reboot, is none
            self._record(Kind.EXITED, why, findings=Findings(), exit_code=code)
        self.inquiries.lost()
        self._owner.child_exited(self, why)

    def _bootstrap(self, bot: Bot | None) -> Bootstrap:
        config, settings = self._config, self._config.settings
        return Bootstrap(
            account=config.account,
            tenant=config.tenant,
            connector=config.connector,
            incarnation=self.incarnation,
            endpoint=self._yard.hub.endpoint,
            token=self._peer.token,
            options=config.plain_options(),
            heartbeat_interval_s=settings.heartbeat_interval_s,
            link_timeout_s=settings.link_timeout_s,
            is_link_timeout_explicit=settings.is_link_timeout_explicit,
            bot=bot,
            allow_senders=settings.allow_senders,
            limits=ProcessLimits(nice=settings.nice, open_files=settings.max_open_files),
        )


def _failure(reason: str, message: str) -> LinkFailure:
    return LinkFailure(fault=Fault.OURS, reason=reason, message=message)


@contextmanager
def _letterbox() -> Generator[tuple[int, int]]:
    """Give the ends of a pipe for the bootstrap; writing it does not block. Raises OSError."""
    ends = os.pipe()
    try:
        os.set_blocking(ends[1], False)
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _payload(bootstrap: Bootstrap) -> bytes:
    """Return what the child reads: the length, then the bootstrap."""
    try:
        body = encode(bootstrap)
    except (OverflowError, TypeError, ValueError) as exc:
        raise OSError(f"the account's options cannot be sent to its process: {exc}") from exc
    if len(body) > _MAX_BOOTSTRAP_BYTES:
        raise OSError(f"the account's options are {len(body)} bytes; {_MAX_BOOTSTRAP_BYTES} are possible")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def _exit_failure(code: int | None) -> LinkFailure:
    if code is None:
        text = "the process ended; how, only its template knew, which is gone"
    elif code >= 0:
        text = f"the process ended with exit code {code}"
    else:
        text = f"the process was ended by {signal.Signals(-code).name}"
    return LinkFailure(
        fault=Fault.OURS,
        reason="child_exited",
        message=text,
        error_code=None if code is None else str(code),
    )
