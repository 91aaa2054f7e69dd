"""The admin plane: HTTP and JSON under ``/_sim/``, from which tests and users steer the simulators.

Refusals are JSON ``{"error": "..."}`` with status 400 (the body is wrong; the text names the place), 404 or
429.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

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
    Redeliver,
    Register,
)
from longwire_connectors.simulator.answers import json_answer, path_part, read_body
from longwire_connectors.simulator.clicks import clicks_seen
from longwire_connectors.simulator.clock import Clock
from longwire_connectors.simulator.counters import State
from longwire_connectors.simulator.deliveries import DeliveryRecord
from longwire_connectors.simulator.diary import Diary
from longwire_connectors.simulator.dingtalk import DingTalk
from longwire_connectors.simulator.errors import AdminRequestError, BookFullError
from longwire_connectors.simulator.faults import ActiveFault, FaultBook, read_fault
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent
from longwire_connectors.simulator.lark import Lark
from longwire_connectors.simulator.link import Link
from longwire_connectors.simulator.platform import Platform

__all__ = ["Admin", "refuse_precisely"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """The handlers of the admin plane."""

    def __init__(
        self, *, lark: Lark, dingtalk: DingTalk, faults: FaultBook, diary: Diary, clock: Clock
    ) -> None:
        self._lark = lark
        self._dingtalk = dingtalk
        self._faults = faults
        self._diary = diary
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return what the admin plane answers to."""
        return [
            web.get("/_sim/state", self._state),
            web.get("/_sim/diary", self._read_diary),
            web.get("/_sim/secrets", self._secrets),
            web.post("/_sim/apps", self._register),
            web.post("/_sim/drop", self._drop),
            web.get("/_sim/faults", self._list_faults),
            web.post("/_sim/faults", self._add_fault),
            web.delete("/_sim/faults", self._clear_faults),
            web.delete("/_sim/faults/{id}", self._remove_fault),
            web.post("/_sim/lark/events", self._inject_lark),
            web.post("/_sim/dingtalk/events", self._inject_dingtalk),
            web.get("/_sim/{platform}/deliveries", self._deliveries),
            web.get("/_sim/{platform}/clicks", self._clicks),
            web.post("/_sim/{platform}/redeliver", self._redeliver),
        ]

    async def _state(self, _: web.Request) -> web.Response:
        lark, dingtalk = self._lark.platform.states, self._dingtalk.platform.states
        return json_answer(State(lark=lark, dingtalk=dingtalk))

    async def _read_diary(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            raise AdminRequestError(f"after: the number of an entry is needed, not {after!r}", status=400)
        return json_answer(DiaryPage(entries=self._diary.after(int(after))))

    async def _secrets(self, _: web.Request) -> web.Response:
        given = {*self._lark.platform.given_out, *self._dingtalk.platform.given_out}
        return json_answer(GivenOut(values=sorted(given)))

    async def _register(self, request: web.Request) -> web.Response:
        body = await read_body(request, Register)
        self._platform(body.platform).apps.register(body.app, secret=body.secret, name=body.name)
        return json_answer(Changed(count=1))

    async def _drop(self, request: web.Request) -> web.Response:
        body = await read_body(request, Drop)
        links = [
            link
            for link in self._platform(body.platform).links(body.app)
            if body.connection in (None, link.state.id)
        ]
        await end_links(links, how=body)
        return json_answer(Changed(count=len(links)))

    async def _list_faults(self, _: web.Request) -> web.Response:
        active = self._faults.active(now=self._clock.now())
        return json_answer(Faults(faults=[_entry(fault) for fault in active]))

    async def _add_fault(self, request: web.Request) -> web.Response:
        fault = read_fault(await request.read())
        return json_answer(Added(id=self._faults.add(fault, now=self._clock.now())))

    async def _clear_faults(self, _: web.Request) -> web.Response:
        return json_answer(Changed(count=self._faults.remove()))

    async def _remove_fault(self, request: web.Request) -> web.Response:
        fault_id = path_part(request, "id")
        if not self._faults.remove(fault_id):
            raise AdminRequestError(f"no fault {fault_id!r} is in force", status=404)
        return json_answer(Changed(count=1))

    async def _inject_lark(self, request: web.Request) -> web.Response:
        return _injected(self._lark.inject(await read_body(request, LarkEvent)))

    async def _inject_dingtalk(self, request: web.Request) -> web.Response:
        return _injected(self._dingtalk.inject(await read_body(request, DingTalkEvent)))

    async def _deliveries(self, request: web.Request) -> web.Response:
        platform = self._platform(path_part(request, "platform"))
        return json_answer(Deliveries(deliveries=platform.book.records(request.query.get("app"))))

    async def _clicks(self, request: web.Request) -> web.Response:
        platform = self._platform(path_part(request, "platform"))
        timings = platform.timings
        seen = clicks_seen(
            platform.book.records(request.query.get("app")),
            deadline_s=(
                timings.lark_ack_deadline_s if platform.name == "lark" else timings.dingtalk_click_deadline_s
            ),
        )
        return json_answer(Clicks(clicks=seen))

    async def _redeliver(self, request: web.Request) -> web.Response:
        platform = self._platform(path_part(request, "platform"))
        body = await read_body(request, Redeliver)
        count = platform.book.redeliver(body.app, identity=body.id, now=self._clock.now())
        platform.wake()
        return json_answer(Changed(count=count))

    def _platform(self, name: str) -> Platform:
        platforms = {"lark": self._lark.platform, "dingtalk": self._dingtalk.platform}
        if name not in platforms:
            raise AdminRequestError(f"the platforms are lark and dingtalk, not {name!r}", status=404)
        return platforms[name]


async def end_links(links: list[Link], *, how: Drop) -> None:
    """Close or cut links, all at once.

    A client that does not answer a close frame delays this by two seconds.
    """
    if how.how != "close":
        for link in links:
            link.abort() if how.how == "abort" else link.cut_midframe()
        return
    async with asyncio.TaskGroup() as tasks:
        for link in links:
            tasks.create_task(link.close(how.code, reason=how.reason), name=f"close {link.state.id}")


@web.middleware
async def refuse_precisely(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what the admin plane cannot do into an answer that says why."""
    try:
        return await handler(request)
    except AdminRequestError as error:
        return json_answer({"error": str(error)}, status=error.status)
    except BookFullError as error:
        return json_answer({"error": str(error)}, status=429)
    except msgspec.MsgspecError as error:
        return json_answer({"error": str(error)}, status=400)


def _injected(records: list[DeliveryRecord]) -> web.Response:
    ids = [
        InjectedIds(
            message_id=record.message_id, event_id=record.event_id, frame_message_id=record.frame_message_id
        )
        for record in records
    ]
    return json_answer(Injected(ids=ids))


def _entry(active: ActiveFault) -> FaultEntry:
    fault: dict[str, object] = msgspec.to_builtins(active.fault)
    return FaultEntry(id=active.id, fault=fault, ends_at=active.ends_at, times_left=active.times_left)
