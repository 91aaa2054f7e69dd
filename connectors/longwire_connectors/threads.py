"""Blocking calls of an SDK, on a thread that nobody has to wait for; under the name that connectors know."""

from __future__ import annotations

from longwire_protocol.threads import in_thread

__all__ = ["in_thread"]
