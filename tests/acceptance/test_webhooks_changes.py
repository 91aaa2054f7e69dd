"""Targets that come, change and go while the supervisor runs, and who may say so."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire
from harness.processes import COMMAND, Program
from harness.targets.behaviour import Answer, InTurn, Silent
from harness.targets.client import Targets
from harness.waiting import until
from harness.webhooks import SECRET, texts, until_target, verified, webhook
from longwire import CommandError, RetCode, Supervisor

ECHO = {"connector": "loopback", "echo": True, "tenant": "acme"}
MESSAGES = ["message.created"]
QUICK = {"retry_initial_s": 0.05, "retry_max_s": 0.2, "breaker_open_s": 0.3}


async def say(longwire: Longwire, *said: str) -> None:
    for text in said:
        await longwire.client.call("message.create", {"chat": "c", "text": text}, account="bot")


async def change(longwire: Longwire, method: str, name: str, *, tenant: str | None = None, **how: Any) -> Any:
    return await longwire.client.call(f"webhook.{method}", {"webhook": name, **how}, tenant=tenant)


async def refusal(longwire: Longwire, method: str, name: str, **how: Any) -> CommandError:
    with pytest.raises(CommandError) as caught:
        await change(longwire, method, name, **how)
    return caught.value


async def verb(longwire: Longwire, *arguments: str, code: int = 0) -> str:
    """Run `longwire webhooks` and return what it prints."""
    output = longwire.folder / f"verb-{asyncio.get_running_loop().time()}"
    command = [COMMAND, "-c", str(longwire.config), "webhooks", *arguments]
    program = await Program.start(command, output=output, cwd=longwire.folder, env={"S": SECRET})
    assert await program.ended(deadline_s=40) == code, program.text()
    return program.text()


async def test_a_target_that_is_changed_again_and_again_has_one_post_of_a_chat_under_way(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm", InTurn([Answer(delay_s=2.0), Answer()]))
    longwire.configure({"bot": ECHO}, webhooks={"crm": webhook(url, types=MESSAGES)})
    await longwire.start()
    await longwire.until_online()
    await say(longwire, "first", "second")
    await targets.until_arrived("crm", 1)

    for read_timeout_s in (11.0, 12.0, 13.0):
        await change(longwire, "update", "crm", config={"read_timeout_s": read_timeout_s})
    await until_target(longwire, "crm", lag=0)

    assert texts(await targets.arrivals("crm")) == ["first", "second"]


async def test_a_reload_touches_only_the_targets_that_differ(longwire: Longwire, targets: Targets) -> None:
    first, second = await targets.open("first"), await targets.open("second")
    kept = webhook(first, types=MESSAGES)
    longwire.configure({"bot": ECHO}, webhooks={"kept": kept, "gone": webhook(first, types=MESSAGES)})
    await longwire.start()
    await longwire.until_online()
    await say(longwire, "one")
    await until_target(longwire, "kept", delivered=1, lag=0)

    longwire.configure({"bot": ECHO}, webhooks={"kept": kept, "new": webhook(second, types=MESSAGES)})
    answer = await longwire.client.call("config.reload")
    assert answer["webhooks"] == {"added": ["new"], "removed": ["gone"], "changed": []}
    assert (answer["added"], answer["changed"]) == ([], [])
    await say(longwire, "two")
    await until_target(longwire, "kept", delivered=2, lag=0)  # counts of before: the lane is the same
    assert texts(await targets.until_arrived("second", 1)) == ["two"]
    assert {each["name"] for each in (await longwire.status())["subscriptions"]} == {
        "webhook:kept",
        "webhook:new",
    }
    longwire.configure({"bot": ECHO}, webhooks={"kept": {**kept, "url": "ftp://x", "colour": "red"}})
    with pytest.raises(CommandError) as caught:
        await longwire.client.call("config.reload")
    places = {problem["place"] for problem in caught.value.data["problems"]}
    assert places == {"webhooks.kept.url", "webhooks.kept.colour"}


async def test_a_target_added_by_command_misses_nothing_and_goes_on_when_it_is_added_again(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm")
    longwire.configure({"bot": ECHO})
    await longwire.start()
    await longwire.until_online()
    config = webhook(url, types=MESSAGES)
    del config["secret"]
    added = await change(longwire, "add", "crm", config=config, secrets={"secret": SECRET})
    assert (added["added"], added["until"]) == (["crm"], "supervisor restart")
    await say(longwire, "one")
    (arrival,) = await targets.until_arrived("crm", 1)
    assert verified(arrival)["text"] == "one"
    await until_target(longwire, "crm", lag=0, by_command="added")

    await longwire.stop()
    assert SECRET.encode() not in b"".join(
        path.read_bytes() for path in (longwire.folder / "var").rglob("*") if path.is_file()
    )
    await longwire.start()
    await longwire.until_online()
    assert await longwire.client.call("webhook.list") == []
    await say(longwire, "two")
    await change(longwire, "add", "crm", config=config)
    assert texts(await targets.until_arrived("crm", 2)) == ["one", "two"]

    assert (await refusal(longwire, "add", "crm", config=config)).retcode == RetCode.WEBHOOK_EXISTS
    await change(longwire, "remove", "crm")
    assert (await refusal(longwire, "remove", "crm")).retcode == RetCode.UNKNOWN_WEBHOOK
    assert (await longwire.status())["subscriptions"] == []


async def test_an_updated_target_gets_what_its_old_url_did_not_take(
    longwire: Longwire, targets: Targets
) -> None:
    bad, good = await targets.open("bad", Answer(500)), await targets.open("good")
    longwire.configure({"bot": ECHO}, webhooks={"crm": webhook(bad, types=MESSAGES, **QUICK)})
    await longwire.start()
    await longwire.until_online()
    await say(longwire, "one", "two", "three")
    await targets.until_arrived("bad", 2)

    await change(longwire, "update", "crm", config={"url": good})
    await until_target(longwire, "crm", delivered=3, lag=0, state="delivering")
    assert texts(await targets.arrivals("good")) == ["one", "two", "three"]


async def test_a_tenant_can_reach_neither_private_addresses_nor_the_operators_files(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm")
    longwire.configure({"bot": ECHO}, webhooks={"crm": webhook(url, tenant="acme", types=MESSAGES)})
    await longwire.start()
    public = {"url": "https://hooks.invalid/x"}
    for config, place in (
        ({**public, "allow_private": True}, "webhooks.own.allow_private"),
        ({"url": url, "allow_http": True, "allow_private": True}, "webhooks.own.allow_http"),
        ({"url": url}, "webhooks.own.url"),
        ({**public, "secret": "file:/etc/hostname"}, "webhooks.own"),
        ({**public, "headers": {"X-A": "env:HOME"}}, "webhooks.own"),
        ({**public, "tenant": "other"}, "webhooks.own.tenant"),
        ({**public, "headers": {"X-A": "a\r\nHost: b"}}, "webhooks.own.headers.X-A"),
    ):
        error = await refusal(longwire, "add", "own", tenant="acme", config=config)
        assert error.retcode == RetCode.CONFIG_REFUSED
        assert place in {problem["place"] for problem in error.data["problems"]}, config
    error = await refusal(longwire, "update", "crm", tenant="acme", config={"url": "http://127.0.0.1:1/"})
    assert error.retcode == RetCode.CONFIG_REFUSED  # the operator's allowance is for the operator's URL
    assert (await refusal(longwire, "remove", "crm", tenant="other")).retcode == RetCode.UNKNOWN_WEBHOOK
    assert await longwire.client.call("webhook.list", tenant="other") == []

    await change(longwire, "add", "own", tenant="acme", config=public, secrets={"secret": SECRET})
    (own,) = (
        each for each in await longwire.client.call("webhook.list", tenant="acme") if each["name"] == "own"
    )
    assert (own["tenant"], own["url"]) == ("acme", "https://hooks.invalid")


async def test_a_tenant_cannot_have_headers_sent_that_are_not_its_own(tmp_path: Path) -> None:
    asked: list[str] = []

    def vault(name: str) -> str:
        asked.append(name)
        return SECRET

    theirs = {
        "url": "https://crm.invalid/",
        "tenant": "acme",
        "headers": {"Authorization": "Bearer operators"},
    }
    config = {
        "supervisor": {"data_dir": str(tmp_path / "var")},
        "accounts": {"bot": ECHO},
        "webhooks": {"crm": theirs},
    }
    async with Supervisor(config, secrets={"vault": vault}) as supervisor:
        client = supervisor.client()

        async def update(**keys: Any) -> None:
            await client.call("webhook.update", {"webhook": "crm", "config": keys}, tenant="acme")

        with pytest.raises(CommandError) as caught:
            await update(url="https://evil.invalid/")
        assert caught.value.data["problems"][0]["place"] == "webhooks.crm.url"
        await update(types=MESSAGES)
        await update(url="https://own.invalid/", headers={"X-Key": "vault:of-another", "X-Own": "x"})
        assert asked == []
        await update(secret="vault:own")
        assert asked == ["own"]


async def test_nobody_but_the_courier_can_open_forget_or_ack_a_webhooks_subscription(
    longwire: Longwire, targets: Targets
) -> None:
    url = await targets.open("crm")
    longwire.configure({"bot": ECHO}, webhooks={"crm": webhook(url, types=MESSAGES)})
    await longwire.start()
    name = "webhook:crm"
    for method, params in (
        ("events.subscribe", {"name": name}),
        ("events.subscribe", {"name": name, "key": "guessed"}),
        ("events.subscribe", {"name": "webhook:other"}),
        ("events.unsubscribe", {"name": name}),
        ("events.unsubscribe", {"name": name, "forget": True}),
    ):
        with pytest.raises(CommandError):
            await longwire.client.call(method, params)


async def test_the_verbs_add_list_test_update_and_remove(longwire: Longwire, targets: Targets) -> None:
    url = await targets.open("crm")
    longwire.configure({"bot": ECHO})
    await longwire.start()
    table = longwire.folder / "crm.toml"
    table.write_text('types = ["message.created"]\nallow_http = true\nallow_private = true\n')

    added = await verb(longwire, "add", "crm", "--url", url, "--from", str(table), "--secret", "secret=env:S")
    assert "crm: added" in added
    assert "200" in await verb(longwire, "test", "crm")
    (arrival,) = await targets.arrivals("crm")
    assert verified(arrival)["type"] == "webhook.test"
    assert json.loads(await verb(longwire, "list", "--json"))[0]["name"] == "crm"
    await until_target(longwire, "crm", state="delivering")
    assert "delivering" in await verb(longwire, "list")
    await targets.behave("crm", Answer(500))
    assert "failed with 500" in await verb(longwire, "test", "crm", code=75)
    assert "crm: changed" in await verb(longwire, "update", "crm", "--unset", "secret")
    assert "crm: removed" in await verb(longwire, "remove", "crm")
    await verb(longwire, "remove", "crm", code=64)


async def test_a_host_gives_its_targets_with_its_accounts_and_their_secrets_from_its_vault(
    tmp_path: Path, targets: Targets
) -> None:
    url = await targets.open("crm")
    config = {
        "supervisor": {"data_dir": str(tmp_path / "var")},
        "accounts": {"bot": ECHO},
        "webhooks": {"crm": webhook(url, types=MESSAGES, secret="vault:crm", tenant="acme")},
    }
    async with Supervisor(config, secrets={"vault": {"crm": SECRET}.__getitem__}) as supervisor:
        assert (await supervisor.converged(timeout_s=40)).is_settled
        client = supervisor.client()

        await client.call("message.create", {"chat": "c", "text": "hello"}, account="bot")
        (arrival,) = await targets.until_arrived("crm", 1)
        assert verified(arrival)["text"] == "hello"

        async def is_done() -> bool:
            (crm,) = await client.call("webhook.list", tenant="acme")
            return bool(crm["lag"] == 0)

        await until(is_done, what="it is acknowledged")
        await supervisor.apply({"bot": ECHO, "other": ECHO})
        assert len(await client.call("webhook.list")) == 1


async def test_a_stopped_supervisor_goes_on_where_it_was(longwire: Longwire, targets: Targets) -> None:
    url = await targets.open("crm", Answer(500))
    longwire.configure({"bot": ECHO}, webhooks={"crm": webhook(url, types=MESSAGES, **QUICK)})
    await longwire.start()
    await longwire.until_online()
    await say(longwire, "one", "two")
    await targets.until_arrived("crm", 1)
    await longwire.stop()
    await targets.behave("crm", Answer(200))
    await longwire.start()
    await until_target(longwire, "crm", delivered=2, lag=0)
    arrivals = [arrival for arrival in await targets.arrivals("crm") if arrival.status == 200]
    assert texts(arrivals) == ["one", "two"]


async def test_a_tenant_that_tests_without_end_hurts_neither_the_courier_nor_another_tenant(
    longwire: Longwire, targets: Targets
) -> None:
    """Each of its targets has lists as large as can be, and hangs."""
    hung = await targets.open("hung", Silent())
    full = ["\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 122 + f"{number:06}" for number in range(1000)]
    theirs = webhook(hung, tenant="evil", accounts=full, types=full)
    other = webhook(await targets.open("well"), tenant="acme")
    longwire.configure({"bot": ECHO}, webhooks={"theirs": theirs, "other": other})
    await longwire.start()
    await longwire.client.call("webhook.test", {"webhook": "other"})
    before = (await longwire.status())["courier"]

    async def ask() -> CommandError:
        with pytest.raises(CommandError) as caught:
            await longwire.client.call("webhook.test", {"webhook": "theirs"}, tenant="evil", deadline_s=5)
        return caught.value

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask()) for _ in range(60)]
        await targets.until_arrived("hung", 1)
        tested = await longwire.client.call("webhook.test", {"webhook": "other"}, tenant="acme")
        assert tested["outcome"] == "delivered"
    assert RetCode.SATURATED in {task.result().retcode for task in asked}
    after = (await longwire.status())["courier"]
    assert (after["pid"], after["restarts"]) == (before["pid"], 0)
