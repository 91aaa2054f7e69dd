"""A journal on a real disk for one test: opening, filling and reading it, and holding its commits."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from longwire.journal import Arrivals, Commit, Journal, JournalSettings, Stored
from longwire_protocol.frames import HandedOver

DEADLINE_S = 20.0
QUICK = JournalSettings(retry_initial_s=0.01, retry_max_s=0.02)


def arrival(number: int, key: str | None = None, *, body: bytes = b"\x80") -> HandedOver:
    return HandedOver(number, "message.created", "chat", key, 1.5, body)


def batch(*events: HandedOver, account: str = "bot") -> Arrivals:
    return Arrivals(account, "acme", list(events))


def arrivals(*keys: str | None, account: str = "bot") -> Arrivals:
    return batch(*[arrival(number, key) for number, key in enumerate(keys, 1)], account=account)


async def append(journal: Journal, arrivals: Arrivals) -> Commit:
    """Append and wait for the commit."""
    return await asyncio.wait_for(start_append(journal, arrivals), DEADLINE_S)


def start_append(journal: Journal, arrivals: Arrivals) -> "asyncio.Future[Commit]":
    done: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
    journal.append(arrivals, done=done.set_result)
    return done


def numbers(events: list[Stored]) -> list[int]:
    return [event.seq for event in events]


async def read_all(journal: Journal) -> list[Stored]:
    page = await journal.read(0, limit=100_000, max_bytes=2**30)
    return page.events


@pytest.fixture(name="path")
def path_fixture(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@asynccontextmanager
async def opened(
    path: Path,
    *,
    settings: JournalSettings = QUICK,
    before_commit: Callable[[], None] | None = None,
) -> AsyncIterator[Journal]:
    journal = await Journal.open(path, settings=settings, before_commit=before_commit)
    try:
        yield journal
    finally:
        await journal.close()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("longwire-journal"):
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), thread.name


class Gate:
    """Holds commits until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.passes = 0

    def __call__(self) -> None:
        self.reached.set()
        assert self.open.wait(DEADLINE_S)
        self.passes += 1

    async def wait_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, DEADLINE_S)
