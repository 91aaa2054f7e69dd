"""The supervisor as a host sees it: a door to a core on a thread and loop of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from longwire.changes import Applied
from longwire.config import Secret
from longwire.configuration import Configuration
from longwire.core import Core
from longwire.embedding.client import Block, LocalClient
from longwire.embedding.convergence import AT_REST, Convergence, judge
from longwire.embedding.hooks import Hooks, OnState
from longwire.embedding.outcome import Outcome
from longwire.embedding.thread import CoreThread
from longwire.embedding.vault import Vault, Vaults
from longwire.logger import blank
from longwire_protocol.errors import AlreadyRunning, ConfigError, Problem, SupervisorUnreachable
from longwire_protocol.syncclient import SyncClient

_STOP_S = 60.0
"""How long a stop is waited for. The core's own deadlines are shorter unless a `stop_timeout_s` is longer."""

_VAULT_S = 10.0
"""How long a vault may take for an answer: a slow one needs a second, and nobody waits for more than some."""


class Supervisor:
    """A supervisor in this process. Enter it by `async with` or `with`, or `start` and `stop` it.

    Its core has a thread and a loop of its own, so nothing depends on what the host's are and whether they
    are blocked. Methods may be called from any thread and any loop. What takes time returns an `Outcome`: it
    is under way at once; await it on a loop, or ask for its `result()` in plain code.

    Args:
        config: what a file would hold, `{"supervisor": {...}, "defaults": {...}, "accounts": {...}}`; or the
            path of one, as for `from_config`.
        secrets: by scheme, who knows the secrets of it: with `{"vault": ask}`, `app_secret = "vault:NAME"` is
            what `ask("NAME")` returns. It may block or be async; it runs on threads of its own.
        secret_timeout_s: how long each such answer may take.
        environ: where `env:` secrets are, and what the children's environment is chosen from; by default
            this process's.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | Path,
        *,
        secrets: Mapping[str, Vault] | None = None,
        secret_timeout_s: float = _VAULT_S,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config if isinstance(config, Path) else deepcopy(dict(config))
        self._base = Path.cwd()
        self._vaults = Vaults(secrets or {}, timeout_s=secret_timeout_s)
        self._environ = os.environ if environ is None else environ
        self._hooks = Hooks()
        self._thread: CoreThread | None = None
        self._block: Block | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_config(cls, path: str | Path, **options: Any) -> Self:
        """Return one of a TOML file, which is read at each start and by `config.reload`.

        Args:
            path: of the file, from whose folder relative paths count.
            options: as for the class.
        """
        return cls(Path(path), **options)

    # Its life.

    def start(self) -> None:
        """Return when clients can connect and the accounts are starting; for plain code, on any thread.

        Raises:
            ConfigError: with every mistake found.
            AlreadyRunning: another supervisor uses the data directory, or this one runs.
        """
        thread = self._begin()
        try:
            thread.ready.result()
        except BaseException:  # an interrupt, too: nobody would stop it
            self._leave()
            raise

    def stop(self, *, timeout_s: float = _STOP_S) -> None:
        """Return when everything is down and every child is gone; at once where it does not run.

        Raises:
            TimeoutError: it takes longer; it goes on, and another `stop` waits on.
            Exception: what took the supervisor down before.
            WouldDeadlock: on its own thread, e.g. in a handler of log lines; nothing was done.
        """
        if self._thread is not None:
            self._thread.refuse_here()
        thread = self._leave()
        if thread is not None:
            with self._forgotten(thread):
                thread.ended.result(timeout_s)

    def __enter__(self) -> Self:
        """See `start`."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `stop`."""
        self.stop()

    async def __aenter__(self) -> Self:
        """As `start`; the running loop goes on meanwhile."""
        thread = self._begin()
        try:
            await asyncio.shield(asyncio.wrap_future(thread.ready))
        except asyncio.CancelledError:
            self._leave()  # it stops by itself, as soon as it has started
            raise
        self._block = await Block().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `stop`; clients without a block of their own are closed first."""
        block, self._block = self._block, None
        try:
            if block is not None:
                await block.__aexit__()
        finally:
            thread = self._leave()
            if thread is not None:  # a host that is cancelled meanwhile leaves it to its thread
                with self._forgotten(thread):
                    async with asyncio.timeout(_STOP_S):
                        await asyncio.shield(asyncio.wrap_future(thread.ended))

    @property
    def is_running(self) -> bool:
        """Whether it takes commands and clients; never in a fork."""
        return self._thread is not None and self._thread.is_running

    # What is asked of it.

    def client(self) -> LocalClient:
        """Return a client of this supervisor, by no socket: `call`, `subscribe`, `send`, `reply`.

        Use it on one loop, as a context manager; or, in the `async with` block of the supervisor, as it is.

        Raises:
            SupervisorUnreachable: it does not run.
        """
        return self._running.client(self._block_here())

    def sync_client(self) -> SyncClient:
        """Return the same for plain code, with iterators that block; any thread may use it.

        Raises:
            SupervisorUnreachable: it does not run.
        """
        return self._running.sync_client()

    def call(self, method: str, params: dict[str, Any] | None = None, **options: Any) -> Outcome[Any]:
        """Ask for a method of the client protocol; see `Client.call` for the options and the errors.

        Raises:
            SupervisorUnreachable: it does not run.
        """
        thread, given = self._running, deepcopy(params)  # the host may go on to change its own
        return thread.ask(lambda _core: thread.call(method, given, **options))

    def apply(
        self,
        accounts: Mapping[str, Mapping[str, Any]],
        *,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Outcome[Applied]:
        """Have exactly these accounts, by the least change: who is unchanged is not touched.

        Its outcome says what was changed, or raises ConfigError with every mistake; then nothing was changed.

        Args:
            accounts: their tables by name, as `[accounts.NAME]` in a file.
            secrets: keys of them by account that are secret values themselves.

        Raises:
            ConfigError: a secret of an account that is not there, or a key that is given twice.
            SupervisorUnreachable: it does not run.
        """
        tables = _with_secrets(accounts, secrets or {})
        return self._running.ask(lambda core: core.changer.apply(tables))

    def add(
        self, account: str, config: Mapping[str, Any], *, secrets: Mapping[str, str] | None = None
    ) -> Outcome[Any]:
        """Have one account more, until the next start; see `account.add` of the client protocol."""
        params = {"account": account, "config": dict(config), "secrets": dict(secrets or {})}
        return self.call("account.add", params)

    def update(
        self, account: str, config: Mapping[str, Any], *, secrets: Mapping[str, str] | None = None
    ) -> Outcome[Any]:
        """Lay keys over an account; one that is `None` goes; see `account.update`."""
        params = {"account": account, "config": dict(config), "secrets": dict(secrets or {})}
        return self.call("account.update", params)

    def remove(self, account: str) -> Outcome[Any]:
        """Have an account no more; see `account.remove`."""
        return self.call("account.remove", {"account": account})

    def status(self) -> Outcome[Any]:
        """Return what `longwire status --json` prints."""
        return self.call("status")

    def converged(self, *, timeout_s: float) -> Outcome[Convergence]:
        """Return how the accounts stand as soon as that lasts, or when the time is over.

        It lasts where each account is online, or waits for somebody to act; never an error.

        Args:
            timeout_s: how long to wait at most; 0 to have a look.
        """

        async def look(core: Core) -> Convergence:
            def judged() -> Convergence:
                return judge([a.status() for a in core.accounts.values()], wanted=core.wanted)

            def is_done() -> bool:  # after each change: a thousand whole statuses take 10 ms
                return all(a.state in AT_REST for a in core.accounts.values()) and judged().is_settled

            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._hooks.settled(is_done)
            return judged()

        return self._running.ask(look)

    def on_state(self, callback: OnState) -> Callable[[], None]:
        """Have a function called with account, old state, new state and reason at each change of state.

        On the loop that runs here, or on a thread of its own where none does. It holds up nobody: where it is
        slow, changes wait, and of many an account's are folded into one from the first state to the last.

        Returns:
            What ends it.

        Raises:
            TypeError: it is a coroutine function.
        """
        return self._hooks.add(callback)

    @property
    def _running(self) -> CoreThread:
        if self._thread is None:
            raise SupervisorUnreachable("the supervisor does not run")
        return self._thread

    def _block_here(self) -> Block | None:
        """Return the block of the supervisor if it is this loop's."""
        with suppress(RuntimeError):
            if self._block is not None and self._block.loop is asyncio.get_running_loop():
                return self._block
        return None

    def _begin(self) -> CoreThread:
        with self._lock:
            if self._thread is not None and self._thread.is_ours and not self._thread.ended.done():
                raise AlreadyRunning("this supervisor runs already, or has not stopped yet")
            thread = CoreThread(self._make_core)
            thread.start()
            self._thread = thread
        return thread

    def _leave(self) -> CoreThread | None:
        """Begin to stop, and return what is stopped; nothing in a fork, whose parent has it."""
        thread = self._thread
        if thread is None or not thread.is_ours:
            self._thread = None
            return None
        thread.stop()
        return thread

    @contextmanager
    def _forgotten(self, thread: CoreThread) -> Generator[None]:
        """Wait inside for its end; afterwards there is nothing to be stopped, if it came."""
        try:
            yield
        finally:
            if self._thread is thread and thread.ended.done():
                self._thread = None

    def _make_core(self) -> Core:
        """Return a core; on its thread, as it blocks."""
        fetch = self._vaults.fetch
        if isinstance(self._config, Path):
            configuration = Configuration.of_file(self._config, environ=self._environ, fetch=fetch)
        else:
            configuration = Configuration(self._config, base=self._base, environ=self._environ, fetch=fetch)
        blank(configuration.config.secret_values())
        return Core(configuration, environ=self._environ, on_secrets=blank, on_state=self._hooks.changed)


def _with_secrets(
    accounts: Mapping[str, Mapping[str, Any]], secrets: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    problems = [
        Problem(f"accounts.{name}", "secrets for no such account")
        for name in secrets.keys() - accounts.keys()
    ]
    for name in secrets.keys() & accounts.keys():
        twice = sorted(secrets[name].keys() & accounts[name].keys())
        problems += [Problem(f"accounts.{name}.{key}", "in the account and in its secrets") for key in twice]
    if problems:
        raise ConfigError(problems)
    tables: dict[str, Any] = deepcopy({name: dict(table) for name, table in accounts.items()})
    for name, values in secrets.items():
        tables[name] |= {key: Secret(value) for key, value in values.items()}
    return tables
