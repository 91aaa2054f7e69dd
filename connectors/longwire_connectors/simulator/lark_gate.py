"""What every REST call to Lark passes: token, faults, limits; and the record of what became of it."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import hang, json_answer, read_object
from longwire_connectors.simulator.counters import ApiCall, keep
from longwire_connectors.simulator.fault_kinds import ApiError, ApiHang, LarkNoLimits
from longwire_connectors.simulator.lark_limits import APP_LIMITS, CHAT_LIMITS, Limit, Windows
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.tickets import TokenBook

__all__ = ["INVALID_FIELD", "Json", "LarkGate", "Refusal", "read_json", "refuse"]

INVALID_TOKEN = 99991663
"""Clients refresh their token once and retry (public code)."""
MISSING_TOKEN = 99991661
INVALID_FIELD = 99992402
"""«field validation failed»."""
LIMITED = 99991400
"""«request trigger frequency limit», with 429 and the headers of the document «frequency control»."""
CHAT_LIMITED = 230020
"""The limit of one chat or message."""

Json = dict[str, object]


class Refusal(Exception):
    """The platform says no; the HTTP status is 400 where no source says otherwise."""

    def __init__(
        self, code: int | str, msg: str, *, status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(msg)
        self.code, self.msg, self.status, self.headers = code, msg, status, headers

    def answer(self) -> web.Response:
        """Return it as HTTP."""
        return json_answer({"code": self.code, "msg": self.msg}, status=self.status, headers=self.headers)


Act = Callable[[str, Json], Awaitable[Json | web.StreamResponse]]
"""From the app and the request's JSON to ``data``, or to an answer of another kind."""


class LarkGate:
    """Lets calls in, or not."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.tokens = TokenBook()
        self._windows = Windows()

    async def serve(
        self, request: web.Request, *, call: str, target: str, act: Act, is_json: bool = True
    ) -> web.StreamResponse:
        """Answer a call: ``act`` is only asked for one that carries a valid token.

        ``call`` names the interface in the state, in faults and for the app's limits; ``target`` is what it
        concerns.
        """
        body = await read_json(request) if is_json else {}
        app = ""
        try:
            app = self._app_of(request)
            await self._trouble(app, call=call)
            self.limit(f"{app} {call}", limits=APP_LIMITS, app=app)
            given = await act(app, body)
        except Refusal as refusal:
            self._note(app, call=call, target=target, code=refusal.code, body=body)
            return refusal.answer()
        self._note(app, call=call, target=target, code=0, body=body)
        if isinstance(given, web.StreamResponse):
            return given
        return json_answer({"code": 0, "msg": "success", "data": given})

    def limit(self, key: str, *, limits: tuple[Limit, ...], app: str) -> None:
        """Count one more under ``key``; Refusal when it is over a limit."""
        if self.platform.fault(LarkNoLimits, app):
            return
        now = self.platform.clock.now()
        wait_s = self._windows.wait_s(key, limits=limits, now=now)
        if wait_s > 0:
            self.platform.state(app).limited += 1
            if limits is not APP_LIMITS:
                raise Refusal(CHAT_LIMITED, "The request triggers the frequency limit of this chat.")
            headers = {
                "x-ogw-ratelimit-limit": str(limits[0].most),
                "x-ogw-ratelimit-reset": str(int(wait_s) + 1),
            }
            raise Refusal(LIMITED, "request trigger frequency limit", status=429, headers=headers)
        self._windows.admit(key, limits=limits, now=now)

    def limit_chat(self, chat: str, *, app: str) -> None:
        """Count one more into a chat, or to a message."""
        self.limit(f"{app} in {chat}", limits=CHAT_LIMITS, app=app)

    async def faulty(self, app: str, *, call: str) -> web.StreamResponse | None:
        """Return what a fault has a call answered, None where there is none."""
        try:
            await self._trouble(app, call=call)
        except Refusal as refusal:
            return refusal.answer()
        return None

    def _app_of(self, request: web.Request) -> str:
        """Return the app whose token the request carries."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(MISSING_TOKEN, "Missing access token for authorization.")
        app = self.tokens.owner(token, now=self.platform.clock.now())
        if app is None:
            raise Refusal(INVALID_TOKEN, "Invalid access token for authorization.")
        return app

    async def _trouble(self, app: str, *, call: str) -> None:
        wanted = ("any", call)
        await self.platform.slowed(app, step="api")
        if self.platform.fault(ApiHang, app, where=lambda fault: fault.call in wanted):
            await hang(self.platform.stopping)
            raise Refusal("stopping", "the simulator stops", status=503)
        fault = self.platform.fault(ApiError, app, where=lambda fault: fault.call in wanted)
        if fault is not None:
            self.platform.state(app).api_errors += 1
            raise Refusal(fault.code, fault.msg, status=fault.status, headers=fault.headers)

    def _note(self, app: str, *, call: str, target: str, code: int | str, body: Json) -> None:
        now = self.platform.clock.now()
        noted = ApiCall(at=now, call=call, target=target, code=code, body=body)
        keep(self.platform.state(app).api_calls, item=noted)


async def read_json(request: web.Request) -> Json:
    """Return the request's JSON object, an empty one where there is none."""
    try:
        return await read_object(request)
    except msgspec.MsgspecError:
        return {}


def refuse(field: str) -> Refusal:
    """Return the refusal of a field."""
    return Refusal(INVALID_FIELD, f"field validation failed: {field}")
