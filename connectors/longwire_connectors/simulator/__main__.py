"""`python -m longwire_connectors.simulator`: both simulators, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from urllib.parse import urlsplit

from longwire_connectors.simulator.server import run

EX_TEMPFAIL = 75
"""The port is taken; it may be free later."""


def main() -> int:
    """Serve, and return the exit code."""
    arguments = _parser().parse_args()
    try:
        asyncio.run(_serve(arguments.port, time_scale=arguments.time_scale, as_json=arguments.json))
    except OSError as exc:
        sys.stderr.write(f"longwire: port {arguments.port}: {exc.strerror or exc}\n")
        return EX_TEMPFAIL
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="longwire_connectors.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free port")
    parser.add_argument("--time-scale", type=float, default=1.0, help="divides the platforms' long waits")
    parser.add_argument("--json", action="store_true", help="print {url, port} instead of the URL")
    return parser


async def _serve(port: int, *, time_scale: float, as_json: bool) -> None:
    def announce(url: str) -> None:
        line = json.dumps({"url": url, "port": urlsplit(url).port}) if as_json else url
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    serving = asyncio.ensure_future(run(port, announce=announce, time_scale=time_scale))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    sys.exit(main())
