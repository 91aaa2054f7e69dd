"""Who has a process for an app, and who waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.configuration import DINGTALK
from longwire.apps import Apps, Claim
from longwire.config import AccountConfig, from_mapping
from longwire_protocol.declaration import ConnectorSpec, OptionSpec

SPECS = {
    "dingtalk": DINGTALK,
    "lark": ConnectorSpec(
        name="lark",
        options=(OptionSpec(name="app_id", type="string"),),
        identity="app_id",
        is_overlap_allowed=True,
    ),
}


def account(
    name: str, app: str | None = "app", *, connector: str = "dingtalk", **more: object
) -> AccountConfig:
    key = SPECS[connector].identity
    table = {"connector": connector, **({key: app} if app else {}), **more}
    config = from_mapping({"accounts": {name: table}}, base=Path("/"), specs=lambda _: SPECS, environ={})
    return config.accounts[name]


class Queue:
    """The claims, and who went."""

    def __init__(self) -> None:
        self.apps = Apps()
        self.gone: list[str] = []

    def claim(self, config: AccountConfig) -> Claim:
        return self.apps.claim(config, lambda: self.gone.append(config.account))


def test_an_app_is_held_until_its_process_is_gone_and_then_the_next_one_goes() -> None:
    queue = Queue()
    first, second, third = (queue.claim(account(name)) for name in "abc")
    assert queue.gone == ["a"]
    assert [queue.apps.in_the_way(claim) for claim in (first, second, third)] == [None, "a", "a"]
    queue.apps.release(first)
    queue.apps.release(first)
    assert (queue.gone, queue.apps.in_the_way(second), queue.apps.in_the_way(third)) == (
        ["a", "b"],
        None,
        "b",
    )
    queue.apps.release(second)
    queue.apps.release(third)
    queue.claim(account("d"))
    assert queue.gone == ["a", "b", "c", "d"]


def test_who_is_stopped_while_it_waits_does_not_go_and_holds_up_nobody() -> None:
    queue = Queue()
    first, second = queue.claim(account("a")), queue.claim(account("b"))
    third = queue.claim(account("c"))
    second.turn.cancel()
    queue.apps.release(second)
    assert queue.apps.in_the_way(third) == "a"
    queue.apps.release(first)
    assert queue.gone == ["a", "c"]


def test_one_that_was_cancelled_and_not_released_yet_does_not_go() -> None:
    queue = Queue()
    first, second = queue.claim(account("a")), queue.claim(account("b"))
    second.turn.cancel()
    queue.apps.release(first)
    assert queue.gone == ["a"]
    third = queue.claim(account("c"))
    queue.apps.release(second)
    assert (queue.gone, third.is_held) == (["a", "c"], True)


def test_two_accounts_that_change_their_apps_do_not_wait_for_each_other() -> None:
    queue = Queue()
    old = queue.claim(account("a", "1")), queue.claim(account("b", "2"))
    queue.apps.release(old[0])
    queue.claim(account("x", "2"))
    assert queue.gone == ["a", "b"]
    queue.apps.release(old[1])
    queue.claim(account("y", "1"))
    assert queue.gone == ["a", "b", "x", "y"]


@pytest.mark.parametrize(
    "make",
    [
        lambda name: account(name, connector="lark"),
        lambda name: account(name, None, connector="lark"),
        lambda name: account(name, f"app of {name}"),
        lambda name: account(name, allow_shared_app=True),
    ],
    ids=["the platform bears it", "it has none", "another app", "the operator wants it"],
)
def test_there_is_nothing_to_wait_for(make: object) -> None:
    assert callable(make)
    queue = Queue()
    for name in "ab":
        claim = queue.claim(make(name))
        assert queue.apps.in_the_way(claim) is None
    assert queue.gone == ["a", "b"]
    queue.apps.release(claim)


def test_an_app_is_shared_only_among_those_that_all_may() -> None:
    queue = Queue()
    alone = queue.claim(account("a"))
    shared = [queue.claim(account(name, allow_shared_app=True)) for name in "bc"]
    last = queue.claim(account("d"))
    assert queue.gone == ["a"]
    queue.apps.release(alone)
    assert queue.gone == ["a", "b", "c"]
    queue.apps.release(shared[0])
    assert queue.apps.in_the_way(last) == "c"
    queue.apps.release(shared[1])
    assert queue.gone == ["a", "b", "c", "d"]
