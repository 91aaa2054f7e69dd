"""`python -m harness.targets SOCKET`: run targets until whoever steers them at this socket has gone."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import ExitStack
from pathlib import Path

from harness.targets.host import Host

with ExitStack() as stack:
    gc.freeze()  # a pause here would be taken for one of the product
    asyncio.run(Host(stack).serve(Path(sys.argv[1])))
