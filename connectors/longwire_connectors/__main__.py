"""The process of one account: `python -P -m longwire_connectors FD`, started by the supervisor only."""

from __future__ import annotations

import signal
import sys

from longwire_connectors import lifeline


def main() -> None:
    """Live one child's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor
    fd = int(sys.argv[1])
    bootstrap = lifeline.receive(fd)
    lifeline.arm(fd)
    from longwire_connectors import life  # noqa: PLC0415  # only an armed child may take its time

    life.live(bootstrap)


if __name__ == "__main__":
    try:
        main()
    except EOFError as exc:
        sys.exit(str(exc))
