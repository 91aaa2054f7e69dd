"""What an hour's outage of a hundred accounts writes: bytes and lines, and whether a secret is in them.

Time is scaled: every delay of the law is divided, so that the accounts fail as often as in an hour. What is
bounded by the clock (a line a minute) is not scaled with it. `LONGWIRE_OUTAGE_SCALE=1` takes the hour.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from bench.outage import begin, crowd, watched
from bench.rows import Row
from bench.stage import Bench, Stage, staged
from chaos.judges.leaks import leaks

_HOUR_S = 3600.0
_LARK, _DINGTALK = 80, 20
_BACKOFF = {"lark": (0.1, 60.0), "dingtalk": (20.0, 300.0)}
"""The defaults: initial and cap, in seconds."""

_RATE_PER_S = 50.0
_SHOWN = 5


async def measure(bench: Bench) -> list[Row]:
    """Let them fail for an hour, and count what that wrote; at the log level of an operator."""
    scale = float(os.environ.get("LONGWIRE_OUTAGE_SCALE", bench.pick(60, 20)))
    share = bench.pick(10, 1)
    size = (_LARK + _DINGTALK) // share

    def accounts(url: str) -> dict[str, dict[str, Any]]:
        made = crowd(url, lark=_LARK // share, dingtalk=_DINGTALK // share)
        return {name: account | _hurried(account["connector"], scale) for name, account in made.items()}

    async with staged(bench, accounts) as stage:
        stage.longwire.configure(
            stage.longwire.accounts,
            connect_rate_per_s=_RATE_PER_S * scale,
            connect_burst=round(_RATE_PER_S * scale),
        )
        async with watched(stage) as watch:
            before = _written(stage)
            asked = len(watch.attempts())
            await begin(stage.simulator)
            await watch.look_for(_HOUR_S / scale)
            attempts = len(watch.attempts()) - asked
            lines = stage.longwire.log().encode()[before["the log"] :]
            files = _written(stage)
            secrets = _leaks(stage)
    told = (
        f"{size} accounts, an hour's outage in {_HOUR_S / scale:.0f} s; most: "
        f"{', '.join(f'{name} {count}' for name, count in _events(lines).most_common(_SHOWN))}"
    )
    count = lines.count(b"\n")
    return [
        _row("bytes per account and hour", len(lines) / size, "bytes", "bounded", told),
        _row("lines per account and hour", count / size, "lines", "<= 1 an attempt and 60", told),
        _row("attempts per account and hour", attempts / size, "", "Lark <= 95, DingTalk <= 23 (T10)", told),
        _row("lines per attempt", count / max(1, attempts), "lines", "-", told),
        _row("kept in the data directory", files["log.jsonl"] - before["log.jsonl"], "bytes", "-", told),
        _row("secrets found", len(secrets), "", "0", "; ".join(secrets) or told),
    ]


def _row(name: str, value: float, unit: str, target: str, note: str) -> Row:
    return Row(name=f"outage's log: {name}", value=value, unit=unit, target=target, note=note)


def _hurried(connector: str, scale: float) -> dict[str, float]:
    initial_s, cap_s = _BACKOFF[connector]
    return {"backoff_initial_s": initial_s / scale, "backoff_max_s": cap_s / scale}


def _written(stage: Stage) -> dict[str, int]:
    """Return the sizes of the supervisor's output and of what the data directory keeps of it."""
    kept = sum(path.stat().st_size for path in _kept(stage))
    return {"the log": stage.longwire.log_file.stat().st_size, "log.jsonl": kept}


def _kept(stage: Stage) -> list[Path]:
    return sorted((stage.longwire.folder / "var").glob("log.jsonl*"))


def _leaks(stage: Stage) -> list[str]:
    accounts = stage.longwire.accounts.values()
    secrets = {account.get("app_secret") or account["client_secret"] for account in accounts}
    texts = [path.read_text(errors="replace") for path in (stage.longwire.log_file, *_kept(stage))]
    return [found.text for text in texts for found in leaks(text, secrets=secrets, where="the log", at=0.0)]


def _events(lines: bytes) -> Counter[str]:
    return Counter(json.loads(line)["event"] for line in lines.splitlines() if line.startswith(b"{"))
