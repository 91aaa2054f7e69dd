"""Who may talk to an account, and who is named when refused."""

from __future__ import annotations

import pytest

from fakes.configuration import one, problems, read
from longwire_connectors.senders import MAX_NAMED, NAMED_AGAIN_S, Senders
from longwire_protocol.event import Sender

ANN = Sender("ou_ann", ids={"open_id": "ou_ann", "union_id": "on_ann", "user_id": "ann"})
STRANGER = Sender("ou_stranger")


@pytest.mark.parametrize("allowed", [None, ["*"], ["ou_ann", "*"]])
def test_without_a_list_or_with_a_star_everybody_may_talk(allowed: list[str] | None) -> None:
    assert Senders(allowed).may_talk(STRANGER)


@pytest.mark.parametrize("known", ["ou_ann", "on_ann", "ann"])
def test_any_id_of_a_sender_will_do(known: str) -> None:
    senders = Senders([known, "somebody"])
    assert senders.may_talk(ANN)
    assert not senders.may_talk(STRANGER)


def test_an_empty_list_lets_nobody_talk_and_what_nobody_sent_pass() -> None:
    assert not Senders([]).may_talk(ANN)
    assert Senders([]).may_talk(None)


def test_a_refused_sender_is_named_once_an_hour() -> None:
    senders = Senders([])
    times = (0.0, 1.0, NAMED_AGAIN_S - 1, NAMED_AGAIN_S, NAMED_AGAIN_S + 1)
    assert [senders.is_to_be_named(ANN, now=now) for now in times] == [True, False, False, True, False]
    assert senders.is_to_be_named(STRANGER, now=NAMED_AGAIN_S + 2)


def test_a_crowd_is_named_up_to_a_bound_and_again_when_the_first_are_forgotten() -> None:
    senders = Senders([])
    crowd = [Sender(f"ou_{n}") for n in range(MAX_NAMED + 1)]
    assert [senders.is_to_be_named(each, now=float(n)) for n, each in enumerate(crowd)] == [
        *[True] * MAX_NAMED,
        False,
    ]
    assert senders.is_to_be_named(crowd[-1], now=NAMED_AGAIN_S)
    assert not senders.is_to_be_named(crowd[1], now=NAMED_AGAIN_S)


def test_the_list_of_an_account_beats_that_of_the_defaults() -> None:
    values = {"defaults": {"allow_senders": ["a"]}, **one()}
    assert read(values).accounts["acme"].settings.allow_senders == ("a",)
    values = {"defaults": {"allow_senders": ["a"]}, **one(allow_senders=[])}
    assert read(values).accounts["acme"].settings.allow_senders == ()
    assert read(one()).accounts["acme"].settings.allow_senders is None


@pytest.mark.parametrize(
    ("value", "place"),
    [("ou_1", ""), ([1], "[0]"), (["a", ""], "[1]"), (["x" * 101], "[0]"), (["a"] * 501, "")],
)
def test_a_list_that_is_none_is_refused_with_its_place(value: object, place: str) -> None:
    assert list(problems(one(allow_senders=value))) == [f"accounts.acme.allow_senders{place}"]
