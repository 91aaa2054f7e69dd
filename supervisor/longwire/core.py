"""The whole supervisor: makes its parts, runs the accounts, and takes everything down again in order.

It runs on the loop of whoever awaits `run`, takes no signal, sets no policy, and uses a ZeroMQ context of its
own, so that it can live inside another program.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Literal

import msgspec
import psutil
import zmq

from longwire import parts
from longwire.account import Account, Premises
from longwire.apps import Apps
from longwire.changes import Changer, Taken
from longwire.child import Yard
from longwire.children import ChildrenHub
from longwire.config import Config
from longwire.configuration import Configuration
from longwire.control import Control, Pipe
from longwire.deliveries import Deliveries
from longwire.environment import child_environment
from longwire.fleet import Changes, Fleet
from longwire.guard import Guard
from longwire.incidents import FOLDER, Incidents
from longwire.intake import Intake
from longwire.journal import Journal, JournalSettings
from longwire.keeper import Keeper
from longwire.lifecycle import State
from longwire.lock import JOURNAL, lock
from longwire.logbook import LOG, Logbook, LogFile
from longwire.logger import get_logger
from longwire.manners import Manners
from longwire.memory import MEMORY_PREFIX, Memory
from longwire.nursery import Nursery, kind_of
from longwire.outbox import Outbox
from longwire.pacing import CrowdGate
from longwire.process import keep_from_forks, release
from longwire.service import Service
from longwire.status import AccountStatus, Status, SupervisorStatus
from longwire.watch import Watch
from longwire.webhooks.changes import WebhookChanger
from longwire.webhooks.commands import WebhookCommands
from longwire.webhooks.warden import Warden
from longwire.webhooks.webhooks import Webhooks
from longwire_protocol.address import ipc, ipc_path
from longwire_protocol.errors import AddressError, CommandError, ConfigError, Problem, RetCode
from longwire_protocol.version import __version__

_log = get_logger("longwire.supervisor")

_JOURNAL_CLOSE_S = 1.0
"""How long a stop waits for a disk that does not write: what is left of 5 s after the children's 3 s."""

_PREPARE_S = 5.0
"""How long a start waits for the positions of new webhooks to be on disk, which takes milliseconds. A disk
that does not write must not hold up the accounts; who opens such a subscription waits on."""

_STARTS_PER_CPU = 2
"""Processes booting at once and per CPU: more would only make all of them slower."""


_PASSED_ONLY = frozenset({State.STARTING, State.CONNECTING, State.STOPPING})
"""States that are no news: else an outage would write three lines an attempt."""


class _Done(Exception):
    """Everything is down: raised in the task group, it ends what still waits, e.g. for a stuck disk."""


class Core:
    """Runs the accounts of a configuration.

    Args:
        configuration: what the accounts are made of, now and after each change.
        environ: what the children's environment is chosen from.
        logbook: gets the lines of this process's log; in a host with a log of its own it stays empty.
        on_secrets: told the secrets of each configuration before they are used, to keep them out of a log.
        on_state: told after each change of an account's state; must not wait.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        environ: Mapping[str, str],
        logbook: Logbook | None = None,
        on_secrets: Callable[[Iterable[str]], None] | None = None,
        on_state: Callable[[AccountStatus], None] | None = None,
    ) -> None:
        config = self._config = configuration.config
        self._configuration = configuration
        self._environ = environ
        self._on_secrets = on_secrets
        self._on_state = on_state
        self._logbook = logbook or Logbook()
        self._logbook.tenants = _tenants(config)
        self._id = token_hex(8)
        self._started_at = time.monotonic()
        self._stop = asyncio.Event()
        self._is_up = False
        self.changer = Changer(configuration, take_over=self._take_over, running=config.supervisor)
        """Changes the accounts while it runs."""
        self.webhooks = WebhookCommands(
            WebhookChanger(self.changer, configuration), lambda: self._webhooks, configuration
        )
        """Answers what clients ask about webhooks, and changes them."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every configured account by name."""
        return self._fleet.accounts

    @property
    def wanted(self) -> Collection[str]:
        """The names of those that are to be there."""
        return self._config.accounts.keys()

    @property
    def logbook(self) -> Logbook:
        """The last lines of the log."""
        return self._logbook

    @property
    def supervisor_id(self) -> str:
        """Changes with each start."""
        return self._id

    @property
    def incidents(self) -> Incidents:
        """What was kept of processes that came to a bad end."""
        return self._incidents

    def catch_up(self) -> None:
        """Read what the children said while this process did not run."""
        self._watch.catch_up()

    def now(self) -> float:
        """Return the monotonic clock."""
        return asyncio.get_running_loop().time()

    def attach(self, pipe: Pipe) -> None:
        """Serve a client of this process; only between `ready` and the end of `run`."""
        self._control.attach(pipe)

    def stop(self) -> None:
        """Begin to stop; `run` returns when everything is down."""
        self._stop.set()

    async def _take_over(self, config: Config, enable: str | None) -> Taken:
        """Have another configuration's accounts and webhooks; its `[supervisor]` counts at the next start."""
        self._refuse_if_stopping()
        if self._on_secrets is not None:
            self._on_secrets(config.secret_values())
        if self._is_up:
            await self._webhooks.prepare(config.webhooks)
            self._refuse_if_stopping()
        self._logbook.tenants = _tenants(self._config) | _tenants(config)  # who is removed has last words
        self._config = msgspec.structs.replace(
            self._config, accounts=config.accounts, webhooks=config.webhooks
        )
        if not self._is_up:  # the accounts have not been made yet; they will be made of these
            nothing = Changes(added=[], removed=[], changed=[])
            return Taken(nothing, nothing)
        changes = self._fleet.apply(config.accounts)
        self._nursery.keep_only({kind_of(account) for account in config.accounts.values()})
        webhooks = self._webhooks.apply(config.webhooks, enable=enable)
        await self._webhooks.forget_removed()
        return Taken(changes, webhooks)

    def _refuse_if_stopping(self) -> None:
        if self._stop.is_set():
            raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, "the supervisor stops", retryable=True)

    async def run(self, *, ready: Callable[[], None] | None = None) -> None:
        """Run until `stop`; every child is gone when this returns.

        Args:
            ready: called when clients can connect and the accounts are starting.

        Raises:
            AlreadyRunning: another supervisor uses the data directory.
            ConfigError: the journal, an endpoint or a folder cannot be used.
        """
        async with AsyncExitStack() as cleanup:
            data_dir = self._config.supervisor.data_dir
            with _as_problem("supervisor.data_dir"):
                data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                data_dir.chmod(0o700)
                lock_fd = lock(data_dir)
                keep_from_forks(lock_fd)
                cleanup.callback(release, lock_fd)
            log_file = LogFile(self._logbook, data_dir / LOG)
            await log_file.open()
            cleanup.push_async_callback(log_file.close)
            settings = JournalSettings(
                close_timeout_s=_JOURNAL_CLOSE_S, dedup_window_s=self._config.supervisor.dedup_window_s
            )
            self._journal = await Journal.open(data_dir / JOURNAL, settings=settings)
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            cleanup.callback(context.destroy, linger=0)
            refused: ConfigError | None = None
            try:
                async with asyncio.TaskGroup() as tasks:
                    try:
                        await self._run(tasks, context, cleanup, ready)
                    except ConfigError as exc:
                        refused = exc
                    raise _Done  # noqa: TRY301  # it cancels what is left of the group
            except* _Done:
                pass
            finally:
                if not await self._journal.close():
                    _log.error("journal_not_written_completely")
            if refused is not None:
                raise refused  # as it is, not in the group's wrapping
            _log.info("supervisor_stopped")

    async def _run(
        self,
        tasks: asyncio.TaskGroup,
        context: zmq.Context[zmq.Socket[bytes]],
        cleanup: AsyncExitStack,
        ready: Callable[[], None] | None,
    ) -> None:
        endpoint = _children_endpoint(self._config.supervisor.data_dir, cleanup)
        intake = self._intake = Intake(self._journal, counted=self._counted)
        hub = intake.hub = ChildrenHub(context, endpoint, hand_over=intake.hand_over)
        await self._make(tasks, hub)
        await self._outbox.open()
        await self._prepare_webhooks()
        self._open(tasks, context)
        tasks.create_task(self._incidents.run(), name="incidents")
        tasks.create_task(Guard(self._fleet.accounts).run(), name="guard")
        tasks.create_task(self._keeper.run(), name="journal keeper")
        self._webhooks.warden = warden = self._make_warden()
        tasks.create_task(warden.run(), name="courier's warden")
        accounts = self._config.accounts
        _log.info("supervisor_started", pid=os.getpid(), accounts=len(accounts), version=__version__)
        self._webhooks.apply(self._config.webhooks)
        self._fleet.apply(accounts)
        self._is_up = True
        if ready is not None:
            ready()
        try:
            await self._stop.wait()
        finally:
            await self._go_down(hub)

    async def _make(self, tasks: asyncio.TaskGroup, hub: ChildrenHub) -> None:
        """Make the parts, each after those that it needs."""
        settings = self._config.supervisor
        self._deliveries = await Deliveries.open(self._journal, tasks, limits=parts.window_limits(settings))
        self._deliveries.on_gap = self._intake.report_gap
        self._keeper = Keeper(self._journal, self._deliveries, limits=parts.journal_limits(settings))
        self._journal.on_trouble = self._troubled
        self._webhooks = await Webhooks.open(self._journal, self._deliveries)
        self._watch = Watch(hub.drain)
        self._nursery = Nursery(child_environment(self._environ), locks=self._locks())
        self._incidents = Incidents(settings.data_dir / FOLDER)
        with _as_problem("supervisor.data_dir"):
            await self._incidents.open()
        yard = Yard(hub, self._watch, self._nursery, self._incidents)
        self._connects = parts.connect_gates(settings, now=self.now)
        self._outages = parts.outages(settings, self._members, self._connects)
        self._outbox = Outbox(self._journal, lambda: self._fleet.accounts, wall=time.time())
        self._fleet = Fleet(
            partial(self._premises, yard, tasks),
            await self._journal.get_states(MEMORY_PREFIX, Memory),
            report=self._account_changed,
        )

    def _open(self, tasks: asyncio.TaskGroup, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Let clients connect."""
        with _as_problem("supervisor.endpoint"):
            for path in self._socket_files():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._control = Control(
                context,
                self._config.supervisor.endpoints,
                handler=Service(self, self._deliveries, self._outbox),
                tasks=tasks,
                supervisor_id=self._id,
            )

    async def _prepare_webhooks(self) -> None:
        """Have their subscriptions there before any event is; from then on nothing waits until all is up.

        So no client sees a supervisor that has no accounts yet.
        """
        prepared: object = None
        try:
            async with asyncio.timeout(_PREPARE_S):
                while prepared is not self._config.webhooks:  # they may be changed meanwhile
                    prepared = self._config.webhooks
                    await self._webhooks.prepare(self._config.webhooks)
        except TimeoutError:
            _log.error("webhooks_not_on_disk", timeout_s=_PREPARE_S)

    def _make_warden(self) -> Warden:
        return Warden(
            environment=child_environment(self._environ),
            endpoint=self._config.supervisor.endpoints[0],
            listener=self._webhooks,
            set_key=self._deliveries.set_key,
        )

    async def _go_down(self, hub: ChildrenHub) -> None:
        """Bring down the accounts, then what they used, then what clients use."""
        _log.info("supervisor_stops", accounts=len(self._fleet.accounts))
        self._outbox.stop()
        async with asyncio.TaskGroup() as both:
            both.create_task(self._fleet.wind_down(), name="accounts' end")
            both.create_task(self._webhooks.stop(), name="courier's end")
        await self._outbox.close()
        self._connects.close()
        self._watch.close()
        await self._nursery.close()
        await self._incidents.close()
        hub.close()
        self._deliveries.close()
        self._control.close()
        for path in self._socket_files():
            path.unlink(missing_ok=True)

    def _locks(self) -> Path:
        folder = self._config.supervisor.data_dir / "accounts"
        with _as_problem("supervisor.data_dir"):
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _premises(self, yard: Yard, tasks: asyncio.TaskGroup, changed: Callable[[Account], None]) -> Premises:
        return Premises(
            yard=yard,
            states=self._journal,
            tasks=tasks,
            starts=CrowdGate(_STARTS_PER_CPU * (os.cpu_count() or 1)),
            connects=self._connects,
            apps=Apps(),
            changed=changed,
            manners=Manners(),
            outages=self._outages,
            sending=self._outbox.sending,
        )

    def _members(self) -> Iterable[Account]:
        return self._fleet.accounts.values()

    def _account_changed(self, account: Account) -> None:
        self._outbox.look(account.config)
        status = account.status()
        level = _log.debug if status.state in _PASSED_ONLY else _log.info
        if status.state is State.PARKED:
            level = _log.warning
        retry_at = status.next_retry_at
        level(
            "account_state",
            account=status.account,
            state=status.state.value,
            reason=status.reason,
            text=status.message,
            user_action=status.user_action,
            attempt=status.attempt or None,
            retry_in_s=None if retry_at is None else round(max(0.0, retry_at - time.time()), 1),
        )
        self._intake.report(status, platform=account.config.platform)
        if self._on_state is not None:
            self._on_state(status)

    def _counted(self, account: str, events: int, duplicates: int) -> None:
        known = self._fleet.accounts.get(account)
        if known is not None:  # it may have been removed since
            known.tally.events += events
            known.tally.duplicates += duplicates

    def _troubled(self, reason: str | None) -> None:
        if reason is None:
            _log.info("journal_writes_again")
        else:
            _log.error("journal_in_trouble", reason=reason)

    def _socket_files(self) -> list[Path]:
        paths = map(ipc_path, self._config.supervisor.endpoints)
        return [path for path in paths if path is not None]

    def status(self) -> Status:
        """Return the whole picture."""
        return Status(
            supervisor=self._supervisor_status(),
            accounts=[account.status() for account in self._fleet.accounts.values()],
            subscriptions=self._deliveries.status(),
            courier=self.webhooks.courier(),
            webhooks=self.webhooks.status(),
        )

    def _supervisor_status(self) -> SupervisorStatus:
        state, reason = self._state()
        endpoints = list(self._config.supervisor.endpoints)
        return SupervisorStatus(
            version=__version__,
            pid=os.getpid(),
            supervisor_id=self._id,
            uptime_s=time.monotonic() - self._started_at,
            endpoint=endpoints[0],
            endpoints=endpoints,
            state=state,
            reason=reason,
            last_seq=self._journal.head,
            removed_to=self._journal.removed_to,
            clients=self._control.clients,
            subscriptions=self._deliveries.count,
            rss_bytes=_rss_bytes(),
            templates=self._nursery.status(),
            by_command=self._configuration.overlay.hows(),
            outages=self._outages.status(),
            outbox=self._outbox.status(),
        )

    def _state(self) -> tuple[Literal["ok", "degraded", "draining"], str | None]:
        if self._stop.is_set():
            return "draining", None
        if (complaint := self._keeper.complaint()) is not None:
            return "degraded", complaint
        return "ok", None


def _tenants(config: Config) -> dict[str, str]:
    return {name: account.tenant for name, account in config.accounts.items()}


def _rss_bytes() -> int | None:
    try:
        return int(psutil.Process().memory_info().rss)
    except (OSError, psutil.Error):  # out of descriptors: the rest of the status is needed all the more
        return None


@contextmanager
def _as_problem(place: str) -> Generator[None, None, None]:
    """Turn what the system refuses into a problem of the configuration: the operator must act."""
    try:
        yield
    except (OSError, zmq.ZMQError) as exc:
        raise ConfigError([Problem(place, str(exc))]) from exc


def _children_endpoint(data_dir: Path, cleanup: AsyncExitStack) -> str:
    """Return where the children connect: in the data directory, or a private one if that path is too long."""
    path = data_dir / "children.sock"
    with suppress(AddressError):
        endpoint = ipc(path)
        cleanup.callback(partial(path.unlink, missing_ok=True))
        return endpoint
    short = Path(tempfile.mkdtemp(prefix="longwire-"))  # mode 0700
    cleanup.callback(partial(shutil.rmtree, short, ignore_errors=True))
    return ipc(short / "children.sock")
