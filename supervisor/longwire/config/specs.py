"""Which connectors are installed, learned from helper processes: the parent imports no connector's code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from longwire.helper import Helper
from longwire.interpreter import install_hint, protocol_mismatch, version_mismatch
from longwire_protocol.declaration import ConnectorSpec, Description
from longwire_protocol.errors import ConfigError, Problem
from longwire_protocol.version import CHILD_PROTOCOL, __version__

ARGUMENTS: Final = ("-P", "-m", "longwire_connectors.describe")
_decode = msgspec.json.Decoder(Description).decode


class Describer:
    """Asks interpreters for their connectors, one at a time.

    Args:
        timeout_s: how long a helper may take before it is killed.
        environ: what a helper's environment is chosen from; by default this process's own.
        arguments: what makes an interpreter the helper.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 30.0,
        environ: Mapping[str, str] | None = None,
        arguments: Sequence[str] = ARGUMENTS,
    ) -> None:
        self._timeout_s = timeout_s
        self._helper = Helper(arguments, timeout_s=timeout_s, environ=environ)

    def __call__(self, python: str | None = None) -> dict[str, ConnectorSpec]:
        """Return every connector installed for an interpreter by name; one that cannot be imported says so.

        Blocks for as long as importing all of them takes: a fraction of a second, without their SDKs.

        Args:
            python: the interpreter's path; `None` for our own.

        Raises:
            ConfigError: the helper failed, with the last line it wrote, or is of another version than ours.
        """
        command = self._helper.command(python)
        try:
            description = _decode(self._helper.run(python))
        except subprocess.TimeoutExpired:
            why = f"not done after {self._timeout_s:g} s; a connector hangs while it is imported"
        except subprocess.CalledProcessError as exc:
            why = f"exit status {exc.returncode}, {_last_line(exc.stderr)}{install_hint(python)}"
        except msgspec.ValidationError:  # a description, but of another shape than ours
            why = version_mismatch(None, python)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            why = f"what it prints is no list of connectors{install_hint(python)}"
        except OSError as exc:
            why = _not_started(command[0], exc)
        else:
            if description.version != __version__:
                why = version_mismatch(description.version, python)
            elif description.protocol != CHILD_PROTOCOL:
                why = protocol_mismatch(description.protocol, python)
            else:
                return {spec.name: spec for spec in description.connectors}
        problem = f"the installed connectors could not be listed by `{' '.join(command)}`: {why}"
        raise ConfigError([Problem("", problem)])

    def interrupt(self) -> None:
        """Have all questions fail, the present one at once; from any thread."""
        self._helper.interrupt()


def _not_started(program: str, error: OSError) -> str:
    if isinstance(error, PermissionError) and os.path.isdir(program):  # noqa: PTH112  # as the system was given it
        return f"{program} is a folder, not an interpreter; give its bin/python"
    return str(error)


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
