"""The journal's migrations, on databases in memory: in order, whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from longwire.journal.checksums import unseal
from longwire.journal.migrations import APPLICATION_ID, SCHEMA_VERSION, STEPS, migrate


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def shape(connection: sqlite3.Connection) -> tuple[int, int, list[tuple[str]]]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return application, version, connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()


def test_every_version_leads_to_the_same_schema(database: sqlite3.Connection) -> None:
    migrate(database, version=0)
    assert shape(database)[:2] == (APPLICATION_ID, SCHEMA_VERSION)
    for version in range(1, SCHEMA_VERSION + 1):
        old = sqlite3.connect(":memory:", isolation_level=None)
        migrate(old, version=0, steps=STEPS[:version])
        assert shape(old)[1] == version
        migrate(old, version=version)
        assert shape(old) == shape(database)
        old.close()


def test_steps_are_taken_in_order_from_the_first_that_lacks(database: sqlite3.Connection) -> None:
    taken: list[int] = []
    steps = tuple((lambda _, n=n: taken.append(n)) for n in range(4))
    migrate(database, version=0, steps=steps[:2])
    assert taken == [0, 1]
    migrate(database, version=2, steps=steps)
    assert taken == [0, 1, 2, 3]
    migrate(database, version=4, steps=steps)
    assert taken == [0, 1, 2, 3]


def test_a_step_that_fails_undoes_those_before_it(database: sqlite3.Connection) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE chunks")
        raise sqlite3.OperationalError("disk full")

    migrate(database, version=0)
    before = shape(database)
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, version=SCHEMA_VERSION, steps=(*STEPS, lambda _: None, fail))
    assert shape(database) == before


def test_a_journal_of_version_1_keeps_its_events_numbers_and_states(database: sqlite3.Connection) -> None:
    migrate(database, version=0, steps=STEPS[:1])
    database.execute("INSERT INTO chunks VALUES (1, 3, 1.5, x'90')")
    database.execute("UPDATE high_water SET seq = 7")
    database.execute("INSERT INTO state VALUES ('k', x'01')")
    migrate(database, version=1)
    assert database.execute("SELECT * FROM chunks").fetchall() == [(1, 3, 1.5, b"\x90", None, None)]
    assert database.execute("SELECT * FROM high_water").fetchall() == [(7, 0, 0, 0, 1, 0)]
    (sealed,) = database.execute("SELECT value FROM state WHERE key = 'k'").fetchone()
    assert unseal("k", sealed) == b"\x01"
