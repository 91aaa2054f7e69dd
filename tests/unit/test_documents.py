"""The documents say what the code says."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import msgspec
import pytest
from msgspec import inspect

from longwire.cli.main import VERBS
from longwire.cli.main import main as command
from longwire.config import from_mapping
from longwire.config.settings import AccountConfig, AccountSettings, SupervisorSettings
from longwire.config.webhooks import Webhook
from longwire.courier.target import Target
from longwire.delivery import WindowLimits
from longwire.journal import JournalSettings, keyfilter
from longwire.journal.chunks import CHUNK_EVENTS
from longwire.journal.dedup import RUN_KEYS, RUNS_PER_FILTER
from longwire.journal.store import STEP_S
from longwire_connectors import handover
from longwire_connectors.base import Connector
from longwire_connectors.describe import spec
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.lark.connector import LarkConnector
from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.loopback import LoopbackOptions

JOURNAL, WINDOW = JournalSettings(), WindowLimits()
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])

NOT_IN_THE_FILE = {
    "is_link_timeout_explicit",
    "account",
    "platform",
    "app",
    "methods",
    "is_overlap_allowed",
    "link_burst",
    "repeat_window_s",
    "rates",
    "supported",
    "settings",
    "options",
}
"""Fields of settings that are no keys."""
BY_CONNECTOR = {"isolation", "backoff_initial_s", "backoff_max_s"}
PATHS = {"data_dir": "`var`", "endpoint": "`longwire.sock` in `data_dir`"}
"""Defaults that are made where the file is read."""


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], ModuleType]:
    def load(path: Path) -> ModuleType:
        found = importlib.util.spec_from_file_location(path.stem, path)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        monkeypatch.setitem(sys.modules, path.stem, module)  # msgspec looks annotations up there
        found.loader.exec_module(module)
        return module

    return load


# The life of an account.


def test_the_lifecycle_document_is_what_its_table_gives(load: Callable[[Path], ModuleType]) -> None:
    generator = load(DOCS / "make_lifecycle.py")
    message = "run `python docs/make_lifecycle.py`"
    assert text("docs/lifecycle.md") == generator.render(), message


# The configuration.


def keys_of(*structs: type[msgspec.Struct]) -> list[Any]:
    """Return the fields of settings that are keys of the file; `endpoints` is written `endpoint`."""
    fields = [field for struct in structs for field in msgspec.structs.fields(struct)]
    return [pytest.param(field, id=field.name) for field in fields if field.name not in NOT_IN_THE_FILE]


def rows(document: str) -> dict[str, list[str]]:
    """Return the cells of each row of the configuration's tables, by key."""
    found = re.findall(r"^\| `(\w+)` \| (.+) \|$", document, re.MULTILINE)
    return {key: [cell.strip() for cell in rest.split(" | ")] for key, rest in found}


def webhooks_section() -> str:
    """Return what the configuration's document says of webhooks: some keys have names that others have."""
    (found,) = re.findall(
        r"^## `\[webhooks\.NAME\]`$.*?(?=^## )", text("docs/configuration.md"), re.MULTILINE | re.DOTALL
    )
    return str(found)


def without_webhooks() -> str:
    return text("docs/configuration.md").replace(webhooks_section(), "")


def default_of(field: msgspec.structs.FieldInfo) -> str:
    name = field.name.replace("endpoints", "endpoint")
    if name in PATHS:
        return PATHS[name]
    if name in BY_CONNECTOR:
        return "by the connector"
    if field.required:
        return "none; required"
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    written = field.default or '""'
    return f"`{field.default:.16g}`" if isinstance(field.default, int | float) else f"`{written}`"


def limits_of(field: msgspec.structs.FieldInfo) -> list[str]:
    """Return the numbers that limit a value."""
    kind = inspect.type_info(field.type)
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    names = ("ge", "gt", "le", "lt")
    limits = [getattr(kind, name, None) for kind in kinds for name in names]
    return [f"{limit:.16g}" for limit in limits if limit is not None]


@pytest.mark.parametrize(
    "field",
    keys_of(
        SupervisorSettings, AccountSettings, AccountConfig, LarkOptions, DingTalkOptions, LoopbackOptions
    ),
)
def test_every_key_is_documented_with_its_default_and_limits(field: msgspec.structs.FieldInfo) -> None:
    name = field.name.replace("endpoints", "endpoint")
    documented = rows(without_webhooks())
    assert name in documented
    default, limits, meaning = documented[name]
    assert default.removesuffix("; secret") == default_of(field)
    assert [limit for limit in limits_of(field) if limit not in re.findall(r"[\d.]+", limits)] == []
    assert meaning


def test_no_key_is_documented_that_is_not_there() -> None:
    structs = (
        SupervisorSettings,
        AccountSettings,
        AccountConfig,
        LarkOptions,
        DingTalkOptions,
        LoopbackOptions,
    )
    known = {field.name for struct in structs for field in msgspec.structs.fields(struct)}
    documented = {key for key in rows(without_webhooks()) if not key.isupper()}
    assert documented - known == {"endpoint"}


def test_every_key_of_a_webhook_is_documented_with_its_default() -> None:
    documented = rows(webhooks_section())
    fields = {field.name: field for struct in (Target, Webhook) for field in msgspec.structs.fields(struct)}
    written = {"url": "needed", "tenant": "everybody's", "headers": "none"}
    for name in fields.keys() - {"name", "target", "secrets", "accounts", "types"}:
        assert documented[name][0] == written.get(name, default_of(fields[name])), name
    assert documented.keys() - fields.keys() == {"secret"}


# The command line.


def verbs() -> Iterator[str]:
    """Return every verb, those of groups too."""
    context = click.Context(command)
    for name in VERBS:
        found = command.get_command(context, name)
        if isinstance(found, click.Group):
            yield from (f"{name} {inner}" for inner in found.commands)
        else:
            yield name


@pytest.mark.parametrize("verb", list(verbs()))
def test_every_verb_is_documented(verb: str) -> None:
    assert f"`longwire {verb}" in text("docs/operations.md")


# The design.

SAID = (
    f"at most {handover.MAX_EVENTS:,} events or {handover.MAX_BYTES >> 20} MiB that are not stored",
    f"Events lie in rows of up to {CHUNK_EVENTS}.",
    f"are done in steps of {STEP_S * 1000:g} ms",
    f"at {RUN_KEYS:,} the log becomes a sorted run",
    f"over each {RUNS_PER_FILTER} runs (2 million keys, {keyfilter.SIZE_BYTES >> 20} MiB)",
    f"after {JOURNAL.retry_initial_s:g} s up to {JOURNAL.retry_max_s:g} s.",
    f"At {JOURNAL.max_waiting_events:,} waiting events or {JOURNAL.max_waiting_bytes >> 20} MiB",
    f"At most {WINDOW.max_events:,} or {WINDOW.max_bytes >> 20} MiB; the rest stays in the journal",
    f"a missing ack ({WINDOW.ack_timeout_s:g} s)",
    f"after {WINDOW.max_attempts} failures, or ten minutes",
)
"""Bounds and delays of the way of an event, as the document words them."""


@pytest.mark.parametrize("said", SAID)
def test_the_design_has_the_numbers_of_the_code(said: str) -> None:
    assert said in " ".join(text("docs/design.md").split())


# What an operator meets at night.

MAKERS = {"LinkFailure", "_failure", "_transient", "_permanent", "_Refusal"}
SOURCES = [
    path
    for root in ("supervisor", "connectors")
    for path in sorted((ROOT / root).rglob("*.py"))
    if not {"simulator", "demo", "cli"} & set(path.relative_to(ROOT).parts)
]
NAME = re.compile(r"[a-z]+(_[a-z]+)+")


def reasons() -> set[str]:
    """Return the constant names given to whatever makes a failure, and those of the parent's remedies."""
    return {name for path in SOURCES for name in _reasons(ast.parse(path.read_text(encoding="utf-8")))}


def _reasons(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
            given = [*node.args[:2], *(word.value for word in node.keywords if word.arg == "reason")]
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.IfExp | ast.Tuple):
            given = [node.value.elts[-1]] if isinstance(node.value, ast.Tuple) and node.value.elts else []
        else:
            continue
        for value in given:
            if isinstance(value, ast.Constant) and NAME.fullmatch(str(value.value)):
                yield str(value.value)


def test_every_reason_is_in_the_operators_document() -> None:
    found = reasons()
    assert {"bad_credentials", "heartbeat_timeout", "too_many_connections", "sdk_missing"} <= found
    document = text("docs/operations.md")
    assert sorted(reason for reason in found if f"`{reason}`" not in document) == []


LOGGED = re.compile(
    r'(?:\b_?log\.(?:debug|info|warning|error|exception|critical)|\blevel|"longwire\.child"\)\.critical)'
    r'\(\s*"([a-z_]+)"'
)


def test_every_log_event_is_in_the_operators_document() -> None:
    found = {name for path in SOURCES for name in LOGGED.findall(path.read_text(encoding="utf-8"))}
    found |= set(LOGGED.findall(text("supervisor/longwire/cli/run.py")))
    assert {"account_state", "child_exited", "child_log_lines_dropped", "uncaught_exception"} <= found
    document = text("docs/operations.md")
    assert sorted(event for event in found if f"`{event}`" not in document) == []


# The two READMEs.


def headings(document: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", without_blocks(document), re.MULTILINE)]


def blocks(document: str) -> list[str]:
    return re.findall(r"^```.*?^```$", document, re.MULTILINE | re.DOTALL)


def without_blocks(document: str) -> str:
    return re.sub(r"^```.*?^```$", "", document, flags=re.MULTILINE | re.DOTALL)


def shape(document: str) -> Mapping[str, object]:
    """Return what both languages share: headings, code, and how many rows, list items and links there are."""
    prose = without_blocks(document)
    return {
        "headings": headings(document),
        "blocks": blocks(document),
        "rows": len(re.findall(r"^\|", prose, re.MULTILINE)),
        "items": len(re.findall(r"^- ", prose, re.MULTILINE)),
        "links": sorted(set(re.findall(r"\]\(([^)]+)\)", prose)) - {"README.md", "README.zh-CN.md"}),
    }


def test_both_readmes_have_the_same_shape() -> None:
    english, chinese = shape(text("README.md")), shape(text("README.zh-CN.md"))
    for what, found in english.items():
        assert found == chinese[what], what


# All of them.


def anchor(heading: str) -> str:
    """Return GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(path.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        name, _, part = target.partition("#")
        file = path.parent / name if name else path
        assert file.is_file(), target
        if part:
            found = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {anchor(heading) for heading in found}, target


ELSEWHERE = re.compile(
    r"/work/|/root/|/home/|/tmp/|\bindex-url\b|pypi|registry|"
    r"\b(?!127\.0\.0\.1)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b",
    re.IGNORECASE,
)


OURS = [path for path in DOCUMENTS if path.name != "platforms.md"]
"""Platforms and SDKs have addresses of their own, which that document is about."""


@pytest.mark.parametrize("path", [*OURS, DOCS / "make_lifecycle.py"], ids=lambda path: path.name)
def test_no_document_names_a_machine_or_a_registry(path: Path) -> None:
    assert ELSEWHERE.findall(path.read_text(encoding="utf-8")) == []


def blocks_in(language: str) -> list[Any]:
    """Return the code of every document in a language."""
    return [
        pytest.param(block.removeprefix(f"```{language}\n").removesuffix("```"), id=f"{path.name}-{number}")
        for path in DOCUMENTS
        for number, block in enumerate(blocks(path.read_text(encoding="utf-8")))
        if block.startswith(f"```{language}\n")
    ]


@pytest.mark.parametrize("code", blocks_in("python"))
def test_python_in_documents_compiles(code: str) -> None:
    compile(code, "document", "exec")


@pytest.mark.parametrize("sample", blocks_in("toml"))
def test_configurations_in_documents_are_right(sample: str) -> None:
    values = tomllib.loads(sample)
    if "accounts" not in values:
        return
    connectors: dict[str, type[Connector]] = {"lark": LarkConnector, "dingtalk": DingTalkConnector}
    specs = {name: spec(name, connector.declaration) for name, connector in connectors.items()}
    values["accounts"] = {n: a for n, a in values["accounts"].items() if a["connector"] in specs}
    config = from_mapping(
        values,
        base=ROOT,
        specs=lambda _python: specs,
        environ={"ACME_LARK_SECRET": "s3cret"},
        read_secret=lambda _: "s3cret",
    )
    assert config.accounts.keys() == values["accounts"].keys()


def test_the_connector_of_the_example_can_be_described(
    tmp_path: Path, load: Callable[[Path], ModuleType]
) -> None:
    example = next(block for block in blocks(text("docs/connectors.md")) if "class LinesConnector" in block)
    path = tmp_path / "longwire_lines.py"
    path.write_text(example.removeprefix("```python\n").removesuffix("```"), encoding="utf-8")
    described = spec("lines", load(path).LinesConnector.declaration)
    assert [option.name for option in described.options if option.is_secret] == ["token"]
    assert described.identity == "bot"
