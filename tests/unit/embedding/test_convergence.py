"""Whether accounts are what a host asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from longwire.embedding.convergence import Convergence, judge
from longwire.lifecycle import State


def judged(*wanted: str, **states: State) -> Convergence:
    def status(name: str, state: State) -> Any:
        return SimpleNamespace(
            account=name,
            state=state,
            reason=f"why {name}",
            message="text",
            user_action="do",
            next_retry_at=5.0,
        )

    return judge([cast("Any", status(*each)) for each in states.items()], wanted=wanted)


def test_all_online_is_converged_and_settled() -> None:
    found = judged("a", "b", a=State.ONLINE, b=State.ONLINE)
    assert found.is_converged
    assert found.is_settled
    assert found.behind == {}


@pytest.mark.parametrize("state", [State.PARKED, State.STOPPED])
def test_who_waits_for_somebody_is_settled_but_not_converged_and_says_why(state: State) -> None:
    found = judged("a", "b", a=State.ONLINE, b=state)
    assert not found.is_converged
    assert found.is_settled
    assert found.behind.keys() == {"b"}
    assert (found.behind["b"].reason, found.behind["b"].user_action) == ("why b", "do")


@pytest.mark.parametrize("state", sorted(set(State) - {State.ONLINE, State.PARKED, State.STOPPED}))
def test_who_is_under_way_is_neither(state: State) -> None:
    found = judged("a", a=state)
    assert not found.is_converged
    assert not found.is_settled


def test_who_is_not_wanted_and_still_there_is_waited_for() -> None:
    found = judged("a", a=State.ONLINE, leaving=State.STOPPING)
    assert not found.is_converged
    assert not found.is_settled
    assert not found.behind["leaving"].is_wanted


def test_nothing_wanted_and_nothing_there_is_converged() -> None:
    assert judged().is_converged
