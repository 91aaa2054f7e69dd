"""What a post consists of: its body, and the headers that say who, what and when, and sign it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from longwire.courier import bodies
from longwire.courier.signing import Signer
from longwire.courier.target import Format, Target
from longwire_protocol.event import Event

MAX_SHARED_BYTES = 8 * 1024 * 1024
"""Of bodies kept for the other targets of an event: they are posted to within moments of each other."""

Dress = Callable[[Sequence[Event]], tuple[bytes, dict[str, str]]]
"""Makes body and headers of a post with these events."""


class Wardrobe:
    """Encodes each event once for all of its targets."""

    def __init__(self, *, max_shared_bytes: int = MAX_SHARED_BYTES) -> None:
        self._max_shared_bytes = max_shared_bytes
        self._shared: OrderedDict[tuple[int | None, str, bool], bytes] = OrderedDict()
        self._size = 0

    def tailor(self, target: Target) -> Dress:
        """Return what dresses the posts to a target, with all that can be made once made now."""
        signer, form, is_batch = Signer(target.secrets), target.format, target.batch_size > 1
        fixed = {"Content-Type": bodies.CONTENT_TYPES[form], **target.headers}

        def dress(events: Sequence[Event]) -> tuple[bytes, dict[str, str]]:
            parts = [self._encoded(event, form) for event in events]
            body = bodies.body(parts, form, is_batch=is_batch)
            webhook_id = bodies.webhook_id([event.id for event in events])
            return body, {**fixed, **signer.headers(webhook_id, body, now=time.time())}

        return dress

    def _encoded(self, event: Event, form: Format) -> bytes:
        """Return it without what differs from one delivery to the next, so that it is the same for all."""
        key = (event.seq, event.id, form == "event")  # an id is the connector's word, and may be another's
        found = self._shared.get(key)
        if found is None:
            delivery, event.delivery = event.delivery, None
            try:
                found = bodies.encoded(event, form)
            finally:
                event.delivery = delivery
            self._shared[key] = found
            self._size += len(found)
            while self._size > self._max_shared_bytes:
                self._size -= len(self._shared.popitem(last=False)[1])
        return found
