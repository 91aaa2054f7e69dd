"""The simulated Lark: its routes, and how events get in."""

from collections.abc import Sequence

from aiohttp import web

from longwire_connectors.simulator.clock import Clock
from longwire_connectors.simulator.deliveries import Delivery, DeliveryRecord
from longwire_connectors.simulator.diary import Diary
from longwire_connectors.simulator.faults import FaultBook
from longwire_connectors.simulator.injections import LarkEvent, lark_ids
from longwire_connectors.simulator.lark_discovery import LarkDiscovery
from longwire_connectors.simulator.lark_events import build_delivery, content_of
from longwire_connectors.simulator.lark_openapi import LarkOpenApi
from longwire_connectors.simulator.lark_socket import LarkSocket
from longwire_connectors.simulator.link import Link
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.timings import Timings

__all__ = ["Lark"]


class Lark:
    """Everything under ``/callback``, ``/ws/v2`` and ``/open-apis``."""

    def __init__(
        self,
        *,
        host: str,
        clock: Clock,
        timings: Timings,
        faults: FaultBook,
        diary: Diary,
        is_strict: bool,
    ) -> None:
        self.platform = Platform(
            "lark",
            clock=clock,
            timings=timings,
            faults=faults,
            diary=diary,
            is_strict=is_strict,
            is_pushed=_is_pushed,
        )
        self._discovery = LarkDiscovery(self.platform, host=host)
        self._socket = LarkSocket(self.platform, discovery=self._discovery)
        self._open_api = LarkOpenApi(self.platform)

    def routes(self) -> list[web.RouteDef]:
        """Return what Lark answers to."""
        return [
            web.post("/callback/ws/endpoint", self._discovery.answer),
            web.get("/ws/v2", self._socket.answer),
            *self._open_api.routes(),
        ]

    def inject(self, event: LarkEvent) -> list[DeliveryRecord]:
        """Let events happen; with no connection open they wait for one."""
        platform = self.platform
        now = platform.clock.now()
        deliveries = [
            build_delivery(event, index=index, ids=lark_ids(event), now=now, timings=platform.timings)
            for index in range(event.count)
        ]
        platform.inject(deliveries, rate_per_s=event.rate_per_s)
        if event.kind == "message":
            self._remember(event, deliveries)
        return [delivery.record for delivery in deliveries]

    def _remember(self, event: LarkEvent, deliveries: Sequence[Delivery]) -> None:
        for index, delivery in enumerate(deliveries):
            self._open_api.received(
                message_id=delivery.record.message_id,
                sender=event.sender,
                chat=event.chat,
                kind=event.message_type,
                content=content_of(event, index=index),
            )


def _is_pushed(delivery: Delivery, links: Sequence[Link]) -> bool:
    """Tell whether an event is pushed or waits: all are, but for one bound to a connection that is gone."""
    return delivery.connection is None or any(link.state.id == delivery.connection for link in links)
