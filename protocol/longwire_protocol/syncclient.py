"""The client for plain code: the asyncio one, waited for from any thread."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from longwire_protocol.client import Client
from longwire_protocol.inherited import tell_in_fork
from longwire_protocol.session import Session
from longwire_protocol.subscription import Subscription
from longwire_protocol.syncsubscription import SyncSubscription

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncClient, P], T]:
    """Return the same method, blocking."""

    @wraps(method)
    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.session.run(lambda client: method(client, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Client, P], Subscription],
) -> Callable[Concatenate[SyncClient, P], SyncSubscription]:
    """Return the same method, for an iterator that blocks."""

    @wraps(method)
    def subscribe(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> SyncSubscription:
        async def make(client: Client) -> SyncSubscription:
            return SyncSubscription(self.session, method(client, *args, **kwargs), client=self)

        return self.session.run(make)

    return subscribe


class SyncClient:
    """A connection to a supervisor, for plain code; any thread may use it, as many at once as like.

    It connects when it is entered, or at its first call. All clients of a process share one thread. In the
    child of a fork it connects anew; subscriptions made before belong to the parent.

    What its methods raise besides what those of `Client` do:

    * `asyncio.CancelledError`: cancelled by `cancel`.
    * `WouldDeadlock`: called on the thread that all clients share, e.g. by a handler of its log lines.
    * `SystemExit`: the interpreter ends while another thread than the main one waits; its end is silent.

    On the thread of a running event loop they work, with a `BlockedLoopWarning`: the loop stands still.

    Args:
        endpoint: as of `Client`.
        connect_timeout_s: likewise.
        connect: makes the client underneath, where it is not by a socket; see `Supervisor.sync_client`.
    """

    def __init__(
        self, endpoint: str, *, connect_timeout_s: float = 5.0, connect: Callable[[], Client] | None = None
    ) -> None:
        self.endpoint = endpoint
        self.session: Session
        """For the methods of this class."""
        self._connect = connect or partial(Client, endpoint, connect_timeout_s=connect_timeout_s)
        self._begin()
        tell_in_fork(self)

    call = _blocking(Client.call)
    send = _blocking(Client.send)
    reply = _blocking(Client.reply)
    respond = _blocking(Client.respond)
    subscribe = _iterating(Client.subscribe)
    replay = _iterating(Client.replay)

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            SupervisorUnreachable: nobody answered in time, or nobody we can talk to.
        """
        self.session.run(_nothing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.session.close()

    def close(self) -> None:
        """Give up the subscriptions and disconnect; calls of other threads end with `ClientClosed`."""
        self.session.close()

    def cancel(self) -> None:
        """Cancel every call that other threads wait in: they see `asyncio.CancelledError`, no `Exception`.

        The client stays as it is. What a cancelled command has done, and whether, is not known. Does not
        wait; may be called by a signal handler.
        """
        self.session.cancel()

    def in_fork(self) -> None:
        """See `inherited.Heir`."""
        self.session.is_inherited = True
        if not self.session.is_left:
            self._begin()

    def _begin(self) -> None:
        self.session = Session(self._connect)
        weakref.finalize(self, self.session.abandon).atexit = False


async def _nothing(_client: Client) -> None:
    """Be connected, that is all."""
