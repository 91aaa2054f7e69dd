"""What clients can ask for: one method each, by the names of the client protocol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from longwire.account import Account
from longwire.control import ClientPeer
from longwire.deliveries import Deliveries
from longwire.idempotency import Idempotency
from longwire.lifecycle import State
from longwire.logbook import Logbook, Wanted, answer
from longwire.status import Status
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

    def status(self) -> Status:
        """Return the whole picture."""
        ...

    def now(self) -> float:
        """Return the monotonic clock."""
        ...


class Service:
    """Carries out requests; see `control.Handler`."""

    def __init__(self, realm: Realm, deliveries: Deliveries) -> None:
        self._realm = realm
        self._deliveries = deliveries
        self._once = Idempotency()
        self._methods: dict[str, Method] = {
            "hello": self._hello,
            "status": self._status,
            "get_supported": self._get_supported,
            "account.list": self._account_list,
            "account.get": self._account_get,
            "account.start": self._account_start,
            "account.stop": self._account_stop,
            "account.restart": self._account_restart,
            "logs.tail": self._logs_tail,
            "events.subscribe": self._subscribe,
            "events.unsubscribe": self._unsubscribe,
            "events.replay": self._replay,
            "deadletter.list": self._deadletter_list,
            "deadletter.resubmit": self._deadletter_resubmit,
            "deadletter.purge": self._deadletter_purge,
        }

    async def request(self, client: ClientPeer, request: Request, *, deadline_s: float) -> Any:
        """See `control.Handler`."""
        method = self._methods.get(request.method)
        if method is not None:
            return await method(client, request, deadline_s)
        if any(request.method in account.config.methods for account in self._realm.accounts.values()):
            return await self._platform(request, deadline_s)
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
            "methods": sorted(self._methods),
            "connectors": {name: sorted(methods) for name, methods in sorted(known.items())},
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

    # On the platform.

    async def _platform(self, request: Request, deadline_s: float) -> Any:
        account = self._account(request)
        if request.method not in account.config.methods:
            raise CommandError(
                RetCode.UNKNOWN_METHOD,
                f"{account.config.connector} has no {request.method}; see get_supported",
            )
        params = {key: value for key, value in request.params.items() if key != "account"}
        if request.idempotency_key is None:
            return _data(await account.command(request.method, params, deadline_s=deadline_s))
        scope = (account.config.tenant, account.name, request.method, request.idempotency_key)
        try:
            fingerprint = msgspec.msgpack.encode(params, order="deterministic")
        except TypeError as exc:
            raise CommandError(
                RetCode.BAD_PARAM, "params: with an idempotency_key, every key must be a text"
            ) from exc
        return _data(
            await self._once.run(
                scope, fingerprint, lambda: account.command(request.method, params, deadline_s=deadline_s)
            )
        )


def _data(result: CommandResult) -> Any:
    if result.retcode == RetCode.OK:
        return result.data
    raise CommandError(
        result.retcode,
        result.message,
        retryable=result.retryable,
        retry_after_ms=result.retry_after_ms,
        data=result.data,
    )
