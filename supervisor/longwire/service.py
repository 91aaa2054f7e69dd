"""What clients can ask for: one method each, by the names of the client protocol."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

import msgspec

from longwire.account import Account
from longwire.changes import Changed, Changer, explained
from longwire.config import AccountConfig
from longwire.control import ClientPeer
from longwire.deliveries import Deliveries
from longwire.idempotency import Idempotency
from longwire.incidents import Incidents
from longwire.lifecycle import State
from longwire.logbook import Logbook, Wanted, answer
from longwire.outbox import Outbox
from longwire.platformcommands import ABOUT_RECEIPTS, PlatformCommands, data_of
from longwire.probe import Checks
from longwire.status import Status
from longwire.webhooks.changes import WebhookChanged
from longwire.webhooks.commands import WebhookCommands
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import CommandResult
from longwire_protocol.messages import Ack, Credit, Nack, Request
from longwire_protocol.version import CLIENT_PROTOCOL, __version__

Method = Callable[[ClientPeer, Request, float], Awaitable[Any]]


class Realm(Protocol):
    """What the service answers from: the supervisor."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every configured account by name."""
        ...

    @property
    def supervisor_id(self) -> str:
        """Changes with each start."""
        ...

    @property
    def logbook(self) -> Logbook:
        """The last lines of the log."""
        ...

    @property
    def changer(self) -> Changer:
        """Changes the accounts."""
        ...

    @property
    def webhooks(self) -> WebhookCommands:
        """Answers what is asked about webhooks."""
        ...

    def status(self) -> Status:
        """Return the whole picture."""
        ...

    @property
    def incidents(self) -> Incidents:
        """What was kept of processes that came to a bad end."""
        ...

    def catch_up(self) -> None:
        """Read what the children said while this process did not run."""
        ...

    def now(self) -> float:
        """Return the monotonic clock."""
        ...


class Service:
    """Carries out requests; see `control.Handler`."""

    def __init__(self, realm: Realm, deliveries: Deliveries, outbox: Outbox) -> None:
        self._realm = realm
        self._deliveries = deliveries
        self._platform = PlatformCommands(outbox, self._account)
        self._once = Idempotency()
        self._checks = Checks()
        self._methods: dict[str, Method] = {
            "hello": self._hello,
            "status": self._status,
            "get_supported": self._get_supported,
            "account.list": self._account_list,
            "account.get": self._account_get,
            "account.start": self._account_start,
            "account.stop": self._account_stop,
            "account.restart": self._account_restart,
            "incident.list": self._incident_list,
            "incident.get": self._incident_get,
            "account.check": self._account_check,
            "account.add": self._account_add,
            "account.update": self._account_update,
            "account.remove": self._account_remove,
            "config.reload": self._config_reload,
            "logs.tail": self._logs_tail,
            "events.subscribe": self._subscribe,
            "events.unsubscribe": self._unsubscribe,
            "events.replay": self._replay,
            "deadletter.list": self._deadletter_list,
            "deadletter.resubmit": self._deadletter_resubmit,
            "deadletter.purge": self._deadletter_purge,
            "webhook.list": self._webhook_list,
            "webhook.add": self._webhook_add,
            "webhook.update": self._webhook_update,
            "webhook.remove": self._webhook_remove,
            "webhook.test": self._webhook_test,
        }

    async def request(self, client: ClientPeer, request: Request, *, deadline_s: float) -> Any:
        """See `control.Handler`."""
        self._realm.catch_up()  # else one that was stopped would tell old news of everyone
        method = self._methods.get(request.method)
        if method is not None:
            async with asyncio.timeout(deadline_s):
                return await method(client, request, deadline_s)
        if self._platform.is_about_receipt(request):
            async with asyncio.timeout(deadline_s):
                return await self._platform.get(request)
        if any(_is_known(request.method, account) for account in self._realm.accounts.values()):
            return await self._platform.carry_out(client, request, deadline_s=deadline_s)
        raise CommandError(RetCode.UNKNOWN_METHOD, f"no method {request.method!r}; see get_supported")

    def ack(self, client: ClientPeer, ack: Ack) -> None:
        """See `control.Handler`."""
        self._deliveries.ack(client, ack)

    def nack(self, client: ClientPeer, nack: Nack) -> None:
        """See `control.Handler`."""
        self._deliveries.nack(client, nack)

    def credit(self, client: ClientPeer, credit: Credit) -> None:
        """See `control.Handler`."""
        self._deliveries.credit(client, credit)

    def client_gone(self, client: ClientPeer) -> None:
        """See `control.Handler`."""
        self._deliveries.client_gone(client)

    # About the supervisor.

    async def _hello(self, _client: ClientPeer, _request: Request, _deadline_s: float) -> Any:
        return {
            "supervisor_id": self._realm.supervisor_id,
            "version": __version__,
            "protocol": CLIENT_PROTOCOL,
        }

    async def _status(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        status = self._realm.status()
        return status if request.tenant is None else status.of_tenant(request.tenant)

    async def _get_supported(self, _client: ClientPeer, _request: Request, _deadline_s: float) -> Any:
        known: defaultdict[str, set[str]] = defaultdict(set)
        for account in self._realm.accounts.values():  # in other interpreters a connector may know others
            known[account.config.connector].update(account.config.methods)
        return {
            "methods": sorted([*self._methods, ABOUT_RECEIPTS]),
            "connectors": {name: sorted(methods) for name, methods in sorted(known.items())},
            "details": {a.config.connector: _details(a.config) for a in self._realm.accounts.values()},
        }

    async def _logs_tail(self, _client: ClientPeer, request: Request, deadline_s: float) -> Any:
        def is_account(wanted: Wanted) -> bool:
            account = self._realm.accounts.get(wanted.account or "")
            return account is not None and wanted.tenant in {None, account.config.tenant}

        return await answer(
            self._realm.logbook,
            request,
            run=self._realm.supervisor_id,
            deadline_s=deadline_s,
            is_account=is_account,
        )

    async def _incident_list(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        found = self._realm.incidents.find(request.params, account=request.account, tenant=request.tenant)
        if not found and (request.account or request.params.get("account")) is not None:
            self._account(request)  # a name that nobody has, or had, is a mistake
        return found

    async def _incident_get(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._realm.incidents.get(request.params, tenant=request.tenant)

    # About accounts.

    async def _account_list(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        accounts = self._realm.accounts.values()
        return [a.status() for a in accounts if request.tenant in {None, a.config.tenant}]

    async def _account_get(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return self._account(request).status()

    async def _account_start(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        account = self._account(request)
        if account.state is State.PARKED:
            account.spend_restart()
        account.start()
        return account.status()

    async def _account_stop(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        account = self._account(request)
        account.stop()
        return account.status()

    async def _account_restart(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        account = self._account(request)
        account.spend_restart()
        account.restart("operator")
        return account.status()

    async def _account_check(self, _client: ClientPeer, request: Request, deadline_s: float) -> Any:
        return await self._checks.check(self._account(request).config, deadline_s=deadline_s)

    async def _account_add(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._change(request, self._realm.changer.add)

    async def _account_update(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        def spend(name: str) -> None:
            account = self._realm.accounts.get(name)
            if account is not None and account.state is not State.STOPPED:
                account.spend_restart()

        return await self._change(request, partial(self._realm.changer.update, before_restart=spend))

    async def _account_remove(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._change(request, self._realm.changer.remove)

    async def _config_reload(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        if request.tenant is not None:
            raise CommandError(RetCode.BAD_REQUEST, "tenant: a reload concerns every tenant")
        return await explained(self._realm.changer.reload())

    async def _change(self, request: Request, change: Callable[[Request], Awaitable[Changed]]) -> Any:
        async def act() -> CommandResult:
            data = await explained(change(request))
            return CommandResult(id=0, retcode=RetCode.OK, data=data)

        name = request.account or str(request.params.get("account"))
        return data_of(await self._once_only(request, (request.tenant or "", name), request.params, act))

    def _account(self, request: Request) -> Account:
        name = request.account or request.params.get("account")
        if not isinstance(name, str):
            raise CommandError(RetCode.BAD_PARAM, "account: the name of an account is needed")
        account = self._realm.accounts.get(name)
        if account is None or request.tenant not in {None, account.config.tenant}:
            raise CommandError(RetCode.UNKNOWN_ACCOUNT, f"no account {name!r}")
        return account

    # About events.

    async def _subscribe(self, client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._deliveries.subscribe(client, request)

    async def _unsubscribe(self, client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._deliveries.unsubscribe(client, request.params, tenant=request.tenant)

    async def _replay(self, client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._deliveries.replay(client, request)

    async def _deadletter_list(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._deliveries.dead_letters.list(request.params, tenant=request.tenant)

    async def _deadletter_resubmit(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._deliveries.dead_letters.resubmit(request.params, tenant=request.tenant)

    async def _deadletter_purge(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._deliveries.dead_letters.purge(request.params, tenant=request.tenant)

    # About webhooks.

    async def _webhook_list(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return self._realm.webhooks.list(request)

    async def _webhook_add(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._change_webhook(request, self._realm.webhooks.changer.add)

    async def _webhook_update(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._change_webhook(request, self._realm.webhooks.changer.update)

    async def _webhook_remove(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._change_webhook(request, self._realm.webhooks.changer.remove)

    async def _webhook_test(self, _client: ClientPeer, request: Request, _deadline_s: float) -> Any:
        return await self._realm.webhooks.test(request)

    async def _change_webhook(
        self, request: Request, change: Callable[[Request], Awaitable[WebhookChanged]]
    ) -> Any:
        async def act() -> CommandResult:
            return CommandResult(id=0, retcode=RetCode.OK, data=await explained(change(request)))

        whose = (request.tenant or "", str(request.params.get("webhook")))
        return data_of(await self._once_only(request, whose, request.params, act))

    async def _once_only(
        self,
        request: Request,
        whose: tuple[str, str],
        params: Mapping[str, Any],
        act: Callable[[], Awaitable[CommandResult]],
    ) -> CommandResult:
        """Have one effect and one answer where the request has a key; `whose` is tenant and account."""
        if request.idempotency_key is None:
            return await act()
        try:
            encoded = msgspec.msgpack.encode(params, order="deterministic")
        except TypeError as exc:
            raise CommandError(
                RetCode.BAD_PARAM, "params: with an idempotency_key, every key must be a text"
            ) from exc
        scope = (*whose, request.method, request.idempotency_key)
        # A digest, as they may hold secrets, which nobody needs here for a day.
        return await self._once.run(scope, hashlib.blake2b(encoded).digest(), act)


def _is_known(method: str, account: Account) -> bool:
    return method in account.config.methods or method in account.config.supported.missing


def _details(config: AccountConfig) -> dict[str, Any]:
    """Return what the commands of an account's connector can do, and how many of them its platform takes."""
    rates: dict[str, Any] = msgspec.to_builtins(config.rates)
    return {**msgspec.to_builtins(config.supported), **({"rates": rates} if any(rates.values()) else {})}
