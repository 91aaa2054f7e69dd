"""Children forked from a template: nothing of another account in them, no harm by its death."""

from __future__ import annotations

import asyncio

import psutil

from harness.longwire import Longwire, about_templates, dingtalk, lark
from harness.processes import is_alive, memory
from harness.simulator import Simulator
from harness.waiting import until

APPS = ("cli_one", "cli_two", "cli_three")


@about_templates
async def test_no_child_and_no_template_has_a_secret_of_another_account(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure(
        {app: lark(simulator.url, app) for app in APPS} | {"ding": dingtalk(simulator.url, "ding_four")}
    )
    await longwire.start()
    await longwire.until_online()
    pids = {app: (await longwire.account(app))["pid"] for app in APPS}
    template = psutil.Process(pids["cli_one"]).parent()
    assert template is not None
    assert {psutil.Process(pid).ppid() for pid in pids.values()} == {template.pid}
    found = {
        app: [other for other in (*APPS, "ding_four") if f"secret-of-{other}".encode() in content]
        for app, content in [(app, await asyncio.to_thread(memory, pid)) for app, pid in pids.items()]
    }
    assert found == {app: [app] for app in APPS}
    assert b"secret-of-" not in await asyncio.to_thread(memory, template.pid)


@about_templates
async def test_a_killed_template_takes_no_child_along_and_is_replaced(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({app: lark(simulator.url, app) for app in APPS}, defaults={"backoff_initial_s": 0.1})
    await longwire.start()
    await longwire.until_online()
    before = {app: (await longwire.account(app))["pid"] for app in APPS}
    template = psutil.Process(before["cli_one"]).parent()
    assert template is not None
    template.kill()
    psutil.Process(before["cli_one"]).kill()

    async def is_back() -> bool:
        account = await longwire.account("cli_one")
        return account["state"] == "online" and account["pid"] != before["cli_one"]

    await until(is_back, what="the killed child's account is online again")
    after = {app: (await longwire.account(app))["pid"] for app in APPS}
    assert {app for app in APPS if after[app] != before[app]} == {"cli_one"}
    assert psutil.Process(after["cli_one"]).parent() not in {None, template}
    assert longwire.log_events("template_exited")
    stopped, _ = await longwire.stop()
    assert stopped == 0
    assert not [pid for pid in after.values() if is_alive(pid)]


async def test_a_fresh_process_is_had_for_the_asking(simulator: Simulator, longwire: Longwire) -> None:
    longwire.configure(
        {"bot": lark(simulator.url, "cli_spawned", isolation="spawn"), "ding": dingtalk(simulator.url, "d")},
        defaults={"isolation": "fork"},
    )
    await longwire.start()
    await longwire.until_online()
    spawned, forked = [psutil.Process((await longwire.account(name))["pid"]) for name in ("bot", "ding")]
    assert spawned.ppid() == longwire.program.pid
    assert forked.ppid() != longwire.program.pid
