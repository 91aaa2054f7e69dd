"""The metrics of a real supervisor with webhooks, as the installed command prints and serves them."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families as parse

from harness.longwire import Longwire
from harness.processes import COMMAND, Program
from harness.targets.client import Targets
from harness.waiting import DEADLINE_S, until
from harness.webhooks import SECRET, until_target, webhook

EVENTS = {"connector": "loopback", "tenant": "acme", "rate_per_s": 100, "count": 5}
BOT = {"account": "bot", "tenant": "acme", "connector": "loopback"}
CRM = {"webhook": "crm", "tenant": "acme"}

Sample = tuple[str, frozenset[tuple[str, str]]]


class Metrics:
    """Values by name and labels."""

    def __init__(self, text: str) -> None:
        found = [sample for family in parse(text) for sample in family.samples]
        self._values = {_key(sample.name, sample.labels): sample.value for sample in found}
        assert len(self._values) == len(found), "a sample is there twice"

    def __call__(self, name: str, labels: Mapping[str, str] | None = None, **more: str) -> float | None:
        """Return the value of a metric; `None` if it is not there."""
        return self._values.get(_key(f"longwire_{name}", {**(labels or {}), **more}))

    def __len__(self) -> int:
        return len(self._values)


def _key(name: str, labels: Mapping[str, str]) -> Sample:
    return name, frozenset((label, value) for label, value in labels.items() if value)


async def printed(longwire: Longwire, *options: str) -> tuple[int, str]:
    """Return exit code and output of the verb."""
    process = await asyncio.create_subprocess_exec(
        *[COMMAND, "-c", str(longwire.config), "metrics", *options],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


@asynccontextmanager
async def served(longwire: Longwire, tmp_path: Path) -> AsyncIterator[tuple[Program, str]]:
    """Serve them; give the process and the URL."""
    command = [COMMAND, "-c", str(longwire.config), "metrics", "--listen", "0", "--json"]
    program = await Program.start(command, output=tmp_path / "metrics.log")
    try:

        async def announced() -> str | None:
            assert program.returncode is None, program.text()
            line, end, _ = program.text().partition("\n")
            return str(json.loads(line)["url"]) if end else None

        yield program, await until(announced, what="the metrics are served")
    finally:
        await program.kill()


def _scraped(url: str) -> tuple[int, str]:
    with urlopen(url, timeout=DEADLINE_S) as answer:  # noqa: S310
        return answer.status, answer.read().decode()


async def scraped(url: str) -> Metrics:
    status, text = await asyncio.to_thread(_scraped, url)
    assert status == 200
    return Metrics(text)


async def test_the_metrics_say_what_the_status_says(longwire: Longwire, targets: Targets) -> None:
    url = await targets.open("crm")
    crm = webhook(url, tenant="acme", types=["message.created"])
    longwire.configure({"bot": EVENTS}, webhooks={"crm": crm})
    await longwire.start()
    await longwire.until_online()
    await until_target(longwire, "crm", delivered=5, lag=0)

    before = await longwire.status()
    code, text = await printed(longwire)
    status = await longwire.status()

    assert code == 0
    metrics = Metrics(text)
    assert (metrics("up"), metrics("supervisor_state", state="ok")) == (1, 1)
    assert metrics("supervisor_state", state="draining") == 0
    assert metrics("info", version=status["supervisor"]["version"]) == 1
    first, last = (each["supervisor"]["last_seq"] for each in (before, status))
    assert first <= (metrics("journal_last_seq") or 0) <= last
    assert metrics("account_state", BOT, state="online") == 1
    assert metrics("account_state", BOT, state="backoff") == 0
    assert metrics("account_events_total", BOT) == status["accounts"][0]["events"] >= 5
    assert metrics("account_liveness_limit_seconds", BOT, layer="loop") == 5.0
    assert metrics("account_next_retry_timestamp_seconds", BOT) is None
    assert metrics("commands_ended_total", outcome="failed") == 0
    assert metrics("courier_state", state="ready") == 1
    assert metrics("courier_restarts_total") == 0
    assert metrics("webhook_state", CRM, state="delivering") == 1
    assert metrics("webhook_breaker_state", CRM, state="closed") == 1
    assert metrics("webhook_delivered_events_total", CRM) == 5
    assert metrics("webhook_lag", CRM) == 0
    assert metrics("subscription_lag", subscription="webhook:crm", tenant="acme") == 0
    delivered_at = status["webhooks"][0]["last_delivered_at"]
    assert metrics("webhook_last_delivered_timestamp_seconds", CRM) == delivered_at
    for secret in (SECRET, url, urlsplit(url).netloc):
        assert secret not in text


async def test_as_json_they_are_the_same_families(longwire: Longwire) -> None:
    longwire.configure({"bot": EVENTS})
    await longwire.start()
    await longwire.until_online()

    code, text = await printed(longwire, "--json")

    families: dict[str, Any] = {family["name"]: family for family in json.loads(text)}
    assert code == 0
    assert families["longwire_up"]["samples"] == [{"labels": {}, "value": 1.0}]
    online = {"labels": {**BOT, "state": "online"}, "value": 1.0}
    assert online in families["longwire_account_state"]["samples"]
    assert families["longwire_account_restarts_total"]["type"] == "counter"


async def test_without_a_supervisor_they_say_so_and_the_exit_code_too(longwire: Longwire) -> None:
    longwire.configure({"bot": EVENTS})

    code, text = await printed(longwire)

    metrics = Metrics(text)
    assert (code, metrics("up"), len(metrics)) == (69, 0, 1)


async def test_who_scrapes_is_answered_whether_or_not_there_is_a_supervisor(
    longwire: Longwire, targets: Targets, tmp_path: Path
) -> None:
    longwire.configure({"bot": EVENTS}, webhooks={"crm": webhook(await targets.open("crm"), tenant="acme")})
    async with served(longwire, tmp_path) as (program, url):
        assert (await scraped(url))("up") == 0
        await longwire.start()
        await longwire.until_online()
        metrics = await scraped(url)
        assert (metrics("up"), metrics("account_state", BOT, state="online")) == (1, 1)
        assert metrics("webhook_state", CRM, state="delivering") is not None

        await longwire.stop()
        metrics = await scraped(url)
        assert (metrics("up"), len(metrics)) == (0, 1)

        await longwire.start()
        assert (await scraped(url))("up") == 1
        assert (await program.stop())[0] == 0

    said = program.text().splitlines()[1:]
    assert len([line for line in said if "no supervisor" in line]) == 2
    assert len([line for line in said if "answers again" in line]) == 2
    assert len(said) == 4, said


async def test_a_supervisor_that_hangs_is_down_and_ends_no_scrape_and_no_server(
    longwire: Longwire, tmp_path: Path
) -> None:
    longwire.configure({"bot": EVENTS})
    await longwire.start()
    await longwire.until_online()
    async with served(longwire, tmp_path) as (program, url):
        longwire.program.send(signal.SIGSTOP)
        assert (await scraped(url))("up") == 0

        waiting = asyncio.create_task(asyncio.to_thread(_scraped, url), name="a scrape under way")
        await until(lambda: _is_connected(program.pid), what="it is under way")
        assert (await program.stop())[0] == 0
        await asyncio.gather(waiting, return_exceptions=True)  # cut off, as it should be

        longwire.program.send(signal.SIGCONT)
        await longwire.until_online()


async def _is_connected(pid: int) -> bool:
    """Return whether somebody is connected to the process over TCP."""
    found = psutil.Process(pid).net_connections("tcp")
    return any(connection.status == psutil.CONN_ESTABLISHED for connection in found)
