"""An outbox with a real journal and accounts that do what a test tells them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from fakes.journal import Gate, opened, read_all
from longwire.inquiries import Done
from longwire.journal import Journal
from longwire.outbox import Asked, Command, Outbox
from longwire.outbox.entry import Entry
from longwire_protocol.declaration import Rates, Supported
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Event
from longwire_protocol.frames import CommandResult

DEADLINE_S = 30.0


class Config(msgspec.Struct):
    """What of an account's configuration matters here."""

    account: str = "bot"
    tenant: str = "acme"
    platform: str = "lark"
    app: str | None = "cli_1"
    repeat_window_s: float = 3600.0
    rates: Rates = Rates()
    supported: Supported = Supported()


class Held:
    """An answer that a test lets go."""

    def __init__(self, *, is_set: bool = False) -> None:
        self._is_set = is_set
        self._waiting: list[Callable[[], None]] = []

    def then(self, answer: Callable[[], None]) -> None:
        self._waiting.append(answer)
        if self._is_set:
            self.set()

    def set(self) -> None:
        self._is_set = True
        for answer in self._waiting:
            asyncio.get_running_loop().call_soon(answer)
        self._waiting.clear()


class Account:
    """Notes what it is told and answers what a test puts into `answers`; without that, with success."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.name = self.config.account
        self.state = "online"
        self.takes_commands = True
        self.is_up = True
        self.told: list[tuple[str, str | None]] = []
        self.answers: dict[str, list[CommandResult | CommandError]] = {}
        self.held: dict[str, Held] = {}
        self.deadlines: list[float] = []

    def begin(
        self, method: str, params: dict[str, Any], done: Done, *, deadline_s: float, key: str | None
    ) -> None:
        del method
        text = params["text"]
        self.told.append((text, key))
        self.deadlines.append(deadline_s)
        waiting = self.answers.get(text)
        if waiting and isinstance(waiting[0], CommandError):
            raise cast("CommandError", waiting.pop(0))
        self.held.get(text, Held(is_set=True)).then(lambda: done(self._answer(text)))

    def _answer(self, text: str) -> CommandResult:
        if waiting := self.answers.get(text):
            answer = waiting.pop(0)
            assert isinstance(answer, CommandResult)
            return answer
        return success(text)

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.told]


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.account = Account()
        self.is_known = True

    @asynccontextmanager
    async def running(self, *, wall: float | None = None, gate: Gate | None = None) -> AsyncGenerator[Outbox]:
        async with (
            opened(self.path, before_commit=gate) as self.journal,
            asyncio.timeout(2 * DEADLINE_S),
        ):
            now = time.time() if wall is None else wall
            self.outbox = Outbox(self.journal, self.performers, wall=now)
            await self.outbox.open()
            yield self.outbox
            await self.outbox.close()

    @asynccontextmanager
    async def killed_later(self) -> AsyncGenerator[Outbox]:
        """As `running`, but what is on disk at the end stays as it is, like after a kill."""
        async with self.running() as outbox:
            yield outbox
            outbox._journal = cast("Journal", Mute())

    def performers(self) -> dict[str, Any]:
        return {self.account.name: self.account} if self.is_known else {}

    async def accept(self, text: str, **fields: Any) -> Entry:
        return await self.outbox.accept(cast("Any", self.account), asked(text, **fields))

    async def send(self, text: str, *, wait_s: float | None = DEADLINE_S, **fields: Any) -> Command:
        return await self.outbox.outcome(await self.accept(text, **fields), wait_s=wait_s)

    async def events(self) -> list[Event]:
        return [msgspec.msgpack.decode(stored.body, type=Event) for stored in await read_all(self.journal)]

    def look(self) -> None:
        self.outbox.look(cast("Any", self.account.config))


class Mute:
    """In place of a journal: nothing is written any more."""

    def record(self, *_: object, **__: object) -> None:
        return


def asked(text: str, *, chat: str | None = "oc_1", key: str | None = None, **fields: Any) -> Asked:
    settings: dict[str, Any] = {
        "client": "c1",
        "method": "message.create",
        "params": {"text": text},
        "is_repeatable": False,
        "deadline_s": DEADLINE_S,
    }
    return Asked(chat=chat, idempotency_key=key, **{**settings, **fields})


def success(text: str) -> CommandResult:
    return CommandResult(id=1, retcode=RetCode.OK, data={"message_id": f"om_{text}"})


def refusal(retcode: RetCode, **fields: Any) -> CommandResult:
    return CommandResult(id=1, retcode=retcode, message="no", **fields)
