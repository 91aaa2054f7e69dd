"""Webhooks as a test configures them, and what arrived as other people's libraries see it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

from harness.longwire import Longwire
from harness.targets.behaviour import Arrival
from harness.waiting import DEADLINE_S, until
from longwire_protocol.event import Event

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""A secret of the right form, as the documents of Standard Webhooks have it."""

NEXT_SECRET = "whsec_bmV4dC1zZWNyZXQtb2YtMzItYnl0ZXMtLi4uLi4uLi4="

_event = msgspec.json.Decoder(Event)
_events = msgspec.json.Decoder(list[Event])


def webhook(url: str, **more: Any) -> dict[str, Any]:
    """Return a target on this machine, which a target is not by default."""
    return {"url": url, "secret": SECRET, "allow_http": True, "allow_private": True, **more}


def verified(arrival: Arrival, secret: str = SECRET) -> Any:
    """Return its body, once the Standard Webhooks library has verified its signature with this secret.

    Raises:
        WebhookVerificationError: the signature is not of this secret, or the time is not now.
    """
    return Webhook(secret).verify(arrival.body, dict(arrival.headers))


def event_of(arrival: Arrival) -> Event:
    """Return the event of a body that holds one."""
    return _event.decode(arrival.body)


def events_of(arrival: Arrival) -> list[Event]:
    """Return the events of a body, one or an array."""
    return _events.decode(arrival.body) if arrival.body.startswith(b"[") else [event_of(arrival)]


def texts(arrivals: Iterable[Arrival]) -> list[str]:
    """Return the texts of the events, one in each, as they came."""
    return [event_of(arrival).text or "" for arrival in arrivals]


def cloud_event(arrival: Arrival) -> BaseCloudEvent:
    """Return the CloudEvent of a structured body, as its own library reads and checks it."""
    assert arrival.header("content-type").startswith("application/cloudevents+json")
    return from_structured(_message(arrival, arrival.body), JSONFormat(), CloudEvent)


def cloud_events(arrival: Arrival) -> list[BaseCloudEvent]:
    """Return those of a batched body; the library knows events one by one."""
    assert arrival.header("content-type").startswith("application/cloudevents-batch+json")
    bodies = [json.dumps(each).encode() for each in json.loads(arrival.body)]
    return [from_structured(_message(arrival, body), JSONFormat(), CloudEvent) for body in bodies]


async def add(longwire: Longwire, name: str, config: dict[str, Any]) -> None:
    """Add a target by command."""
    await longwire.client.call("webhook.add", {"webhook": name, "config": config})


async def remove(longwire: Longwire, name: str) -> None:
    """Remove one."""
    await longwire.client.call("webhook.remove", {"webhook": name})


async def courier(longwire: Longwire) -> dict[str, Any]:
    """Return what the supervisor says of the process that posts."""
    found: dict[str, Any] = (await longwire.status())["courier"]
    return found


async def target_status(longwire: Longwire, name: str) -> dict[str, Any]:
    """Return what the supervisor says of a target."""
    listed: list[dict[str, Any]] = await longwire.client.call("webhook.list")
    (found,) = (it for it in listed if it["name"] == name)
    return found


async def until_target(
    longwire: Longwire, name: str, *, deadline_s: float = DEADLINE_S, **wanted: Any
) -> dict[str, Any]:
    """Wait until these fields of a target's status have these values; return all of it."""

    async def look() -> dict[str, Any] | None:
        status = await target_status(longwire, name)
        return status if all(status[key] == value for key, value in wanted.items()) else None

    return await until(look, what=f"target {name} has {wanted}", deadline_s=deadline_s)


def _message(arrival: Arrival, body: bytes) -> HTTPMessage:
    return HTTPMessage(headers=dict(arrival.headers), body=body)
