"""The process of one account: `python -P -m longwire_connectors LIFELINE LOCK BOOTSTRAP`.

The supervisor starts it, and all three are descriptors. `LOCK` is there for nothing but to be held as
long as the process lives.
"""

from __future__ import annotations

import os
import signal
import sys

from longwire_connectors import lifeline


def main() -> None:
    """Live one child's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a host may have blocked what the stop ladder sends
    lifeline_fd, lock_fd, bootstrap_fd = map(int, sys.argv[1:])
    for own in (lifeline_fd, lock_fd, bootstrap_fd):
        os.set_inheritable(own, False)  # what an SDK starts must not live on in our name
    bootstrap = lifeline.receive(bootstrap_fd, lifeline_fd=lifeline_fd)
    lifeline.arm(lifeline_fd)
    from longwire_connectors import stacks  # noqa: PLC0415  # only an armed child may take its time

    stacks.arm()
    from longwire_connectors import life  # noqa: PLC0415  # this imports other people's

    life.live(bootstrap)


if __name__ == "__main__":
    try:
        main()
    except EOFError as exc:
        sys.exit(str(exc))
