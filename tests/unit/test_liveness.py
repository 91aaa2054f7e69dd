"""What is thought of a child, and done about it, by what is known of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longwire.backoff import Backoff
from longwire.evidence import Condition
from longwire.liveness import Judgement, Known, Layer, LinkFacts, Remedy, judge
from longwire_protocol.frames import Phase
from longwire_protocol.link import LinkState

UP = LinkFacts(state=LinkState.UP, socket_age_s=1.0, platform_age_s=2.0, platform_limit_s=90.0)
HEALTHY = Known(phase=Phase.IDLE, silent_s=0.5, limit_s=5.0, link_timeout_s=60.0, link=UP)
CONNECTING = LinkFacts(state=LinkState.CONNECTING, connecting_s=3.0)


def with_link(link: LinkFacts = UP, **changes: object) -> Known:
    return replace(HEALTHY, link=replace(link, **changes))


def outcome(judgement: Judgement) -> tuple[Remedy, str | None]:
    return judgement.remedy, judgement.reason


# The layers.


def test_a_healthy_child_is_proven_in_four_layers_with_their_ages_and_limits() -> None:
    judgement = judge(HEALTHY)
    layers = judgement.liveness
    assert layers.process == Layer(0.0, None, is_ok=True)
    assert layers.loop == Layer(0.5, 5.0, is_ok=True)
    assert layers.socket == Layer(1.0, 60.0, is_ok=True)
    assert layers.subscription == Layer(2.0, 90.0, is_ok=True)
    assert judgement.is_proven
    assert (outcome(judgement), judgement.doubt) == ((Remedy.NONE, None), None)


def test_a_stopped_process_is_not_in_order_whatever_else_is_known() -> None:
    assert judge(replace(HEALTHY, condition=Condition.STOPPED)).liveness.process.is_ok is False


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (replace(UP, socket_age_s=60.0), (True, True, True)),
        (replace(UP, socket_age_s=60.1), (False, True, False)),
        (replace(UP, platform_age_s=90.1), (True, False, False)),
        (replace(UP, platform_age_s=None, platform_limit_s=None), (True, None, True)),
        (replace(UP, socket_age_s=None), (None, True, True)),
        (CONNECTING, (False, None, False)),
        (LinkFacts(), (None, None, True)),
    ],
    ids=[
        "at the limit",
        "socket proof too old",
        "platform proof too old",
        "a platform that has no proof of its own",
        "a connector that does not tell of pongs",
        "connecting",
        "no link",
    ],
)
def test_what_is_shown_is_measured_by_the_plain_limits(
    link: LinkFacts, expected: tuple[bool | None, ...]
) -> None:
    """Each case: whether the socket is in order, the subscription, and so the link."""
    judgement = judge(replace(HEALTHY, link=link))
    layers = judgement.liveness
    assert (layers.socket.is_ok, layers.subscription.is_ok, judgement.is_proven) == expected


# The loop.


@pytest.mark.parametrize(
    ("phase", "condition", "expected"),
    [
        (Phase.IMPORTING, None, (Remedy.RESTART, "start_timeout")),
        (Phase.IMPORTING, Condition.BLOCKED, (Remedy.RESTART, "start_timeout")),
        (Phase.IMPORTING, Condition.STARVED, (Remedy.NONE, "starved")),
        (Phase.IDLE, None, (Remedy.RESTART, "heartbeat_timeout")),
        (Phase.WORKING, Condition.SPINNING, (Remedy.RESTART, "heartbeat_timeout")),
        (Phase.CONNECTING, Condition.BLOCKED, (Remedy.RESTART, "heartbeat_timeout")),
        (Phase.IDLE, Condition.STOPPED, (Remedy.RESTART, "heartbeat_timeout")),
        (Phase.IDLE, Condition.STARVED, (Remedy.NONE, "starved")),
    ],
)
def test_a_silence_ends_a_child_unless_the_machine_gave_it_no_cpu(
    phase: Phase, condition: Condition | None, expected: tuple[Remedy, str]
) -> None:
    judgement = judge(replace(HEALTHY, phase=phase, condition=condition, silent_s=5.0))
    assert outcome(judgement) == expected
    assert judgement.liveness.loop == Layer(5.0, 5.0, is_ok=False)


def test_one_that_is_not_silent_for_long_enough_is_let_be_in_whatever_condition() -> None:
    for condition in Condition:
        assert outcome(judge(replace(HEALTHY, condition=condition, silent_s=4.9))) == (Remedy.NONE, None)


# The link.

STALE = replace(UP, socket_age_s=60 * 1.25 + 5.1)


@pytest.mark.parametrize(
    "link",
    [
        UP,
        LinkFacts(),
        replace(UP, socket_age_s=60 * 1.25 + 5),
        replace(UP, platform_age_s=90 * 1.25 + 5),
        replace(UP, platform_age_s=1e6, platform_limit_s=None),
        replace(UP, platform_age_s=None),
        replace(LinkFacts(), socket_age_s=1e6),
        replace(CONNECTING, connecting_s=90.0),
    ],
    ids=[
        "fresh",
        "down",
        "within the margin",
        "platform proof within the margin",
        "a platform that has no proof of its own",
        "no platform proof yet",
        "stale ages of a link that is down",
        "an attempt has the link timeout and half a minute more",
    ],
)
def test_a_link_in_order_is_let_be_however_often_it_was_doubted(link: LinkFacts) -> None:
    judgement = judge(with_link(link, doubts=100, told_s=100.0))
    assert (outcome(judgement), judgement.doubt) == ((Remedy.NONE, None), None)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (STALE, "link_timeout"),
        (replace(UP, platform_age_s=118.0), "platform_silent"),
        (replace(CONNECTING, connecting_s=90.1), "connect_timeout"),
    ],
)
def test_a_link_that_its_child_should_have_given_up_is_ended_at_the_third_heartbeat_that_says_so(
    link: LinkFacts, reason: str
) -> None:
    found = [judge(with_link(link, doubts=doubts)) for doubts in range(3)]
    assert [judgement.doubt for judgement in found] == [reason] * 3
    assert [judgement.remedy for judgement in found] == [Remedy.NONE, Remedy.NONE, Remedy.RECONNECT]
    assert found[-1].reason == reason


def test_a_child_that_does_not_obey_is_replaced() -> None:
    told = [judge(with_link(STALE, doubts=5, told_s=told_s)) for told_s in (0.0, 10.0, 10.1)]
    assert [outcome(each) for each in told] == [
        (Remedy.NONE, "link_timeout"),
        (Remedy.NONE, "link_timeout"),
        (Remedy.RESTART, "link_did_not_end"),
    ]


def test_a_child_that_ignores_a_connect_is_replaced_at_the_third_beat_that_says_so() -> None:
    ignored = LinkFacts(asked_s=10.1)
    found = [judge(with_link(ignored, doubts=doubts)) for doubts in range(3)]
    assert [outcome(each) for each in found] == [
        (Remedy.NONE, "connect_ignored"),
        (Remedy.NONE, "connect_ignored"),
        (Remedy.RESTART, "connect_ignored"),
    ]


@pytest.mark.parametrize("link", [LinkFacts(asked_s=10.0), LinkFacts(), replace(UP, asked_s=1e6)])
def test_a_child_that_was_just_asked_or_not_at_all_or_has_obeyed_is_let_be(link: LinkFacts) -> None:
    assert outcome(judge(with_link(link, doubts=100))) == (Remedy.NONE, None)


@given(
    st.builds(
        Known,
        phase=st.sampled_from(Phase),
        silent_s=st.floats(0, 1e4),
        limit_s=st.floats(0.1, 100),
        link_timeout_s=st.floats(0.5, 1e3),
        condition=st.none() | st.sampled_from(Condition),
        link=st.builds(
            LinkFacts,
            state=st.sampled_from(LinkState),
            socket_age_s=st.none() | st.floats(0, 1e4),
            platform_age_s=st.none() | st.floats(0, 1e4),
            platform_limit_s=st.none() | st.floats(1, 1e3),
            connecting_s=st.floats(0, 1e4),
            doubts=st.integers(0, 5),
            told_s=st.none() | st.floats(0, 100),
        ),
    )
)
def test_nobody_whose_layers_are_in_order_is_done_anything_to(known: Known) -> None:
    judgement = judge(known)
    layers = judgement.liveness
    is_connecting = known.link.state is LinkState.CONNECTING
    if layers.loop.is_ok and judgement.is_proven and not is_connecting:
        assert outcome(judgement) == (Remedy.NONE, None)
    if not layers.loop.is_ok and known.condition is not Condition.STARVED:
        assert judgement.remedy is Remedy.RESTART
    if known.condition is Condition.STARVED and not layers.loop.is_ok:
        assert judgement.remedy is Remedy.NONE


# Backoff.


def test_the_delay_doubles_from_the_initial_one_up_to_the_cap() -> None:
    backoff = Backoff(initial_s=1.0, max_s=10.0)
    assert [backoff.delay(n, luck=0.0) for n in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_delay_is_between_half_and_the_whole_of_its_step(failures: int, luck: float) -> None:
    backoff = Backoff(initial_s=0.1, max_s=60.0)
    longest = min(60.0, 0.1 * 2.0 ** min(failures - 1, 64))
    assert longest / 2 <= backoff.delay(failures, luck=luck) <= longest


def test_an_initial_delay_of_zero_means_none_ever() -> None:
    assert Backoff(initial_s=0.0, max_s=60.0).delay(1000, luck=0.99) == 0.0
