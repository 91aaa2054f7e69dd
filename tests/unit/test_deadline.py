"""When a call to a platform is to be over: in its own time, and before its command."""

from __future__ import annotations

from contextvars import copy_context

from longwire_connectors.deadline import COMMAND_ENDS_AT, MOMENT_S, call_ends_at


def ends_at(*, command_ends_at: float | None) -> float:
    def call() -> float:
        if command_ends_at is not None:
            COMMAND_ENDS_AT.set(command_ends_at)
        return call_ends_at(now=100.0, total_s=10.0)

    return copy_context().run(call)


def test_a_call_ends_in_its_own_time_or_a_moment_before_its_command() -> None:
    assert ends_at(command_ends_at=None) == 110.0
    assert ends_at(command_ends_at=200.0) == 110.0
    assert ends_at(command_ends_at=105.0) == 105.0 - MOMENT_S
