"""Changes of state that wait for a busy host."""

from __future__ import annotations

from longwire.embedding.backlog import Backlog, StateChange


def change(account: str, old: str, new: str) -> StateChange:
    return StateChange(account, old, new, None)


def test_what_waits_comes_in_order_and_once() -> None:
    backlog = Backlog()
    changes = [change("a", "stopped", "starting"), change("b", "stopped", "starting")]
    for each in changes:
        backlog.add(each)
    assert backlog.take() == changes
    assert backlog.take() == []


def test_beyond_the_bound_each_account_has_one_from_first_to_last() -> None:
    backlog = Backlog(most=4)
    for account, old, new in [
        ("a", "stopped", "starting"),
        ("b", "online", "backoff"),
        ("a", "starting", "connecting"),
        ("a", "connecting", "online"),
        ("b", "backoff", "parked"),
    ]:
        backlog.add(change(account, old, new))
    assert backlog.take() == [change("a", "stopped", "online"), change("b", "online", "parked")]


def test_more_accounts_than_the_bound_lose_no_account() -> None:
    backlog = Backlog(most=4)
    names = [f"account-{n}" for n in range(40)]
    for _ in range(50):
        for name in names:
            backlog.add(change(name, "online", "backoff"))
            backlog.add(change(name, "backoff", "online"))
    taken = backlog.take()
    assert {each.account for each in taken} == set(names)
    assert len(taken) <= 3 * len(names)
