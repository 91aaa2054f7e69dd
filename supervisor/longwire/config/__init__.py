"""The configuration: read from TOML or a mapping, checked as a whole, frozen.

What belongs here: every setting with its meaning, limits and default; the checks, which find all mistakes at
once; secrets from where they are kept. What does not: acting on the settings, and importing connectors: what
one expects is learned from a helper process (`Describer`).
"""

from longwire.config.loading import client_endpoint, data_dir, from_mapping, load, parsed
from longwire.config.overlay import Overlay
from longwire.config.secrets import Secret
from longwire.config.settings import AccountConfig, AccountSettings, Config, SupervisorSettings
from longwire.config.specs import Describer

__all__ = [
    "AccountConfig",
    "AccountSettings",
    "Config",
    "Describer",
    "Overlay",
    "Secret",
    "SupervisorSettings",
    "client_endpoint",
    "data_dir",
    "from_mapping",
    "load",
    "parsed",
]
