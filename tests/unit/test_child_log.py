"""What a child prints: always read, never trusted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog

from longwire import childlog
from longwire.childlog import ChildLog
from longwire_protocol.redaction import Redactor

DEADLINE_S = 30.0
CONTEXT = {"account": "acme-lark", "incarnation": 3}
Lines = list[Any]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs() as entries:
        yield entries


class Pipe:
    """A log pipe with the child's end in the test's hand."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self.read_fd, self.write_fd = os.pipe()
        self.log = ChildLog(self.read_fd, redact=Redactor(secrets), context=CONTEXT)

    def say(self, data: bytes) -> None:
        os.write(self.write_fd, data)

    def end(self) -> None:
        os.close(self.write_fd)
        self.log.close()

    def say_all(self, data: bytes) -> None:
        """Print this and exit."""
        self.say(data)
        self.end()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def test_lines_of_the_childs_logger_keep_their_fields_and_level(lines: Lines) -> None:
    Pipe().say_all(b'{"event":"connected","level":"warning","attempt":3,"url":"wss://x"}\n')
    assert lines == [
        {
            "event": "connected",
            "log_level": "warning",
            "attempt": 3,
            "url": "wss://x",
            "source": "child",
            **CONTEXT,
        }
    ]


@pytest.mark.parametrize(
    "line",
    ["plain words", "{", "[1]", '{"no":"event"}', '{"event":5}', "null", '"event"'],
)
async def test_what_an_sdk_prints_is_output(lines: Lines, line: str) -> None:
    Pipe().say_all(line.encode() + b"\n")
    assert lines == [{"event": "output", "log_level": "info", "text": line, "source": "child", **CONTEXT}]


async def test_a_level_that_is_none_is_info(lines: Lines) -> None:
    Pipe().say_all(b'{"event":"e","level":"exception"}\n{"event":"e","level":"bind"}\n{"event":"e"}\n')
    assert [line["log_level"] for line in lines] == ["info"] * 3


@pytest.mark.parametrize("line", [b'{"event":"e","level":["info"]}\n', b'{"event":"e","self":1}\n'])
async def test_no_line_of_a_child_breaks_the_reading(lines: Lines, line: bytes) -> None:
    Pipe().say_all(line)
    assert lines[0]["event"] == "e"


async def test_a_child_cannot_speak_in_the_name_of_another(lines: Lines) -> None:
    Pipe().say_all(b'{"event":"e","account":"other","incarnation":99,"source":"x","tenant":"y"}\n')
    (line,) = lines
    assert (line["account"], line["incarnation"]) == ("acme-lark", 3)
    assert (line["child_account"], line["child_incarnation"]) == ("other", 99)
    assert (line["source"], line["child_source"], line["child_tenant"]) == ("child", "x", "y")


async def test_secrets_are_blanked_once_more(lines: Lines) -> None:
    Pipe(("hunter2-secret",)).say_all(
        b'{"event":"e","text":"ticket=abcdef hunter2-secret"}\nconnect wss://x?access_key=abcdef\n'
    )
    assert "hunter2" not in str(lines)
    assert "abcdef" not in str(lines)
    assert len(lines) == 2


async def test_a_line_may_arrive_in_pieces_and_several_at_once(lines: Lines) -> None:
    pipe = Pipe()
    for piece in (b"one", b" line\ntwo\n\n  \nth", b"ree"):
        pipe.say(piece)
        pipe.log._read()
    assert [line["text"] for line in lines] == ["one line", "two"]
    pipe.end()
    assert [line["text"] for line in lines] == ["one line", "two", "three"]


async def test_bytes_that_are_no_text_are_shown_as_far_as_they_go(lines: Lines) -> None:
    Pipe().say_all(b"caf\xe9 \xff\n")
    assert lines[0]["text"] == "caf� �"


async def test_a_line_without_end_is_cut(lines: Lines) -> None:
    Pipe().say_all(b"x" * 40_000)
    assert [len(line["text"]) for line in lines] == [childlog._MAX_LINE_BYTES]


async def test_the_pipe_is_read_by_the_loop_and_ends_with_the_child(lines: Lines) -> None:
    pipe = Pipe()
    pipe.say(b"hello\n")
    os.close(pipe.write_fd)
    async with asyncio.timeout(DEADLINE_S):
        while is_open(pipe.read_fd):  # noqa: ASYNC110  nobody is told of it
            await asyncio.sleep(0)
    assert [line["text"] for line in lines] == ["hello"]
    pipe.log.close()  # nothing more happens
    assert pipe.log._read() is False
    assert asyncio.get_running_loop().remove_reader(pipe.read_fd) is False


async def test_a_pipe_that_someone_else_holds_open_does_not_hold_up_the_close(lines: Lines) -> None:
    pipe = Pipe()
    pipe.say(b"last words\n")
    pipe.log.close()
    assert not is_open(pipe.read_fd)
    assert [line["text"] for line in lines] == ["last words"]
    os.close(pipe.write_fd)


async def test_a_flood_at_the_close_is_read_only_so_far(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(childlog, "_READ_BYTES", 4)
    pipe = Pipe()
    pipe.say(b"abc\n" * 100)
    pipe.log.close()
    assert len(lines) == childlog._LAST_READS
    os.close(pipe.write_fd)


async def test_a_broken_pipe_ends_it(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe()

    def broken(_fd: int, _n: int) -> bytes:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("longwire.childlog.os.read", broken)
        pipe.log.close()
    assert not is_open(pipe.read_fd)
    assert lines == []
    os.close(pipe.write_fd)


async def test_a_flood_is_cut_counted_and_reported(lines: Lines) -> None:
    pipe = Pipe()
    for _ in range(6):
        pipe.say(b"x\n" * 1000)
        pipe.log._read()
    printed = [line for line in lines if line["event"] == "output"]
    assert childlog._LINES_BURST <= len(printed) < 1000
    pipe.end()
    dropped = [line for line in lines if line["event"] == "child_log_lines_dropped"]
    assert len(lines) == len(printed) + len(dropped)
    assert sum(line["lines"] for line in dropped) == 6000 - len(printed)
    assert not [line for line in dropped if "source" in line]  # that is what the supervisor says


async def test_what_was_dropped_is_told_before_the_next_line(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Pipe()
    answers = iter([0.0, 0.5, 0.0])
    monkeypatch.setattr(pipe.log._budget, "take", lambda _now: next(answers))
    pipe.say(b"one\ntwo\nthree\nfo")
    pipe.log._read()
    pipe.say_all(b"ur\n")
    assert [(line["event"], line.get("lines", line.get("text"))) for line in lines] == [
        ("output", "one"),
        ("child_log_lines_dropped", 2),
        ("output", "four"),
    ]


async def test_a_flood_is_read_with_pauses_and_to_its_end(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child here writes without end in sight: whenever there is room."""
    monkeypatch.setattr(childlog, "_PAUSE_S", 0.0)
    pipe = Pipe()
    loop = asyncio.get_running_loop()
    said = 0
    os.set_blocking(pipe.write_fd, False)
    async with asyncio.timeout(DEADLINE_S):
        while said < 200_000:
            with suppress(BlockingIOError):
                said += os.write(pipe.write_fd, b"x\n" * 2048) // 2  # whole, or not at all
            await asyncio.sleep(0)
        os.close(pipe.write_fd)
        while is_open(pipe.read_fd):  # noqa: ASYNC110  nobody is told of it
            await asyncio.sleep(0)
    assert loop.remove_reader(pipe.read_fd) is False
    dropped = sum(line["lines"] for line in lines if line["event"] == "child_log_lines_dropped")
    assert dropped > 100_000
    assert dropped + len([line for line in lines if line["event"] == "output"]) == said


async def test_a_pipe_that_is_left_alone_can_be_closed(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(childlog, "_PAUSE_S", 0.0)
    pipe = Pipe()
    pipe.say(b"x\n" * 1000)
    pipe.log._read()
    fd = pipe.read_fd
    assert asyncio.get_running_loop().remove_reader(fd) is False, "it is left alone"
    pipe.end()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.get_running_loop().remove_reader(fd) is False, "nobody comes back to a number of others"
    assert lines[-1]["event"] == "child_log_lines_dropped"
