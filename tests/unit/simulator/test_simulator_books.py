"""Apps, tickets, tokens, timings, client configurations: small pure parts."""

import pytest

from longwire_connectors.simulator.apps import AppRegistry, Verdict
from longwire_connectors.simulator.counters import keep
from longwire_connectors.simulator.fault_kinds import LarkClientConfig, LarkPongConfig
from longwire_connectors.simulator.lark_config import CLIENT_CONFIG, client_config, pong_config
from longwire_connectors.simulator.tickets import ExpiringTable, TokenBook
from longwire_connectors.simulator.timings import Timings


def test_an_app_is_trusted_with_its_first_secret() -> None:
    apps = AppRegistry(max_apps=1)
    assert apps.find("a") is None
    assert apps.check("a", secret="s") is Verdict.ACCEPTED
    assert apps.check("a", secret="s") is Verdict.ACCEPTED
    assert apps.check("a", secret="t") is Verdict.MISMATCH
    assert apps.check("b", secret="s") is Verdict.UNKNOWN_APP  # the registry is full


@pytest.mark.parametrize(("app", "secret"), [("", "s"), ("a", "")])
def test_empty_credentials_are_never_trusted(app: str, secret: str) -> None:
    assert AppRegistry().check(app, secret=secret) is Verdict.UNKNOWN_APP


def test_a_strict_registry_knows_only_what_was_registered() -> None:
    apps = AppRegistry(strict=True)
    assert apps.check("a", secret="s") is Verdict.UNKNOWN_APP
    apps.register("a", secret="s")
    assert apps.check("a", secret="s") is Verdict.ACCEPTED
    apps.register("a", secret="new", name="Bot")
    apps.register("a", secret="newer")
    assert apps.check("a", secret="new") is Verdict.MISMATCH
    found = apps.find("a")
    assert found is not None
    assert (found.name, found.is_registered) == ("Bot", True)


def test_an_entry_ends_is_taken_once_and_makes_room() -> None:
    table: ExpiringTable[int] = ExpiringTable(max_entries=2)
    table.put("a", value=1, expires_at=10.0)
    assert (table.get("a", now=9.9), table.get("a", now=10.0)) == (1, None)
    assert (table.take("a", now=0.0), table.take("a", now=0.0)) == (1, None)
    for number, key in enumerate("bcdb"):
        table.put(key, value=number, expires_at=10.0)
    assert [table.get(key, now=0.0) for key in "bcd"] == [3, None, 2]


def test_a_token_is_kept_until_thirty_minutes_remain_and_lives_two_hours() -> None:
    tokens = TokenBook()
    assert tokens.issue("a", fresh="t1", now=0.0) == ("t1", 7200)
    assert tokens.issue("a", fresh="t2", now=5399.0) == ("t1", 1801)
    assert tokens.issue("a", fresh="t2", now=5400.0) == ("t2", 7200)
    assert (tokens.owner("t1", now=7199.0), tokens.owner("t1", now=7200.0)) == ("a", None)


def test_the_long_waits_are_scaled_and_what_clients_must_keep_is_not() -> None:
    scaled = Timings().scaled(100.0)
    assert scaled.lark_ladder_s == (0.15, 3.0, 36.0, 216.0)
    assert scaled.lark_ack_deadline_s == 3.0
    assert scaled.dingtalk_ack_deadline_s == 5.0
    assert scaled.dingtalk_cut_s == 0.1
    assert scaled.dingtalk_ticket_life_s == 1.0
    with pytest.raises(ValueError, match="positive"):
        Timings().scaled(0.0)


def test_faults_change_the_client_config() -> None:
    fault = LarkClientConfig(platform="lark", values={"PingInterval": 0}, missing=["ReconnectNonce"])
    changed = {"ReconnectCount": -1, "ReconnectInterval": 90, "PingInterval": 0}
    assert client_config(None) == CLIENT_CONFIG
    assert client_config(fault) == changed
    assert pong_config(None, current=changed) == changed
    pushed = LarkPongConfig(platform="lark", values={"ReconnectCount": 1})
    assert pong_config(pushed, current=changed) == {**CLIENT_CONFIG, "ReconnectCount": 1}
    assert pong_config(LarkPongConfig(platform="lark", is_empty=True), current=changed) is None


def test_a_list_keeps_its_newest_entries() -> None:
    items: list[int] = []
    for item in range(5):
        keep(items, item=item, limit=3)
    assert items == [2, 3, 4]
