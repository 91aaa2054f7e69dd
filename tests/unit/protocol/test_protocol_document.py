"""`docs/protocol.md` against the code: its bytes, its tables, its names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longwire import service
from longwire.deadletters import DeadLetter
from longwire.delivery import Cause
from longwire.lifecycle import State
from longwire.outbox import Command, facts
from longwire.outbox import State as CommandState
from longwire.status import (
    AccountStatus,
    OutageStatus,
    OutboxStatus,
    SubscriptionStatus,
    SupervisorStatus,
    TemplateStatus,
)
from longwire.webhooks.status import CourierStatus, TargetStatus
from longwire_protocol import codec, errors, frames, messages
from longwire_protocol.codec import Decoder
from longwire_protocol.event import Event
from longwire_protocol.methods import COURSES
from longwire_protocol.version import CHILD_PROTOCOL, CLIENT_PROTOCOL

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")

_EXCHANGED = re.compile(
    r"`(?P<way>->|<-)` \*\*(?P<kind>\w+)\*\*\n\n```json\n(?P<json>.*?)```\n\n```hex\n(?P<hex>.*?)```",
    re.DOTALL,
)
_GOLDEN = [
    pytest.param(
        match["way"],
        match["json"],
        bytes.fromhex(match["hex"]),
        id=f"{number}-{match['way']}-{match['kind']}",
    )
    for number, match in enumerate(_EXCHANGED.finditer(TEXT), 1)
]
_UNIONS: dict[str, Any] = {"->": messages.ToSupervisor, "<-": messages.ToClient}


def section(title: str) -> str:
    """Return the text under a heading, up to the next of its rank."""
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert match is not None, title
    return match[2]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of every row of the tables in a text."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("| ---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def wire_names(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def kind_of(struct: type[msgspec.Struct]) -> str:
    tag = struct.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


@pytest.mark.parametrize(("way", "pretty", "data"), _GOLDEN)
def test_the_bytes_of_the_session_are_what_the_code_reads_and_writes(
    way: str, pretty: str, data: bytes
) -> None:
    assert msgspec.msgpack.decode(data) == msgspec.json.decode(pretty)
    frame = Decoder[Any](_UNIONS[way])(data)
    assert codec.encode(frame).hex() == data.hex()


def test_the_session_shows_every_kind_in_each_direction() -> None:
    shown = {(match["way"], match["kind"]) for match in _EXCHANGED.finditer(TEXT)}
    assert shown == {(way, kind_of(kind)) for way, union in _UNIONS.items() for kind in union.__args__}
    assert TEXT.count("```hex") == len(_GOLDEN)


def test_the_events_of_the_session_are_events_with_number_and_delivery() -> None:
    for match in _EXCHANGED.finditer(TEXT):
        if match["kind"] == "events":
            frame = msgspec.msgpack.decode(bytes.fromhex(match["hex"]), type=messages.Events)
            for raw in frame.events:
                event = msgspec.msgpack.decode(raw, type=Event)
                assert event.seq is not None
                assert event.delivery is not None
                assert event.bot is not None


def test_the_table_of_frames_has_every_kind_with_every_field_and_direction() -> None:
    described: dict[str, tuple[set[str], list[str]]] = {}
    kind = ""
    for cells in rows(section("Frames")):
        if names(cells[0]):
            (kind,) = names(cells[0])
            described[kind] = (set(cells[1].split(", ")), [])
        if kind:
            described[kind][1].extend(names(cells[2]))
    known: dict[str, tuple[set[str], list[str]]] = {}
    for way, union in _UNIONS.items():
        for struct in union.__args__:
            letters, _ = known.setdefault(kind_of(struct), (set(), wire_names(struct)))
            letters.add("S" if way == "->" else "C")
    assert described == known


def test_the_table_of_frames_marks_what_may_be_absent() -> None:
    kind = ""
    structs = {kind_of(struct): struct for union in _UNIONS.values() for struct in union.__args__}
    for cells in rows(section("Frames")):
        kind = (names(cells[0]) or [kind])[0]
        if not kind or kind in {"reply", "events"}:  # the supervisor writes all fields of these
            continue
        fields = {field.encode_name: field for field in msgspec.structs.fields(structs[kind])}
        (name,) = names(cells[2])
        assert cells[3].endswith("?") != fields[name].required, f"{kind}.{name}"


def test_the_table_of_return_codes_is_that_of_the_code() -> None:
    described = {names(c[1])[0]: int(c[0]) for c in rows(section("Return codes")) if c[0].isdecimal()}
    assert described == {code.name: code.value for code in errors.RetCode}


def test_every_method_of_the_service_is_described_and_no_reserved_one_exists() -> None:
    described = {name for cells in rows(section("Methods")) for name in names(cells[0])}
    source = Path(service.__file__).read_text(encoding="utf-8")
    served = set(re.findall(r'^ {12}"([a-z_.]+)": self\._[a-z_]+,$', source, re.MULTILINE))
    assert served
    assert served | {"message.create"} <= described
    reserved = set(names(section("Reserved names")))
    assert not reserved & served
    assert "supervisor.drain" in reserved


def test_the_tables_of_event_and_status_have_every_field() -> None:
    def described(title: str) -> set[str]:
        return {name for cells in rows(section(title)) for name in names(cells[0])}

    assert set(wire_names(Event)) <= described("The event")
    status = described("Status and account states")
    assert set(wire_names(SupervisorStatus)) <= status
    assert set(wire_names(AccountStatus)) <= status
    assert set(wire_names(SubscriptionStatus)) <= status
    assert set(wire_names(TemplateStatus)) <= status
    assert set(wire_names(OutageStatus)) <= status
    assert set(wire_names(OutboxStatus)) <= status
    assert set(wire_names(CourierStatus)) <= status
    assert set(wire_names(TargetStatus)) <= status
    assert {state.value for state in State} <= status


def test_what_is_told_of_a_command_is_described() -> None:
    command = Command(
        number=1,
        receipt="r",
        tenant="t",
        account="a",
        platform="p",
        client="c",
        method="message.create",
        chat="c",
        accepted_at=0.0,
        deadline_at=1.0,
    )
    assert set(facts(command)) <= {
        name for cells in rows(section("`delivery.updated`")) for name in names(cells[0])
    }
    durable = section("Durable commands")
    assert {state.value for state in CommandState} <= set(names(durable))
    assert set(COURSES) | {"platform.call"} <= set(names(durable))


def test_the_table_of_dead_letters_has_every_field_and_value() -> None:
    described = section("Dead letters")
    assert set(wire_names(DeadLetter)) <= {name for cells in rows(described) for name in names(cells[0])}
    assert {cause.value for cause in Cause} <= set(names(described))


def test_the_versions_and_limits_are_those_of_the_code() -> None:
    assert f"**version {CLIENT_PROTOCOL}**" in TEXT
    assert f"(`CHILD_PROTOCOL`, now {CHILD_PROTOCOL})" in TEXT
    assert f"| frame from a client | {codec.MAX_REQUEST_BYTES >> 20} MiB |" in TEXT
    assert f"| frame to a client | {codec.MAX_FRAME_BYTES >> 20} MiB |" in TEXT


def test_every_private_frame_is_named() -> None:
    described = {(names(c[0]) or [""])[0]: c[1] for c in rows(section("Parent and child"))}
    for union, sender in ((frames.FromChild, "child"), (frames.ToChild, "parent")):
        for struct in union.__args__:
            assert described[kind_of(struct)] == sender


def test_links_inside_the_document_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    targets = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert targets <= headings
