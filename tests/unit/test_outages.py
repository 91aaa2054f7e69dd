"""What accounts tell of their links, and what an outage does for them: fakes, and no time that passes."""

from __future__ import annotations

import pytest

from longwire.outages import Outages, Pace
from longwire_protocol.link import Fault, LinkFailure

USUAL = Pace(50.0, 50)
LOST = LinkFailure(fault=Fault.TRANSIENT, reason="connection_lost", message="cut")
LIMITED = LinkFailure(fault=Fault.LIMITED, reason="rate_limited", message="slow")
REFUSED = LinkFailure(fault=Fault.PERMANENT, reason="bad_credentials", message="no", error_code="10014")
NO_SDK = LinkFailure(fault=Fault.PERMANENT, reason="sdk_missing", message="no module")
BUG = LinkFailure(fault=Fault.OURS, reason="connector_error", message="a bug")
HANDOVER = LinkFailure(fault=Fault.HANDOVER, reason="platform_handover", message="please")


class Bot:
    """An account, as far as an outage concerns it."""

    def __init__(self, number: int, connector: str = "lark", *, was_online: bool = True) -> None:
        self.name = f"{connector}-{number}"
        self.connector = connector
        self.is_wanted = True
        self.was_online = was_online
        self.pardons = 0

    def pardon(self) -> None:
        self.pardons += 1


class Stage:
    def __init__(self, *bots: Bot) -> None:
        self.bots = bots
        self.paces: list[tuple[str, Pace]] = []
        self.outages = Outages(
            lambda: self.bots, usual=USUAL, set_pace=lambda name, pace: self.paces.append((name, pace))
        )

    def fail(self, failure: LinkFailure, *, connector: str = "lark") -> list[bool]:
        """Let all of a connector fail; return whether each was excused."""
        return [self.outages.failed(bot, failure) for bot in self.bots if bot.connector == connector]


def bots(count: int, *, was_online: bool = True) -> list[Bot]:
    return [Bot(number, was_online=was_online) for number in range(count)]


@pytest.mark.parametrize("failure", [LOST, LIMITED, REFUSED], ids=lambda failure: failure.reason)
async def test_accounts_that_the_platform_fails_together_are_excused_from_the_fifth_on(
    failure: LinkFailure,
) -> None:
    stage = Stage(*bots(8))
    assert stage.fail(failure) == [False] * 4 + [True] * 4
    (status,) = stage.outages.status()
    assert (status.connector, status.accounts, status.reason) == ("lark", 8, failure.reason)
    assert stage.paces[0] == ("lark", Pace(1.0, 1))


@pytest.mark.parametrize("failure", [BUG, NO_SDK, HANDOVER], ids=lambda failure: failure.reason)
async def test_what_is_no_fault_of_the_platform_makes_no_outage_and_is_excused_by_none(
    failure: LinkFailure,
) -> None:
    stage = Stage(*bots(8))
    assert stage.fail(failure) == [False] * 8
    assert stage.outages.status() == []
    stage.fail(LOST)
    assert stage.outages.of("lark") is not None
    assert stage.fail(failure) == [False] * 8


async def test_those_that_were_refused_on_the_way_are_pardoned_and_no_others() -> None:
    others = Bot(1, "dingtalk"), Bot(99)
    stage = Stage(*bots(6), *others)
    for bot in stage.bots[:5]:
        stage.outages.failed(bot, REFUSED)
    assert [bot.pardons for bot in stage.bots] == [1] * 5 + [0] * 3


async def test_refusals_of_accounts_that_were_never_online_say_nothing_of_the_platform() -> None:
    stage = Stage(*bots(8, was_online=False))
    assert stage.fail(REFUSED) == [False] * 8
    assert stage.fail(LOST)[-1], "but that they all cannot reach it does"
    assert stage.fail(REFUSED) == [True] * 8, "and then they are believed to be well"


async def test_one_connectors_outage_is_not_anothers() -> None:
    stage = Stage(*bots(6), *(Bot(number, "dingtalk") for number in range(6)))
    stage.fail(LOST)
    assert stage.outages.of("dingtalk") is None
    assert stage.outages.failed(stage.bots[-1], REFUSED) is False
    assert {connector for connector, _ in stage.paces} == {"lark"}


async def test_successes_bring_the_usual_pace_back_and_end_it() -> None:
    stage = Stage(*bots(40))
    stage.fail(LOST)
    stage.paces.clear()
    for bot in stage.bots[:6]:
        stage.outages.proven(bot)
    assert [pace.rate_per_s for _, pace in stage.paces] == [2.0, 4.0, 8.0, 16.0, 32.0, 50.0]
    assert stage.paces[-1] == ("lark", USUAL)
    assert stage.outages.status() == []
    assert stage.outages.failed(stage.bots[9], REFUSED) is False


async def test_it_ends_when_its_accounts_are_stopped_and_the_pace_is_the_usual_again() -> None:
    stage = Stage(*bots(6))
    stage.fail(LOST)
    for bot in stage.bots[:2]:
        stage.outages.left(bot)
    assert stage.outages.of("lark") is None
    assert stage.paces[-1] == ("lark", USUAL)


async def test_without_an_outage_no_pace_is_ever_set() -> None:
    stage = Stage(*bots(6))
    for bot in stage.bots[:4]:
        stage.outages.failed(bot, LOST)
        stage.outages.proven(bot)
        stage.outages.left(bot)
    assert stage.paces == []
