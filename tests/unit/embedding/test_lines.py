"""Log lines that a host takes when it likes: in order, bounded, and counted beyond that."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from structlog.testing import capture_logs

from longwire.embedding.lines import Lines

DEADLINE_S = 30.0


def test_lines_are_said_in_order_on_another_thread_until_the_end() -> None:
    said: list[tuple[int, str]] = []
    lines = Lines()
    for n in range(100):
        lines.say(lambda n=n: said.append((n, threading.current_thread().name)))  # type: ignore[misc]
    lines.close(timeout_s=DEADLINE_S)
    assert said == [(n, "longwire log") for n in range(100)]


def test_a_host_that_takes_no_lines_holds_up_nobody_and_is_told_how_many_it_missed() -> None:
    gate, is_held = threading.Event(), threading.Event()
    said: list[int] = []

    def holds() -> None:
        is_held.set()
        gate.wait(DEADLINE_S)

    with capture_logs() as logs:
        lines = Lines(most=10)
        lines.say(holds)
        assert is_held.wait(DEADLINE_S)
        for n in range(25):
            lines.say(partial(said.append, n))
        lines.close(timeout_s=0.01)
        gate.set()
        lines.close(timeout_s=DEADLINE_S)
    assert said == list(range(10))
    assert logs == [{"event": "host_log_blocked", "lines": 15, "log_level": "warning"}]
    assert not [each for each in threading.enumerate() if each.name == "longwire log"]


def test_a_line_that_the_host_chokes_on_is_shown_and_the_next_one_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said: list[str] = []
    lines = Lines()

    def chokes() -> None:
        raise KeyError("a processor of the host's")

    lines.say(chokes)
    lines.say(partial(said.append, "next"))
    lines.close(timeout_s=DEADLINE_S)
    assert said == ["next"]
    assert "a processor of the host's" in capsys.readouterr().err
