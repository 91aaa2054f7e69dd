"""The demo for people: a live table, and the closing words."""

from __future__ import annotations

import asyncio
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from longwire.demo.story import Story, Summary

_PER_S = 8
_STYLES = {"online": "green", "parked": "bold red", "backoff": "red", "degraded": "red"}


async def show(story: Story, console: Console) -> None:
    """Keep the table up to date until cancelled."""
    with Live(_picture(story), console=console, refresh_per_second=_PER_S, transient=False) as live:
        try:
            while True:
                await asyncio.sleep(1 / _PER_S)
                live.update(_picture(story))
        finally:
            live.update(_picture(story), refresh=True)


def _picture(story: Story) -> Group:
    table = Table("account", "connector", "state", "pid", "run", "events", "why", box=box.SIMPLE_HEAD)
    for account in story.accounts:
        table.add_row(*_row(account))
    summary = story.summary
    counts = f"{story.elapsed_s:5.1f} s   messages {summary.messages}   answered {summary.answered}   "
    return Group(table, Text(counts + story.line))


def _row(account: dict[str, Any]) -> tuple[Text, ...]:
    state = str(account["state"])
    why = "" if state == "online" else str(account["reason"] or "")
    return (
        Text(account["account"]),
        Text(account["connector"]),
        Text(state, style=_STYLES.get(state, "yellow")),
        Text(str(account["pid"] or "")),
        Text(str(account["incarnation"])),
        Text(str(account["events"])),
        Text(why),
    )


def close(summary: Summary, console: Console) -> None:
    """Say what was seen."""
    table = Table("what broke", "healed in", "the SDK alone", box=box.SIMPLE_HEAD)
    for heal in summary.heals:
        table.add_row(f"{heal.fault} ({heal.account})", f"{heal.seconds:.1f} s", heal.alone)
    console.print(table)
    console.print(
        f"{summary.accounts} accounts were online after {summary.online_after_s:.1f} s. "
        f"{summary.messages} messages were written, {summary.answered} were answered, "
        f"in {summary.seconds:.0f} s with {len(summary.heals)} faults.",
        soft_wrap=True,
    )
