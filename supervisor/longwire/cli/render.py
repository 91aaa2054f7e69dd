"""Tables for people, from what a supervisor answers; fields that it does not send are left empty."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from longwire.cli.output import in_readers_words, printable

_PIPE_WIDTH: Final = 200
"""Columns where there is no terminal to ask: `| grep` wants whole lines."""

_STYLES: Final = {
    "ok": "green",
    "online": "green",
    "starting": "yellow",
    "connecting": "yellow",
    "backoff": "yellow",
    "degraded": "yellow",
    "draining": "yellow",
    "stopping": "dim",
    "stopped": "dim",
    "retired": "dim",
    "unfit": "bold red",
    "parked": "bold red",
    "delivering": "green",
    "probing": "yellow",
    "resting": "yellow",
    "refused": "bold red",
    "disabled": "bold red",
}
_QUIET_STATES: Final = ("online", "stopped")
"""States that need no line of explanation, unless there is something to do."""

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


class _Template(msgspec.Struct):
    connector: str
    python: str | None = None
    pid: int | None = None
    state: str = "?"
    children: int | None = None
    reason: str | None = None
    rss_bytes: int | None = None


class _Outage(msgspec.Struct):
    connector: str
    since: float | None = None
    accounts: int | None = None
    reason: str = ""


class _Supervisor(msgspec.Struct):
    version: str = "?"
    pid: int | None = None
    uptime_s: float = 0.0
    endpoint: str = ""
    state: str = "?"
    reason: str | None = None
    templates: list[_Template] = []
    by_command: dict[str, str] = {}
    outages: list[_Outage] = []


class _Webhook(msgspec.Struct):
    name: str
    tenant: str | None = None
    url: str = ""
    state: str = "?"
    message: str | None = None
    retry_at: float | None = None
    lag: int = 0
    delivered: int = 0
    failed: int = 0
    dead: int = 0


class _Account(msgspec.Struct):
    account: str
    tenant: str = ""
    connector: str = ""
    state: str = "?"
    reason: str | None = None
    error_code: str | None = None
    message: str | None = None
    user_action: str | None = None
    user_action_zh: str | None = None
    since: float | None = None
    next_retry_at: float | None = None
    restarts: int | None = None
    last_event_at: float | None = None
    pss_bytes: int | None = None
    rss_bytes: int | None = None
    cpu_percent: float | None = None


def show_status(data: Mapping[str, Any]) -> None:
    """Print the supervisor's line, the table of accounts, and that of templates if there are any."""
    supervisor = msgspec.convert(data["supervisor"], _Supervisor)
    console = _console()
    line = Text(f"longwire {supervisor.version}  pid {supervisor.pid}  up {span(supervisor.uptime_s)}  ")
    line.append(supervisor.state, style=_STYLES.get(supervisor.state, ""))
    if supervisor.reason:
        line.append(f" ({printable(supervisor.reason)})")
    console.print(line.append(f"  {supervisor.endpoint}"))
    for outage in supervisor.outages:
        console.print(Text(printable(_outage(outage, time.time())), style="bold yellow"))
    _print_accounts(console, data["accounts"])
    for name, how in supervisor.by_command.items():
        console.print(
            Text(f"{printable(name)}: {printable(how)} by command, until the supervisor is restarted")
        )
    if supervisor.templates:
        _print_templates(console, supervisor.templates)


def show_accounts(found: Iterable[Mapping[str, Any]]) -> None:
    """Print the table of accounts."""
    _print_accounts(_console(), found)


def show_webhooks(found: Iterable[Mapping[str, Any]]) -> None:
    """Print the table of webhooks, and why one is not delivering."""
    webhooks = [msgspec.convert(each, _Webhook) for each in found]
    columns = ("webhook", "tenant", "target", "state", "lag", "delivered", "failed", "dead")
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for each in webhooks:
        state = Text(printable(each.state), style=_STYLES.get(each.state, ""))
        counts = (str(number) for number in (each.lag, each.delivered, each.failed, each.dead))
        table.add_row(_cell(each.name), _cell(each.tenant or "*"), _cell(each.url), state, *counts)
    console = _console()
    console.print(table)
    for each in webhooks:
        if each.message:
            retry_in_s = None if each.retry_at is None else max(0.0, each.retry_at - time.time())
            when = "" if retry_in_s is None else f"; again in {span(retry_in_s)}"
            console.print(Text(f"{printable(each.name)}: {printable(each.message)}{when}"))


def show_subscriptions(found: Iterable[Mapping[str, Any]]) -> None:
    """Print the table of subscriptions."""
    columns = ("name", "clients", "low_water", "lag", "in_flight", "dead_letters")
    table = Table(*(column.replace("_", " ") for column in columns), box=box.SIMPLE_HEAD)
    for subscription in found:
        table.add_row(*(_cell(str(subscription.get(column, ""))) for column in columns))
    _console().print(table)


def show_account(data: Mapping[str, Any]) -> None:
    """Print every field of an account that has a value."""
    now = time.time()
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in data.items():
        if value is not None:
            for row, text in _rows(name, value, now):
                table.add_row(Text(row, style="bold"), Text(printable(text)))
    _console().print(table)


def layer(found: Mapping[str, Any]) -> str:
    """Return a layer of liveness in words."""
    verdict = {True: "ok", False: "not proven", None: "nothing to prove"}[found["is_ok"]]
    age_s, limit_s = found["age_s"], found["limit_s"]
    age = "" if age_s is None else f", {age_s:.1f} s old"
    return verdict + age + ("" if limit_s is None else f", {limit_s:g} s are allowed")


def _rows(name: str, value: Any, now: float) -> Iterator[tuple[str, str]]:
    """Yield the rows of a field: one, but for the layers of liveness."""
    if name == "liveness":
        yield from ((f"{name}: {which}", layer(found)) for which, found in value.items())
    else:
        yield name, _field(name, value, now)


def _field(name: str, value: object, now: float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and name.endswith(("since", "_at")):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        return f"{when}, {_ago(value, now)}"
    return msgspec.json.encode(value).decode()


def span(seconds: float) -> str:
    """Return a length of time in its largest unit."""
    for unit_s, unit in _UNITS:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def explanation(account: Mapping[str, Any], *, now: float) -> str:
    """Return why an account is not online and what is to be done; empty where there is nothing to say."""
    return _explanation(msgspec.convert(account, _Account), now)


def _explanation(account: _Account, now: float) -> str:
    if account.state in _QUIET_STATES and not account.user_action:
        return ""
    why = account.message or account.reason
    code = f" ({account.error_code})" if account.error_code and account.error_code not in (why or "") else ""
    parts = [f"{why}{code}"] if why else []
    if account.next_retry_at is not None:
        parts.append(f"next attempt in {span(account.next_retry_at - now)}")
    if account.user_action:
        parts.append(in_readers_words(account.user_action, account.user_action_zh))
    return "; ".join(parts)


def _console() -> Console:
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


_COLUMNS: Final[Mapping[str, Callable[[_Account, float], str]]] = {
    "account": lambda account, _: account.account,
    "tenant": lambda account, _: account.tenant,
    "connector": lambda account, _: account.connector,
    "state": lambda account, _: account.state,
    "since": lambda account, now: _ago(account.since, now),
    "restarts": lambda account, _: "" if account.restarts is None else str(account.restarts),
    "last event": lambda account, now: _ago(account.last_event_at, now),
}

_WIDE_COLUMNS: Final[Mapping[str, Callable[[_Account, float], str]]] = {
    **_COLUMNS,
    "memory": lambda account, _: _memory(account),
    "cpu": lambda account, _: "" if account.cpu_percent is None else f"{account.cpu_percent:.0f} %",
}
_WIDE: Final = 110
"""Columns of a terminal that has room for all of them."""


def _print_accounts(console: Console, found: Iterable[Mapping[str, Any]]) -> None:
    now = time.time()
    accounts = [msgspec.convert(account, _Account) for account in found]
    columns = _WIDE_COLUMNS if console.width >= _WIDE else _COLUMNS
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for account in accounts:
        table.add_row(*(_cell(column(account, now)) for column in columns.values()))
    console.print(table)
    for account in accounts:
        if explained := _explanation(account, now):
            console.print(Text(printable(f"{account.account}: {explained}")))


def _print_templates(console: Console, templates: Iterable[_Template]) -> None:
    table = Table("template", "python", "state", "pid", "processes", "resident", box=box.SIMPLE_HEAD)
    for template in templates:
        cells = (
            template.connector,
            template.python or "",
            template.state,
            "" if template.pid is None else str(template.pid),
            "" if template.children is None else str(template.children),
            _mebibytes(template.rss_bytes),
        )
        table.add_row(*map(_cell, cells))
    console.print(table)
    present = {(template.connector, template.python): template for template in templates}
    for template in present.values():
        if template.state == "unfit":
            console.print(Text(printable(_complaint(template))))


def _complaint(template: _Template) -> str:
    whose = f" of {template.python}" if template.python else ""
    return (
        f"template {template.connector}{whose}: {template.reason}; its accounts have fresh processes, which "
        'take more memory and time: mend it and restart them, or set isolation = "spawn" for them'
    )


def _outage(outage: _Outage, now: float) -> str:
    return (
        f"outage of {outage.connector} since {_ago(outage.since, now)}: {outage.accounts} accounts fail "
        f"together ({outage.reason}); they are tried by turns"
    )


def _cell(text: str) -> Text:
    return Text(printable(text), style=_STYLES.get(text, ""))


def _memory(account: _Account) -> str:
    """Return a process's share of memory; as long as it is not known, that it is less than all it has."""
    if account.pss_bytes is None and account.rss_bytes is not None:
        return f"<{_mebibytes(account.rss_bytes)}"
    return _mebibytes(account.pss_bytes)


def _mebibytes(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 2**20:.0f} MiB"


def _ago(at: float | None, now: float) -> str:
    if at is None:
        return ""
    return f"{span(now - at)} ago" if at <= now else f"in {span(at - now)}"
