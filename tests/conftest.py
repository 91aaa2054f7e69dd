"""For every tier."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# The same examples each time: a failure is the change's, not the day's. No verdict on a machine's speed.
settings.register_profile(
    "longwire", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("longwire")

# Tests started in the background of a shell have SIGINT ignored, and so would every program they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
