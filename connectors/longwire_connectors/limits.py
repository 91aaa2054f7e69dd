"""What a child may take of the machine. It imposes that on itself, as a forked one has no `exec` to come."""

from __future__ import annotations

import os
import resource

from longwire_protocol.frames import ProcessLimits


def impose(limits: ProcessLimits) -> None:
    """Take these limits, or what is left of them: nobody may give himself more than he inherited.

    Called before there is a second thread, as niceness belongs to a thread on Linux and is inherited.
    """
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if limits.nice > niceness:
        os.setpriority(os.PRIO_PROCESS, 0, limits.nice)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = limits.open_files if hard == resource.RLIM_INFINITY else min(limits.open_files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core holds every secret of the account
