"""A client of the admin plane, for tests and for users who test their own bots."""

from io import BytesIO
from types import TracebackType
from typing import Literal, Self, TypeVar

import aiohttp
import msgspec

from longwire_connectors.simulator.admin_models import (
    Added,
    Changed,
    Clicks,
    Deliveries,
    DiaryPage,
    Drop,
    FaultEntry,
    Faults,
    GivenOut,
    Injected,
    InjectedIds,
    PlatformName,
    Redeliver,
    Register,
)
from longwire_connectors.simulator.clicks import ClickSeen
from longwire_connectors.simulator.counters import AppState, State
from longwire_connectors.simulator.deliveries import DeliveryRecord
from longwire_connectors.simulator.diary import Entry
from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.fault_kinds import FaultBase
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

__all__ = ["SimulatorClient"]

T = TypeVar("T")
TIMEOUT_S = 30.0
"""For a whole request: injecting 20,000 events takes some seconds on a slow machine."""


class SimulatorClient:
    """Steers a running simulator at ``url``; an async context manager.

    Every method raises AdminRequestError with the simulator's own words when the request is refused, and
    aiohttp.ClientError when there is no simulator.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def state(self) -> State:
        """Return everything counted so far."""
        return await self._call("GET", "state", answer=State)

    async def app_state(self, platform: PlatformName, app: str) -> AppState:
        """Return the counts of one app; all zero while nothing is known of it."""
        state = await self.state()
        apps = state.lark if platform == "lark" else state.dingtalk
        return apps.get(app, AppState(app=app))

    async def given_out(self) -> list[str]:
        """Return the tickets, keys, tokens and sessions that were given out: nobody else may show them."""
        return (await self._call("GET", "secrets", answer=GivenOut)).values

    async def inject_lark(self, event: LarkEvent) -> list[InjectedIds]:
        """Let Lark events happen and return their ids, in order."""
        return (await self._call("POST", "lark/events", body=event, answer=Injected)).ids

    async def inject_dingtalk(self, event: DingTalkEvent) -> list[InjectedIds]:
        """Let DingTalk events happen and return their ids, in order."""
        return (await self._call("POST", "dingtalk/events", body=event, answer=Injected)).ids

    async def deliveries(self, platform: PlatformName, *, app: str | None = None) -> list[DeliveryRecord]:
        """Return what became of the injected events of ``app``, None for all apps, in order."""
        query = {} if app is None else {"app": app}
        return (await self._call("GET", f"{platform}/deliveries", query=query, answer=Deliveries)).deliveries

    async def clicks(self, platform: PlatformName, *, app: str | None = None) -> list[ClickSeen]:
        """Return what those saw who clicked on cards of ``app``, None for all apps, in order."""
        query = {} if app is None else {"app": app}
        return (await self._call("GET", f"{platform}/clicks", query=query, answer=Clicks)).clicks

    async def diary(self, *, after: int = 0) -> list[Entry]:
        """Return what was written into the diary after that entry; the oldest of 50,000 are forgotten."""
        query = {"after": str(after)}
        return (await self._call("GET", "diary", query=query, answer=DiaryPage)).entries

    async def redeliver(self, platform: PlatformName, *, app: str, identity: str) -> int:
        """Push again at once what carries this message, event or frame id; return how many that are."""
        body = Redeliver(app=app, id=identity)
        return (await self._call("POST", f"{platform}/redeliver", body=body, answer=Changed)).count

    async def fault(self, fault: FaultBase) -> str:
        """Put a fault in force and return its id."""
        return (await self._call("POST", "faults", body=fault, answer=Added)).id

    async def faults(self) -> list[FaultEntry]:
        """Return the faults in force."""
        return (await self._call("GET", "faults", answer=Faults)).faults

    async def clear_faults(self, fault_id: str | None = None) -> int:
        """End one fault, or all for None, and return how many there were."""
        path = "faults" if fault_id is None else f"faults/{fault_id}"
        return (await self._call("DELETE", path, answer=Changed)).count

    async def drop(
        self,
        platform: PlatformName,
        *,
        app: str = "*",
        how: Literal["close", "abort", "midframe"] = "close",
        code: int = 1000,
        connection: str | None = None,
    ) -> int:
        """End the connections of ``app`` (``*``: of all), by a close frame or a cut, and return how many."""
        body = Drop(platform=platform, app=app, how=how, code=code, connection=connection)
        return (await self._call("POST", "drop", body=body, answer=Changed)).count

    async def register(
        self, platform: PlatformName, *, app: str, secret: str, name: str | None = None
    ) -> None:
        """Make an app known, or give it another secret or name."""
        body = Register(platform=platform, app=app, secret=secret, name=name)
        await self._call("POST", "apps", body=body, answer=Changed)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        body: msgspec.Struct | None = None,
        query: dict[str, str] | None = None,
    ) -> T:
        if self._session is None:
            raise RuntimeError("use `async with SimulatorClient(url) as client`")
        data = None if body is None else BytesIO(msgspec.json.encode(body))  # bytes of 1 MiB are warned of
        url = f"{self._url}/_sim/{path}"
        async with self._session.request(method, url, data=data, params=query) as response:
            content = await response.read()
            if response.status != 200:  # noqa: PLR2004  the admin plane has no other success
                raise AdminRequestError(content.decode(errors="replace"), status=response.status)
        return msgspec.json.decode(content, type=answer)
