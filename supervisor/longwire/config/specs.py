"""Which connectors are installed, learned from a helper process: the parent imports no connector's code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from longwire.environment import child_environment
from longwire.interpreter import environment_for, install_hint, program_of, protocol_mismatch
from longwire_protocol.declaration import ConnectorSpec, Description
from longwire_protocol.errors import ConfigError, Problem
from longwire_protocol.version import CHILD_PROTOCOL

ARGUMENTS: Final = ("-P", "-m", "longwire_connectors.describe")
_decode = msgspec.json.Decoder(Description).decode


def load_specs(
    python: str | None = None,
    *,
    timeout_s: float = 30.0,
    environ: Mapping[str, str] | None = None,
    arguments: Sequence[str] = ARGUMENTS,
) -> dict[str, ConnectorSpec]:
    """Return every connector installed for an interpreter by name; one that cannot be imported says so.

    Blocks for as long as importing all of them takes: a fraction of a second, without their SDKs.

    Args:
        python: the interpreter's path; `None` for our own.
        timeout_s: how long the helper may take before it is killed.
        environ: what the helper's environment is chosen from; by default this process's own.
        arguments: what makes the interpreter the helper.

    Raises:
        ConfigError: the helper failed, with the last line it wrote, or is of another version than ours.
    """
    command = [program_of(python), *arguments]
    env = environment_for(python, child_environment(os.environ if environ is None else environ))
    try:
        done = subprocess.run(command, env=env, timeout=timeout_s, capture_output=True, check=True)  # noqa: S603
        description = _decode(done.stdout)
    except subprocess.TimeoutExpired:
        why = f"not done after {timeout_s:g} s; a connector hangs while it is imported"
    except subprocess.CalledProcessError as exc:
        why = f"exit status {exc.returncode}, {_last_line(exc.stderr)}{install_hint(python)}"
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        why = f"{exc}{install_hint(python)}"
    except OSError as exc:
        why = str(exc)
    else:
        if description.protocol == CHILD_PROTOCOL:
            return {spec.name: spec for spec in description.connectors}
        why = protocol_mismatch(description.protocol, python)
    problem = f"the installed connectors could not be listed by `{' '.join(command)}`: {why}"
    raise ConfigError([Problem("", problem)])


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
