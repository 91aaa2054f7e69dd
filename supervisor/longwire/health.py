"""The health of one child at the edge: what is known of it, brought to `liveness.judge`, and what follows.

It is judged at each heartbeat, at the end of each silence, and whenever somebody wants to know.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from longwire.config import AccountSettings
from longwire.evidence import Condition, Findings, progress_s
from longwire.inquest import Inquest
from longwire.liveness import Judgement, Known, LinkFacts, Remedy, judge
from longwire.process import Process
from longwire.vigil import Stage
from longwire.watch import Watch
from longwire_protocol.frames import Heartbeat, Phase
from longwire_protocol.link import LinkState

_LEAST_WINDOW_SHARE = 0.25
"""Of the start timeout: a start that was held up gets at least so much more."""


class Patient(Protocol):
    """Whose health it is: hears what follows."""

    def late(self) -> None:
        """Its heartbeats are missing, not yet too long."""
        ...

    def on_time(self) -> None:
        """Its heartbeats are back."""
        ...

    def reconnect(self, reason: str) -> None:
        """It is to give its link up."""
        ...

    def restart(self, reason: str, message: str) -> None:
        """It must go."""
        ...


class _Link(msgspec.Struct):
    """What it last said of its link. Times on the machine's monotonic clock, but for running times."""

    state: LinkState = LinkState.DOWN
    socket_proof_at: float | None = None
    platform_proof_at: float | None = None
    platform_limit_s: float | None = None
    connecting_since: float | None = None
    """In running time."""
    doubts: int = 0
    told_at: float | None = None
    """In running time."""
    asked_at: float | None = None
    """In running time."""


class Health:
    """The health of one process; watched from now on, until `end`."""

    def __init__(
        self, process: Process, *, settings: AccountSettings, watch: Watch, patient: Patient
    ) -> None:
        self._process = process
        self._settings = settings
        self._watch = watch
        self._patient = patient
        self._clock = asyncio.get_running_loop().time
        self._link = _Link()
        self._inquest: Inquest | None = None
        self._is_importing = True
        self._is_late = False
        """Whether its silence was told of; it lasts over fresh windows."""
        self._beat_at = watch.running_s
        self._phase = Phase.IMPORTING, self._clock()
        watch.begin(self, limit_s=settings.start_timeout_s)

    @property
    def phase(self) -> tuple[Phase, float]:
        """What it is doing, and since when on the loop's clock, as far as its heartbeats tell."""
        return self._phase

    @property
    def proof_at(self) -> float | None:
        """When the peer last answered, on the loop's clock."""
        return self._link.socket_proof_at

    @property
    def is_starved(self) -> bool:
        """Whether it is silent as the machine gives it no CPU."""
        return self._condition is Condition.STARVED

    def judgement(self) -> Judgement:
        """Return how it is now: what it said is as old as it is, also where nobody here was there to hear."""
        return judge(self._known(self._silent_s(), self._facts(self._clock())))

    def findings(self) -> Findings:
        """Return the evidence of the present silence, or what a single look shows."""
        return (self._inquest or Inquest(self._process)).findings()

    def ready(self) -> None:
        """It said hello: its heartbeats count from now on."""
        self._is_importing, self._inquest = False, None
        self._beat_at = self._watch.running_s
        self._phase = Phase.IDLE, self._clock()
        self._watch.begin(self, limit_s=self._settings.heartbeat_timeout_s)

    def beat(self, beat: Heartbeat) -> None:
        """Take a heartbeat, and judge its link."""
        self._beat_at = now = self._watch.running_s
        self._phase = beat.phase, beat.at - beat.phase_age_s
        self._hear(beat, now)
        self._watch.beat(self, now)
        self._inquest = None  # of the silence that is over; the next one begins with a fresh look
        if self._is_late:
            self._is_late = False
            self._patient.on_time()
        # By what it said, as old as it was when it said so: that we read late is not its fault.
        self._act_on_link(judge(self._known(0.0, self._facts(beat.at))), now)

    def connect_asked(self) -> None:
        """It owes us an attempt: from now on something must come of that."""
        self._link.asked_at = self._watch.running_s

    def link_up(self) -> None:
        """It said that the platform has just answered."""
        self._link = _Link(LinkState.UP, socket_proof_at=self._clock())

    def link_lost(self) -> None:
        """It said that there is no link."""
        self._link = _Link()

    def end(self) -> None:
        """Watch it no longer."""
        self._watch.end(self)

    def on_silence(self, stage: Stage) -> None:
        """See `watch.Watched`."""
        match stage:
            case Stage.LATE:
                self._inquest = self._inquest or Inquest(self._process)
                if not self._is_importing:
                    self._is_late = True
                    self._patient.late()
            case Stage.SUSPECT:
                self._inquest = self._inquest or Inquest(self._process)
                self._inquest.suspect()
            case Stage.OVER:
                self._act_on_silence()

    # What is known.

    @property
    def _condition(self) -> Condition | None:
        return None if self._inquest is None else self._inquest.condition

    def _silent_s(self) -> float:
        silent_s = self._watch.running_s - self._beat_at
        if not self._is_importing or silent_s < self._settings.start_timeout_s:
            return silent_s
        return progress_s(silent_s, (self._inquest or Inquest(self._process)).look())

    def _known(self, silent_s: float, link: LinkFacts) -> Known:
        settings = self._settings
        return Known(
            phase=self._phase[0],
            silent_s=silent_s,
            limit_s=settings.start_timeout_s if self._is_importing else settings.heartbeat_timeout_s,
            link_timeout_s=settings.link_timeout_s,
            condition=self._condition,
            link=link,
        )

    def _facts(self, at: float) -> LinkFacts:
        """Return what is known of its link, with the ages that it has at this time of the loop's clock."""
        link, running_s = self._link, self._beat_at
        return LinkFacts(
            state=link.state,
            socket_age_s=_age_s(link.socket_proof_at, at),
            platform_age_s=_age_s(link.platform_proof_at, at),
            platform_limit_s=link.platform_limit_s,
            connecting_s=_age_s(link.connecting_since, running_s) or 0.0,
            doubts=link.doubts,
            told_s=_age_s(link.told_at, running_s),
            asked_s=_age_s(link.asked_at, running_s),
        )

    def _hear(self, beat: Heartbeat, now: float) -> None:
        link = self._link
        if beat.link is not LinkState.CONNECTING:
            link.connecting_since = None
        elif link.connecting_since is None:
            link.connecting_since = now
        if beat.link is not LinkState.DOWN:
            link.asked_at = None
        link.state = beat.link
        link.socket_proof_at = _at(beat.socket_proof_age_s, beat.at)
        link.platform_proof_at = _at(beat.platform_proof_age_s, beat.at)
        link.platform_limit_s = beat.platform_timeout_s

    # What follows.

    def _act_on_link(self, judgement: Judgement, now: float) -> None:
        link = self._link
        if judgement.doubt is None:
            link.doubts, link.told_at = 0, None
            return
        link.doubts += 1
        if judgement.remedy is Remedy.RECONNECT:
            link.told_at = now
            self._patient.reconnect(judgement.doubt)
        elif judgement.remedy is Remedy.RESTART:
            is_ignored = judgement.doubt == "connect_ignored"
            failed_to = "begin the attempt it was asked for" if is_ignored else "give its dead link up"
            self._patient.restart(str(judgement.reason), f"the child did not {failed_to}")

    def _act_on_silence(self) -> None:
        if self._inquest is not None:
            self._inquest.look()
        known = self._known(self._silent_s(), self._facts(self._clock()))
        judgement = judge(known)
        if judgement.remedy is Remedy.RESTART:
            self._patient.restart(str(judgement.reason), _message(known))
            return
        left_s = known.limit_s
        if self._is_importing:
            left_s = max(known.limit_s - known.silent_s, _LEAST_WINDOW_SHARE * known.limit_s)
            self._inquest = None  # its waits up to now are counted as no progress; the next window is another
        self._watch.begin(self, limit_s=left_s)


def _message(known: Known) -> str:
    what = "no hello" if known.phase is Phase.IMPORTING else "no heartbeat"
    how = f"; its process is {known.condition}" if known.condition is not None else ""
    return f"{what} within {known.limit_s:g} s{how}"


def _at(age_s: float | None, now: float) -> float | None:
    return None if age_s is None else now - age_s


def _age_s(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)
