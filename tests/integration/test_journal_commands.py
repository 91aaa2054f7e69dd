"""Commands in the journal's file: one transaction with their events, one scope each, forgotten in slices."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fakes.journal import Gate, append, arrival, no_thread_stays, opened, path_fixture, read_all  # noqa: F401  # pytest finds them here
from longwire.journal import Arrivals, CommandRow, Commit
from longwire.journal.checksums import Damaged
from longwire.journal.commands import CommandTable, read_last_number, read_one, read_open
from longwire.journal.copying import copy, salvage
from longwire.journal.schema import open_for_writing
from longwire_protocol.errors import ConfigError


def row(number: int, *, scope: bytes | None = None, ended_at: float | None = None) -> CommandRow:
    return CommandRow(number=number, receipt=f"r{number}", scope=scope, ended_at=ended_at, body=b"body")


def batch(*rows: CommandRow) -> Arrivals:
    return Arrivals("bot", "acme", [], rows)


async def test_a_command_and_its_event_become_durable_together(path: Path) -> None:
    gate = Gate()
    async with opened(path, before_commit=gate) as journal:
        done: list[Commit] = []
        journal.record(Arrivals("bot", "acme", [arrival(1)], (row(1),)), done=done.append)
        await gate.wait_reached()
        assert not done
        assert await journal.find_command(receipt="r1") is None
        gate.open.set()
        await append(journal, batch())
        assert done[0].refused == ()
        assert await journal.find_command(receipt="r1") == row(1)
        assert len(await read_all(journal)) == 1


async def test_a_second_write_of_a_number_takes_the_place_of_the_first(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, batch(row(1, scope=b"s"), row(2)))
        await append(journal, batch(row(1, scope=b"s", ended_at=5e9)))
        assert await journal.open_commands() == (2, [row(2)])
        assert await journal.find_command(scope=b"s") == row(1, scope=b"s", ended_at=5e9)
    async with opened(path) as journal:
        assert await journal.open_commands() == (2, [row(2)])


async def test_a_scope_has_one_command_and_the_second_is_refused(path: Path) -> None:
    async with opened(path) as journal:
        first = await append(journal, batch(row(1, scope=b"s")))
        second = await append(journal, batch(row(2, scope=b"s"), row(3, scope=b"t"), row(4), row(5)))
        assert (first.refused, second.refused) == ((), (row(2, scope=b"s"),))
        assert await journal.find_command(receipt="r2") is None
        assert [each.number for each in (await journal.open_commands())[1]] == [1, 3, 4, 5]


@pytest.fixture(name="table")
def table_fixture(path: Path) -> sqlite3.Connection:
    return open_for_writing(path)


def write(table: CommandTable, *rows: CommandRow, now: float) -> Commit:
    (commit,) = table.write([batch(*rows)], [Commit([], [])], now=now)
    table.written()
    return commit


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM commands ORDER BY number")]


def test_what_ended_long_ago_is_forgotten_a_slice_at_a_time(table: sqlite3.Connection) -> None:
    with closing(table):
        commands = CommandTable(table, kept_s=100.0)
        write(commands, row(1), *(row(n, ended_at=10.0) for n in range(2, 702)), now=50.0)
        commands.write([], [], now=50.5)  # too soon for another look
        assert len(numbers(table)) == 701
        left = []
        for now in (200.0, 202.0, 204.0, 206.0):
            commands.write([], [], now=now)
            commands.written()
            left.append(len(numbers(table)))
        assert left == [501, 301, 101, 1]
        assert numbers(table) == [1]


def test_over_the_bound_the_oldest_that_have_ended_go_first(table: sqlite3.Connection) -> None:
    with closing(table):
        commands = CommandTable(table, most=3)
        write(commands, row(1), row(2, ended_at=9.0), row(3, ended_at=8.0), now=10.0)
        write(commands, row(4), row(5), now=10.0)
        assert numbers(table) == [1, 4, 5]
        write(commands, row(6), now=10.0)
        assert numbers(table) == [1, 4, 5, 6]  # what has not ended is never forgotten
        again = CommandTable(table, most=3)
        write(again, row(1, ended_at=11.0), now=11.0)
        assert numbers(table) == [4, 5, 6]


def test_a_scope_is_free_again_after_its_time(table: sqlite3.Connection) -> None:
    with closing(table):
        commands = CommandTable(table, kept_s=100.0)
        write(commands, row(1, scope=b"s", ended_at=10.0), now=10.0)
        assert write(commands, row(2, scope=b"s"), now=109.0).refused
        assert not write(commands, row(3, scope=b"s"), now=111.0).refused
        assert read_last_number(table) == 3


def test_what_was_rolled_back_is_not_counted(table: sqlite3.Connection) -> None:
    with closing(table):
        commands = CommandTable(table, most=2)
        table.execute("BEGIN")
        commands.write([batch(row(1, ended_at=1.0), row(2, ended_at=1.0))], [Commit([], [])], now=2.0)
        table.execute("ROLLBACK")
        write(commands, row(3, ended_at=1.0), row(4, ended_at=1.0), now=2.0)
        assert numbers(table) == [3, 4]


def spoil(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE commands SET body = x'00112233445566' WHERE number = 1")
        connection.commit()


async def test_a_damaged_open_command_is_refused_at_the_start_and_reported_by_recover(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, batch(row(1), row(2)))
    await asyncio.to_thread(spoil, path)
    with pytest.raises(ConfigError, match="r1"):
        async with opened(path):
            pass
    with pytest.raises(Damaged):
        await asyncio.to_thread(copy, path, path.with_name("copy"))
    saved = await asyncio.to_thread(salvage, path, path.with_name("saved"))
    assert saved.lost_states == ["command/r1"]
    async with opened(path.with_name("saved")) as journal:
        assert await journal.open_commands() == (2, [row(2)])


def test_a_damaged_row_is_never_read(path: Path, table: sqlite3.Connection) -> None:
    with closing(table):
        write(CommandTable(table), row(1), now=1.0)
    spoil(path)
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(Damaged):
            read_open(connection)
        with pytest.raises(Damaged):
            read_one(connection, receipt="r1")
