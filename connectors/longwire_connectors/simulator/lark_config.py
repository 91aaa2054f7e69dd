"""The ClientConfig that Lark sends at discovery and in pongs, and what faults make of it."""

from longwire_connectors.simulator.fault_kinds import ConfigValues, LarkClientConfig, LarkPongConfig

__all__ = ["CLIENT_CONFIG", "client_config", "pong_config"]

CLIENT_CONFIG: ConfigValues = {
    "ReconnectCount": -1,
    "ReconnectInterval": 90,
    "ReconnectNonce": 25,
    "PingInterval": 90,
}
"""The captured set, in seconds and times: the same in two independent public repositories."""


def client_config(fault: LarkClientConfig | None) -> ConfigValues:
    """Return the ClientConfig of a discovery answer."""
    if fault is None:
        return CLIENT_CONFIG
    return _altered(fault.values, missing=fault.missing)


def pong_config(fault: LarkPongConfig | None, *, current: ConfigValues) -> ConfigValues | None:
    """Return the ClientConfig of a pong, None for a pong without payload.

    ``current`` is what discovery sent for this connection: a client takes its timings from every pong again.
    """
    if fault is None:
        return current
    return None if fault.is_empty else _altered(fault.values, missing=fault.missing)


def _altered(values: ConfigValues, *, missing: list[str]) -> ConfigValues:
    return {key: value for key, value in {**CLIENT_CONFIG, **values}.items() if key not in missing}
