"""Nothing of ours may block an event loop: whatever does fails the test."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def blockbuster() -> Generator[BlockBuster, None, None]:
    with blockbuster_ctx(["longwire", "longwire_connectors", "longwire_protocol"]) as watcher:
        for call in watcher.functions.values():
            call.can_block_in("/connector.py", "load")  # imports the SDK, before anything has to turn
            call.can_block_in("/forking.py", "memory_of")  # a line of /proc, made on the spot
            for name in ("read", "glance", "catches", "open_memory", "_thread", "_wchan"):  # likewise
                call.can_block_in("/procfs.py", name)
            call.can_block_in("/inquest.py", "_stacks")  # memory, though it has a descriptor
            call.can_block_in("/process.py", "spawn")  # a vfork, for a millisecond or two
        yield watcher
