"""How the parent learns which connectors are installed: a real helper process, and distributions made up."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from longwire.config import Describer
from longwire_connectors.base import Connector, Declaration, Host, Link
from longwire_connectors.describe import describe, spec
from longwire_protocol.declaration import ENTRY_POINT_GROUP, ConnectorSpec, Constraints, OptionSpec
from longwire_protocol.errors import ConfigError
from longwire_protocol.link import LinkFailure

MODULE = """
import os, sys
import msgspec
from longwire_connectors.base import Connector, Declaration

print("hello from an import")
os.system("echo and from a process of it")

class Options(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    room: int = 3

class Noisy(Connector):
    declaration = Declaration(
        options=Options, platform="noise", secrets=("token",), identity="room", extra="noise",
        methods=("message.create",), backoff_initial_s=2, backoff_max_s=9,
    )
    def __init__(self, options, host): ...
    def load(self): ...
    async def serve(self, link): ...
"""


def install(folder: Path, distribution: str, entry_points: Mapping[str, str], **modules: str) -> None:
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entry_points.items())
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{lines}")
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


def specs_of(folder: Path) -> dict[str, ConnectorSpec]:
    return Describer(environ={**os.environ, "PYTHONPATH": str(folder)})()


def test_plugin_is_described_though_it_prints_while_it_is_imported(tmp_path: Path) -> None:
    install(tmp_path, "noise-bots", {"noise": "noisy:Noisy"}, noisy=MODULE)

    assert specs_of(tmp_path)["noise"] == ConnectorSpec(
        name="noise",
        distribution="noise-bots 1.0",
        platform="noise",
        options=(
            OptionSpec(name="token", type="string", required=True, is_secret=True),
            OptionSpec(name="room", type="integer", default=3),
        ),
        identity="room",
        extra="noise",
        methods=("message.create",),
        backoff_initial_s=2.0,
        backoff_max_s=9.0,
    )


def test_plugin_that_fails_to_import_harms_no_other(tmp_path: Path) -> None:
    found = {
        "noise": "noisy:Noisy",
        "raises": "raising",
        "exits": "exiting",
        "is_no_class": "noisy:os",
        "has_no_module": "nowhere:X",
        "has_no_attribute": "noisy:Nothing",
    }
    install(
        tmp_path,
        "bad-bots",
        found,
        noisy=MODULE,
        raising="raise RuntimeError('not today')",
        exiting="raise SystemExit(3)",
    )

    specs = specs_of(tmp_path)

    assert specs["noise"].error is None
    assert specs["raises"].error == "RuntimeError: not today"
    assert specs["exits"].error == "SystemExit: 3"
    assert "is not a subclass" in str(specs["is_no_class"].error)
    assert "No module named 'nowhere'" in str(specs["has_no_module"].error)
    assert "Nothing" in str(specs["has_no_attribute"].error)
    assert specs["raises"].distribution == "bad-bots 1.0"


def test_name_claimed_by_two_distributions_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "noise-bots", {"noise": "noisy:Noisy"}, noisy=MODULE)
    install(tmp_path, "other-bots", {"noise": "noisy:Noisy"})

    noise = specs_of(tmp_path)["noise"]

    assert noise.distribution == "noise-bots 1.0, other-bots 1.0"
    assert "uninstall all but one" in str(noise.error)


def test_modules_of_the_working_folder_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('a file of the working folder was imported')")
    monkeypatch.chdir(tmp_path)

    assert Describer()()


def test_our_own_connectors_are_listed() -> None:
    assert {"lark", "dingtalk", "loopback"} <= Describer()().keys()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.stderr.write('first\\nlast words\\n'); sys.exit(3)", "exit status 3, last words"),
        ("raise SystemExit(4)", "exit status 4, without a word"),
        ("print('no json')", "no list of connectors"),
        ("print('[5]')", "another longwire"),
        ("import time; time.sleep(60)", "not done after"),
    ],
)
def test_failing_helper_is_a_clear_error(code: str, message: str) -> None:
    timeout_s = 0.2 if "sleep" in code else 30.0

    with pytest.raises(ConfigError, match="could not be listed") as caught:
        Describer(timeout_s=timeout_s, arguments=["-c", code])()

    assert message in str(caught.value)


def test_missing_interpreter_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Describer()("/no/such/python")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Everything(msgspec.Struct, kw_only=True, rename={"kind": "type"}):
    text: Annotated[str, msgspec.Meta(min_length=1, pattern="^x", description="A text.")]
    number: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    ratio: Annotated[float, msgspec.Meta(gt=0)] | None = None
    title: Annotated[str | None, msgspec.Meta(description="A title.")] = None
    is_quick: bool = True
    tags: list[Annotated[str, msgspec.Meta(max_length=9)]] = []
    ports: tuple[int, ...] = (1, 2)
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] | None = None
    level: Literal[1, 2] = 1
    either: str | int = "x"
    mixed: Literal["a", 1] = 1
    table: dict[str, int] = {}
    tables: list[dict[str, int]] = []


EVERYTHING = [
    OptionSpec(
        name="text",
        type="string",
        required=True,
        description="A text.",
        constraints=Constraints(min_length=1, pattern="^x"),
    ),
    OptionSpec(name="number", type="integer", default=3, constraints=Constraints(ge=1, le=5)),
    OptionSpec(name="ratio", type="number", constraints=Constraints(gt=0)),
    OptionSpec(name="title", type="string", description="A title."),
    OptionSpec(name="is_quick", type="boolean", default=True),
    OptionSpec(name="tags", type="array of string", default=[], constraints=Constraints(max_length=9)),
    OptionSpec(name="ports", type="array of integer", default=[1, 2]),
    OptionSpec(name="colour", type="string", default="red", choices=("red", "blue")),
    OptionSpec(name="type", type="string", choices=("a", "b")),
    OptionSpec(name="level", type="integer", default=1, choices=(1, 2)),
    OptionSpec(name="either", type="any", default="x"),
    OptionSpec(name="mixed", type="any", default=1, choices=("a", 1)),
    OptionSpec(name="table", type="any", default={}),
    OptionSpec(name="tables", type="any", default=[]),
]


@pytest.mark.parametrize("expected", EVERYTHING, ids=lambda option: option.name)
def test_option_is_described_in_the_words_of_the_file(expected: OptionSpec) -> None:
    described = spec("x", Declaration(options=Everything, platform="x"))

    decoded = msgspec.json.decode(msgspec.json.encode(described), type=ConnectorSpec)
    found = next(option for option in decoded.options if option.name == expected.name)
    assert msgspec.structs.replace(found, choices=()) == msgspec.structs.replace(expected, choices=())
    assert sorted(map(str, found.choices)) == sorted(map(str, expected.choices))


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (Declaration(options=Everything, platform="x", secrets=("nope",)), "do not exist: nope"),
        (Declaration(options=Everything, platform="x", identity="nope"), "do not exist: nope"),
        (
            Declaration(options=Everything, platform="x", secrets=("number",)),
            "secrets must be strings: number",
        ),
    ],
)
def test_declaration_that_contradicts_itself_is_refused(declaration: Declaration, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec("x", declaration)


class Undeclared(Connector):
    def __init__(self, options: Any, host: Host) -> None: ...

    def load(self) -> str:
        return "none"

    async def serve(self, link: Link) -> LinkFailure:
        del link
        raise AssertionError("a class without a declaration is never made")


def test_class_without_a_declaration_is_refused() -> None:
    claim = EntryPoint(name="x", group=ENTRY_POINT_GROUP, value=f"{__name__}:Undeclared")

    (found,) = describe([claim])

    assert found.distribution == "unknown"
    assert "Undeclared.declaration is not" in str(found.error)
