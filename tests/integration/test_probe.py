"""Credentials tried by real helper processes: platforms that are silent or away, helpers that fail."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from harness.interpreters import script
from longwire.config import AccountConfig, Describer, from_mapping
from longwire.probe import Checks, Prober
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.link import Fault

NOBODY = "http://127.0.0.1:1"
SECRET = "secret-of-the-app"


@pytest.fixture
def silent() -> Iterator[str]:
    """A platform that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def accounts(base: Path, **domains: str) -> list[AccountConfig]:
    """Return a Lark account for each name."""
    values: dict[str, Any] = {
        name: {"connector": "lark", "app_id": f"cli_{name}", "app_secret": SECRET, "domain": domain}
        for name, domain in domains.items()
    }
    config = from_mapping({"accounts": values}, base=base, specs=Describer(), environ={})
    return list(config.accounts.values())


def run_by(account: AccountConfig, python: str) -> AccountConfig:
    """Return it with another interpreter, unseen by the checks of the configuration."""
    return replace(account, settings=replace(account.settings, python=python))


def test_an_account_whose_platform_is_silent_costs_the_others_nothing(tmp_path: Path, silent: str) -> None:
    wanted = accounts(tmp_path, quiet=silent, lost=NOBODY)
    quiet, lost = Prober(timeout_s=6.0)(wanted)
    assert (quiet.reason, quiet.fault) == ("probe_failed", Fault.TRANSIENT)
    assert "within 6 s" in (quiet.message or "")
    assert (lost.account, lost.reason) == ("lost", "unreachable")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("exit 3", "exit status 3"),
        ("cat > /dev/null; echo 'no json at all'", "did not say"),
        ('cat > /dev/null; echo \'{"account": "other", "probe": {}}\'', "did not say"),
    ],
)
def test_a_helper_that_fails_is_that_accounts_failure(tmp_path: Path, body: str, said: str) -> None:
    (account,) = accounts(tmp_path, bot=NOBODY)
    (found,) = Prober()([run_by(account, script(tmp_path, body))])
    assert (found.ok, found.reason) == (False, "probe_failed")
    assert said in (found.message or "")


def test_interpreters_are_asked_beside_each_other_and_one_that_is_not_there_harms_none(
    tmp_path: Path,
) -> None:
    wanted = accounts(tmp_path, gone=NOBODY, here=NOBODY)
    wanted[0] = run_by(wanted[0], str(tmp_path / "no-python"))
    gone, here = Prober()(wanted)
    assert (gone.reason, here.reason) == ("probe_failed", "unreachable")


async def test_a_check_that_is_given_up_ends_its_helper_at_once(tmp_path: Path, silent: str) -> None:
    (account,) = await asyncio.to_thread(accounts, tmp_path, quiet=silent)
    hangs = run_by(account, script(tmp_path, "cat > /dev/null; exec sleep 600"))
    checks = Checks()
    under_way = [asyncio.create_task(checks.check(hangs, deadline_s=500)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(CommandError) as refused:
        await checks.check(hangs, deadline_s=500)
    assert refused.value.retcode == RetCode.SATURATED
    for task in under_way:
        task.cancel()
    async with asyncio.timeout(20):
        await asyncio.wait(under_way)
        await asyncio.get_running_loop().shutdown_default_executor()  # waits for the threads
