"""The windows in which the simulated Lark counts."""

import pytest

from longwire_connectors.simulator import lark_limits
from longwire_connectors.simulator.lark_limits import Limit, Windows

LIMITS = (Limit(2, 1.0), Limit(3, 10.0))


def test_each_limit_holds_in_a_window_that_slides() -> None:
    windows = Windows()
    for now in (0.0, 0.5):
        assert windows.wait_s("a", limits=LIMITS, now=now) == 0.0
        windows.admit("a", limits=LIMITS, now=now)
    assert windows.wait_s("a", limits=LIMITS, now=0.75) == 0.25
    assert windows.wait_s("a", limits=LIMITS, now=1.0) == 0.0
    windows.admit("a", limits=LIMITS, now=1.0)
    assert windows.wait_s("a", limits=LIMITS, now=2.0) == 8.0
    assert windows.wait_s("b", limits=LIMITS, now=2.0) == 0.0


def test_the_key_not_used_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lark_limits, "MAX_KEYS", 1)
    windows = Windows()
    for key in ("a", "a", "b"):
        windows.admit(key, limits=LIMITS, now=0.0)
    assert windows.wait_s("a", limits=LIMITS, now=0.0) == 0.0
