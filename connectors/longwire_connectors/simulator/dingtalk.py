"""The simulated DingTalk: its routes, and how events get in."""

from collections.abc import Iterator, Sequence

import msgspec
from aiohttp import web

from longwire_connectors.simulator.clock import Clock
from longwire_connectors.simulator.deliveries import Delivery, DeliveryRecord
from longwire_connectors.simulator.diary import Diary
from longwire_connectors.simulator.dingtalk_cards import DingTalkCards
from longwire_connectors.simulator.dingtalk_desk import Desk
from longwire_connectors.simulator.dingtalk_events import build_delivery
from longwire_connectors.simulator.dingtalk_gateway import DingTalkGateway
from longwire_connectors.simulator.dingtalk_media import DingTalkMedia
from longwire_connectors.simulator.dingtalk_openapi import DingTalkOpenApi
from longwire_connectors.simulator.dingtalk_socket import DingTalkSocket
from longwire_connectors.simulator.faults import FaultBook
from longwire_connectors.simulator.injections import DingTalkEvent, dingtalk_ids
from longwire_connectors.simulator.link import Link
from longwire_connectors.simulator.platform import Platform, suits
from longwire_connectors.simulator.timings import Timings

__all__ = ["DingTalk"]


class DingTalk:
    """Everything under ``/v1.0``, ``/connect``, ``/robot`` and the old host's paths."""

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
            "dingtalk",
            clock=clock,
            timings=timings,
            faults=faults,
            diary=diary,
            is_strict=is_strict,
            is_pushed=_is_pushed,
        )
        self._gateway = DingTalkGateway(self.platform, host=host)
        self._socket = DingTalkSocket(self.platform, gateway=self._gateway)
        desk = Desk(self.platform)
        self._open_api = DingTalkOpenApi(desk, host=host)
        self._cards = DingTalkCards(desk, self._open_api)
        self._media = DingTalkMedia(desk, host=host)

    def routes(self) -> list[web.RouteDef]:
        """Return what DingTalk answers to."""
        return [
            web.post("/v1.0/gateway/connections/open", self._gateway.answer),
            web.get("/connect", self._socket.answer),
            *self._open_api.routes(),
            *self._cards.routes(),
            *self._media.routes(),
        ]

    def inject(self, event: DingTalkEvent) -> list[DeliveryRecord]:
        """Let events happen.

        A SYSTEM ping or disconnect goes to every connection of the app, or to the one named.
        """
        deliveries = [
            self._build(one, index=index) for one in self._addressed(event) for index in range(event.count)
        ]
        self.platform.inject(deliveries, rate_per_s=event.rate_per_s)
        return [delivery.record for delivery in deliveries]

    def _addressed(self, event: DingTalkEvent) -> Iterator[DingTalkEvent]:
        if event.kind not in ("ping", "disconnect") or event.connection is not None:
            yield event
            return
        for link in self.platform.links(event.app):
            yield msgspec.structs.replace(event, app=link.app, connection=link.state.id)

    def _build(self, event: DingTalkEvent, *, index: int) -> Delivery:
        is_message = event.kind == "message"
        webhook = self._open_api.new_session(event.app, life_s=event.session_life_s) if is_message else ""
        return build_delivery(
            event,
            index=index,
            ids=dingtalk_ids(event),
            now=self.platform.clock.now(),
            timings=self.platform.timings,
            webhook=webhook,
        )


def _is_pushed(delivery: Delivery, links: Sequence[Link]) -> bool:
    """Tell whether a delivery is pushed or waits.

    Robot messages are fire-and-forget: without a connection they are lost, events wait. Neither is pushed to
    clients that have not subscribed to its topic.
    """
    if not links:
        return delivery.record.kind == "event" and delivery.connection is None
    return any(suits(delivery, link) for link in links)
