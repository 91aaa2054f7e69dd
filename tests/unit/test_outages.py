"""What accounts tell of their links, and what an outage does for them: fakes, and no time that passes."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from longwire.outage import PATIENCE_S
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
        self.is_up = False
        self.was_online = was_online
        self.pardons = 0

    def pardon(self) -> None:
        self.is_wanted = True
        self.pardons += 1


class Stage:
    def __init__(self, *bots: Bot) -> None:
        self.bots = bots
        self.paces: list[tuple[str, Pace]] = []
        self.outages = Outages(
            lambda: self.bots, usual=USUAL, set_pace=lambda name, pace: self.paces.append((name, pace))
        )
        for bot in bots:
            self.outages.seen(bot)

    def fail(self, failure: LinkFailure, *, connector: str = "lark") -> list[bool]:
        """Let all of a connector fail; return whether each was excused."""
        return [self.outages.failed(bot, failure) for bot in self.bots if bot.connector == connector]

    def ask(self, failure: LinkFailure, *bots: Bot) -> list[bool]:
        """Let those that are to run fail, and park them for a refusal without an excuse; return who runs."""
        for bot in bots:
            if bot.is_wanted:
                bot.is_wanted = self.outages.failed(bot, failure) or failure.fault is not Fault.PERMANENT
                self.outages.seen(bot)
        return [bot.is_wanted for bot in bots]

    def prove(self, *bots: Bot) -> None:
        """Let their links be up."""
        for bot in bots:
            bot.is_up = True
            self.outages.proven(bot)

    @property
    def size(self) -> int:
        return sum(status.accounts for status in self.outages.status())


def bots(count: int, *, was_online: bool = True) -> list[Bot]:
    return [Bot(number, was_online=was_online) for number in range(count)]


@pytest.mark.parametrize(
    ("failure", "least"), [(LOST, 5), (LIMITED, 5), (REFUSED, 8)], ids=["lost", "limited", "refused"]
)
async def test_accounts_that_the_platform_fails_together_are_excused_when_they_are_many(
    failure: LinkFailure, least: int
) -> None:
    stage = Stage(*bots(8))
    assert stage.fail(failure) == [False] * (least - 1) + [True] * (9 - least)
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
    assert stage.size == 8
    assert stage.fail(failure) == [False] * 8


async def test_those_that_were_refused_on_the_way_are_pardoned_and_no_others() -> None:
    others = Bot(1, "dingtalk"), Bot(99)
    stage = Stage(*bots(9), *others)
    assert stage.ask(REFUSED, *stage.bots[:8]) == [False] * 8
    assert stage.ask(REFUSED, stage.bots[8]) == [True]
    assert [bot.pardons for bot in stage.bots] == [1] * 9 + [0] * 2


async def test_refusals_of_accounts_that_were_never_online_say_nothing_of_the_platform() -> None:
    stage = Stage(*bots(8, was_online=False))
    assert stage.fail(REFUSED) == [False] * 8
    assert stage.fail(LOST)[-1], "but that they all cannot reach it does"
    assert stage.fail(REFUSED) == [True] * 8, "and then they are believed to be well"


async def test_one_connectors_outage_is_not_anothers() -> None:
    stage = Stage(*bots(6), *(Bot(number, "dingtalk") for number in range(6)))
    stage.fail(LOST)
    assert [stage.outages.size(bot) for bot in stage.bots] == [6] * 6 + [0] * 6
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
    with capture_logs() as log:
        for bot in stage.bots[:2]:
            stage.outages.left(bot)
    assert stage.outages.status() == []
    assert stage.paces[-1] == ("lark", USUAL)
    assert [(line["event"], line["still_failing"]) for line in log] == [("outage_ends", 4)]


async def test_without_an_outage_no_pace_is_ever_set() -> None:
    stage = Stage(*bots(6))
    for bot in stage.bots[:4]:
        stage.outages.failed(bot, LOST)
        stage.outages.proven(bot)
        stage.outages.left(bot)
    assert stage.paces == []


async def test_it_ends_when_its_accounts_are_parked_for_what_has_nothing_to_do_with_it() -> None:
    stage = Stage(*bots(6))
    stage.fail(LOST)
    stage.ask(NO_SDK, *stage.bots[:2])
    assert stage.outages.status() == []
    assert stage.paces[-1] == ("lark", USUAL)


async def test_apps_that_were_disabled_while_nobody_looked_are_parked_at_once_in_whatever_order() -> None:
    """Ten accounts were online under an earlier supervisor; six are refused now, and four are well."""
    for order in (range(10), range(9, -1, -1), (0, 6, 1, 7, 2, 8, 3, 9, 4, 5)):
        stage = Stage(*bots(10))
        for number in order:
            if number < 6:
                assert stage.ask(REFUSED, stage.bots[number]) == [False]
            else:
                stage.prove(stage.bots[number])
        assert (stage.outages.status(), stage.paces) == ([], [])


async def test_apps_that_are_disabled_while_they_are_online_are_parked_after_some_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four stay online, of which nothing new is heard; and a day later all is as usual."""
    now = 0.0
    stage = Stage(*bots(10))
    monkeypatch.setattr(stage.outages._loop, "time", lambda: now)
    stage.prove(*stage.bots)
    dead = stage.bots[:6]
    for bot in dead:
        bot.is_up = False
    stage.ask(LOST, *dead)
    assert stage.ask(REFUSED, *dead) == [True] * 6
    now = PATIENCE_S
    assert stage.ask(REFUSED, *dead) == [False] * 6
    assert stage.outages.status() == []
    assert stage.paces[-1] == ("lark", USUAL)


async def test_a_process_that_ends_takes_with_it_what_its_link_said() -> None:
    stage = Stage(*bots(10))
    stage.prove(stage.bots[0])
    stage.ask(REFUSED, *stage.bots[1:9])
    stage.bots[0].is_up = False
    stage.outages.seen(stage.bots[0])
    assert stage.ask(REFUSED, stage.bots[9]) == [True]


async def test_a_thousand_failures_at_once_do_not_look_at_every_account_each_time() -> None:
    crowd, looks = bots(1_000), list[str]()

    def members() -> list[Bot]:
        looks.append("at all")
        return crowd

    outages = Outages(members, usual=USUAL, set_pace=lambda *_: None)
    for bot in crowd:
        outages.seen(bot)
        outages.failed(bot, LOST)
    assert looks == ["at all"], "to pardon them, when it began"
