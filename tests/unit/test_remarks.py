"""What is said of an account."""

from __future__ import annotations

from longwire.lifecycle import Life, State
from longwire.limits import Excess
from longwire.remarks import Remarks, remarks
from longwire_protocol.link import Fault, LinkFailure

REFUSED = LinkFailure(
    fault=Fault.PERMANENT,
    reason="bad_credentials",
    message="no",
    error_code="401",
    user_action="mend it",
    user_action_zh="请改正",
)
LOST = LinkFailure(fault=Fault.TRANSIENT, reason="unreachable", message="no route", error_code="7")
EXCESS = Excess(reason="memory_limit", message="too big", user_action="raise it", user_action_zh="请调高")


def said(state: State, why: LinkFailure | None = None, *, in_outage: int = 0) -> Remarks:
    return remarks(
        Life(state=state, why=why),
        is_starved=False,
        is_proven=True,
        in_outage=in_outage,
        excess=None,
        in_vain=None,
    )


def test_a_failure_is_told_with_what_to_do_in_both_languages() -> None:
    assert said(State.PARKED, REFUSED) == Remarks(
        state=State.PARKED,
        reason="bad_credentials",
        error_code="401",
        message="no",
        user_action="mend it",
        user_action_zh="请改正",
    )


def test_nothing_is_said_of_one_that_is_well() -> None:
    assert said(State.ONLINE) == Remarks(state=State.ONLINE)
    assert said(State.ONLINE, in_outage=7) == Remarks(state=State.ONLINE)


def test_missing_heartbeats_have_a_reason() -> None:
    assert said(State.DEGRADED).reason == "heartbeats_missing"


def test_in_an_outage_an_account_says_so_and_what_to_do_only_if_it_is_refused_for_good() -> None:
    for state in (State.STARTING, State.CONNECTING, State.BACKOFF):
        found = said(state, REFUSED, in_outage=7)
        assert (found.reason, found.error_code) == ("platform_outage", "401")
        assert (found.user_action, found.user_action_zh) == ("mend it", "请改正")
        assert found.message is not None
        assert "7 accounts" in found.message
        assert "bad_credentials" in found.message
    assert said(State.BACKOFF, LOST, in_outage=7).user_action is None


def test_one_that_is_parked_or_was_never_tried_is_not_in_it() -> None:
    assert said(State.PARKED, REFUSED, in_outage=7).reason == "bad_credentials"
    assert said(State.STARTING, in_outage=7) == Remarks(state=State.STARTING)


def test_one_over_its_limit_says_so_while_it_is_well() -> None:
    life = Life(state=State.ONLINE)
    found = remarks(life, is_starved=False, is_proven=True, in_outage=0, excess=EXCESS, in_vain=None)
    assert (found.message, found.user_action, found.user_action_zh) == ("too big", "raise it", "请调高")
    failed = remarks(life, is_starved=False, is_proven=True, in_outage=0, excess=EXCESS, in_vain=LOST)
    assert failed.message == "too big; its successor failed: no route"


def test_one_whose_proof_is_too_old_is_not_called_online() -> None:
    found = remarks(
        Life(state=State.ONLINE), is_starved=False, is_proven=False, in_outage=0, excess=None, in_vain=None
    )
    assert found == Remarks(state=State.DEGRADED, reason="proof_too_old")


def test_one_that_gets_no_cpu_is_told_from_one_that_is_silent() -> None:
    found = remarks(
        Life(state=State.DEGRADED), is_starved=True, is_proven=False, in_outage=0, excess=None, in_vain=None
    )
    assert found == Remarks(state=State.DEGRADED, reason="starved")


def test_one_that_waits_for_its_app_says_for_whom_while_it_starts() -> None:
    def told(state: State) -> Remarks:
        life = Life(state=state, why=LOST)
        return remarks(
            life,
            is_starved=False,
            is_proven=True,
            in_outage=3,
            excess=None,
            in_vain=None,
            waits_for="old-name",
        )

    found = told(State.STARTING)
    assert (found.state, found.reason, found.user_action) == (State.STARTING, "app_in_use", None)
    assert "old-name" in (found.message or "")
    assert told(State.STOPPING).reason == "unreachable"
