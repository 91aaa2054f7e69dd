"""Where lines of the supervisor go in a host that has set up its own logging, or none."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from longwire import logger
from longwire.logger import aside, get_logger

ROOT = Path(__file__).parents[2] / "supervisor" / "longwire"


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    structlog.configure()  # as for every other test


def test_without_structlog_a_line_goes_to_the_standard_tree(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="longwire"):
        get_logger("longwire.test").info("account_state", account="acme", nothing=None, text="100 %s")
        get_logger("longwire.test").debug("too_quiet")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("longwire.test", "INFO")
    assert record.getMessage() == "account_state account='acme' text='100 %s'"
    assert vars(record)["longwire"] == {"event": "account_state", "account": "acme", "text": "100 %s"}
    assert not structlog.is_configured()


def test_a_secret_is_blanked_for_the_host_too(caplog: pytest.LogCaptureFixture) -> None:
    logger.blank(["hunter2-in-a-host"])
    log = get_logger("longwire.test").bind(account="acme")
    try:
        int("hunter2-in-a-host")
    except ValueError:
        log.exception("failed", deep=[{"of": ("hunter2-in-a-host", object)}])
    assert "hunter2" not in caplog.text
    assert "ValueError: invalid literal for int()" in caplog.text


def test_former_secrets_are_blanked_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "_MAX_FORMER", 2)
    redaction = logger.Redaction()
    for number in range(4):
        redaction.blank(["in-use-all-the-time", f"former-{number}"])
    said = redaction.text("in-use-all-the-time former-0 former-1 former-2 former-3")
    assert said == "[redacted] former-0 [redacted] [redacted] [redacted]"


def test_a_host_with_structlog_gets_the_line_through_its_own_processors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[dict[str, Any]] = []

    def see(_logger: Any, method: str, fields: Any) -> Any:
        seen.append({"method": method, **fields})
        raise structlog.DropEvent

    logger.blank(["hunter2-in-a-host"])
    log = get_logger("longwire.test")
    structlog.configure(processors=[see])
    log.warning("said", text="hunter2-in-a-host")
    assert seen == [{"method": "warning", "event": "said", "text": "[redacted]"}]
    assert not caplog.records


def test_lines_are_kept_for_the_supervisor_that_says_them() -> None:
    kept: list[Any] = []
    token = logger.keeper.set(kept.append)
    try:
        get_logger("longwire.test").info("said", account="acme")
        get_logger("longwire.test").debug("not_kept")
    finally:
        logger.keeper.reset(token)
    get_logger("longwire.test").info("of_another")
    assert [(line["event"], line["level"], line["account"]) for line in kept] == [("said", "info", "acme")]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_speaks_past_the_hosts_settings(path: Path) -> None:
    own = path.name in {"logs.py", "logger.py"}
    assert own or not re.search(r"structlog\.get_logger|import structlog", path.read_text(encoding="utf-8"))


def test_a_line_said_aside_keeps_its_fields_whatever_their_names() -> None:
    said: list[Callable[[], object]] = []
    token = aside.set(said.append)
    try:
        log = get_logger("longwire.aside").bind(account="acme")
        log.info("configured", method="account.add", name="n", say_aside="x")
    finally:
        aside.reset(token)
    with capture_logs() as logs:
        for line in said:
            line()
    fields = {"account": "acme", "method": "account.add", "name": "n", "say_aside": "x"}
    assert logs == [{"event": "configured", "log_level": "info", **fields}]
