"""Which connectors are installed, learned from a helper process: the parent imports no connector's code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from longwire.environment import child_environment
from longwire_protocol.declaration import ConnectorSpec
from longwire_protocol.errors import ConfigError, Problem

COMMAND: Final = (sys.executable, "-P", "-m", "longwire_connectors.describe")
_decode = msgspec.json.Decoder(list[ConnectorSpec]).decode


def load_specs(
    timeout_s: float = 30.0,
    *,
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] = COMMAND,
) -> dict[str, ConnectorSpec]:
    """Return every installed connector by name; one that cannot be imported says so in `error`.

    Blocks for as long as importing all of them takes: a fraction of a second, without their SDKs.

    Args:
        timeout_s: how long the helper may take before it is killed.
        environ: what the helper's environment is chosen from; by default this process's own.
        command: the helper.

    Raises:
        ConfigError: the helper failed, with the last line it wrote.
    """
    env = child_environment(os.environ if environ is None else environ)
    try:
        done = subprocess.run(command, env=env, timeout=timeout_s, capture_output=True, check=True)  # noqa: S603
        return {spec.name: spec for spec in _decode(done.stdout)}
    except subprocess.TimeoutExpired:
        why = f"not done after {timeout_s:g} s; a connector hangs while it is imported"
    except subprocess.CalledProcessError as exc:
        why = f"exit status {exc.returncode}, {_last_line(exc.stderr)}"
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
        why = str(exc)
    problem = f"the installed connectors could not be listed by `{' '.join(command)}`: {why}"
    raise ConfigError([Problem("", problem)])


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
