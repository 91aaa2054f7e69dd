"""Simulators of Lark and DingTalk, for Longwire's tests and for everyone who tests a bot.

Both platforms stand on one loopback port: discovery, long connection, REST calls, and an admin plane under
``/_sim/`` that injects events, causes faults and tells what was counted. What belongs here is what the
*platforms* do; how a client should react does not, and no SDK is imported.

Pure parts (``deliveries``, ``faults``, ``apps``, ``tickets``, the two ``*_events``) get the time as an
argument; ``platform``, ``link`` and ``server`` stand around them with sockets and the clock.
"""

from longwire_connectors.simulator.admin_client import SimulatorClient
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent
from longwire_connectors.simulator.server import Simulator, run

__all__ = ["DingTalkEvent", "LarkEvent", "Simulator", "SimulatorClient", "run"]
