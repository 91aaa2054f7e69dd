"""One connection to a target: as much of HTTP/1.1 as webhooks need and no more, because it must be fast."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from harness.targets.behaviour import (
    Answer,
    Arrival,
    Behaviour,
    Drip,
    Endless,
    Flaky,
    InTurn,
    Reset,
    Silent,
    Tally,
    Unaccepting,
)

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_MAX_HEAD_BYTES = 65_536
_CHUNK = b"10000\r\n" + bytes(65_536) + b"\r\n"
_SUCCESS = 2  # hundred and something
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: a close is a reset."""


class Target:
    """One listening target: how it behaves, what came."""

    def __init__(self, behaviour: Behaviour, *, is_recording: bool) -> None:
        self.tally = Tally()
        self.arrivals: list[Arrival] = []
        self.is_recording = is_recording
        self.connections: set[Connection] = set()
        self.held: list[Callable[[], None]] = []
        """Answers that wait to be released."""
        self.behave(behaviour)

    def behave(self, behaviour: Behaviour) -> None:
        """Do this from the next request on."""
        self._behaviour = behaviour
        self._rendered = render(behaviour) if isinstance(behaviour, Answer) else b""
        self._random = random.Random(behaviour.seed if isinstance(behaviour, Flaky) else 0)  # noqa: S311
        self._step = 0

    def release(self) -> None:
        """Give the answers that were held."""
        held, self.held = self.held, []
        for answer in held:
            answer()

    def next(self) -> tuple[Behaviour, bytes]:
        """Return what to do with the next request, and the bytes where that is an answer."""
        match self._behaviour:
            case InTurn(steps):
                step = steps[min(self._step, len(steps) - 1)]
                self._step += 1
                return step, render(step) if isinstance(step, Answer) else b""
            case Flaky(failures=failures, max_delay_s=max_delay_s):
                status = 503 if self._random.random() < failures else 200
                answer = Answer(status, delay_s=self._random.uniform(0, max_delay_s))
                return answer, render(answer)
            case other:
                return other, self._rendered


def render(answer: Answer) -> bytes:
    """Return an answer as it goes over the wire."""
    body = answer.body.encode()
    headers = {"content-length": str(len(body)), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + _HEAD_END + body


class Connection(asyncio.Protocol):
    """Reads requests one after the other and does with each what its target does now."""

    def __init__(self, target: Target) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._resume: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._target.connections.add(self)
        self._target.tally.connections += 1
        self._target.tally.open += 1
        self._number = self._target.tally.connections

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._target.connections.discard(self)
        self._target.tally.open -= 1
        self._resume = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take():
            pass

    def resume_writing(self) -> None:
        if self._resume is not None:
            self._resume()

    def pause_writing(self) -> None:
        pass  # whoever writes without end asks the transport

    def reset(self) -> None:
        """Leave at once, with an RST."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._transport.abort()

    def _take(self) -> bool:
        """Take one whole request from what was read; return whether there was one."""
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                self._malformed()
            return False
        found = _LENGTH.search(self._buffer, 0, end + 2)
        if found is None:
            self._malformed()
            return False
        begin = end + len(_HEAD_END)
        if len(self._buffer) < (whole := begin + int(found[1])):
            return False
        head, body, self._buffer = self._buffer[:end], self._buffer[begin:whole], self._buffer[whole:]
        self._arrived(head, body)
        return True

    def _malformed(self) -> None:
        self._target.tally.malformed += 1
        self._buffer = b""
        self.reset()

    def _arrived(self, head: bytes, body: bytes) -> None:
        target, now = self._target, time.time()
        behaviour, rendered = target.next()
        target.tally.arrivals += 1
        target.tally.last_at = now
        status = behaviour.status if isinstance(behaviour, Answer) else 0
        target.tally.succeeded += status // 100 == _SUCCESS
        if target.is_recording:
            path, headers = _parsed(head)
            target.arrivals.append(Arrival(now, self._number, path, headers, body, status))
        self._behave(behaviour, rendered)

    def _behave(self, behaviour: Behaviour, rendered: bytes) -> None:
        match behaviour:
            case Answer(is_held=True):
                self._target.held.append(partial(self._answer, rendered))
            case Answer(delay_s=0):
                self._answer(rendered)
            case Answer(delay_s=delay_s):
                self._timer = self._loop.call_later(delay_s, self._answer, rendered)
            case Reset():
                self.reset()
            case Drip(every_s):
                self._drip(render(Answer(body=" " * 1024)), every_s)
            case Endless():
                self._transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                self._resume = self._pour
                self._pour()
            case Silent() | Unaccepting() | Flaky() | InTurn():
                pass

    def _answer(self, rendered: bytes) -> None:
        self._target.tally.answered += 1
        self._transport.write(rendered)

    def _drip(self, rest: bytes, every_s: float) -> None:
        self._transport.write(rest[:1])
        if len(rest) > 1:
            self._timer = self._loop.call_later(every_s, self._drip, rest[1:], every_s)

    def _pour(self) -> None:
        """Write until the caller reads no more."""
        while not self._transport.is_closing() and not self._transport.get_write_buffer_size():
            self._transport.write(_CHUNK)


def _parsed(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first.split(" ")[1], [(name.lower(), value.strip()) for name, _, value in pairs]
