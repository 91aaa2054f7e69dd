"""Which connectors are installed, learned from helper processes: the parent imports no connector's code."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from longwire.environment import child_environment
from longwire.interpreter import (
    environment_for,
    install_hint,
    program_of,
    protocol_mismatch,
    version_mismatch,
)
from longwire.process import Lifeline
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
        self._environ = environ
        self._arguments = arguments
        self._lock = threading.Lock()
        self._helper: subprocess.Popen[bytes] | None = None
        self._is_interrupted = False

    def __call__(self, python: str | None = None) -> dict[str, ConnectorSpec]:
        """Return every connector installed for an interpreter by name; one that cannot be imported says so.

        Blocks for as long as importing all of them takes: a fraction of a second, without their SDKs.

        Args:
            python: the interpreter's path; `None` for our own.

        Raises:
            ConfigError: the helper failed, with the last line it wrote, or is of another version than ours.
        """
        command = [program_of(python), *self._arguments]
        try:
            description = _decode(self._output(command, python))
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
        with self._lock:
            self._is_interrupted = True
            _kill(self._helper)

    def _output(self, command: list[str], python: str | None) -> bytes:
        """Run a helper, in a session of its own and dead when this process is."""
        theirs, ours = os.pipe()
        lifeline = Lifeline(ours)
        try:
            helper = self._start([*command, str(theirs)], theirs, python)
        except BaseException:
            lifeline.close()
            raise
        finally:
            os.close(theirs)
        try:
            output, errors = helper.communicate(timeout=self._timeout_s)
        finally:
            _kill(helper)
            with helper:  # closes its pipes, and waits for what is dead or dies
                lifeline.close()
                self._helper = None
        if helper.returncode:
            raise subprocess.CalledProcessError(helper.returncode, command, stderr=errors)
        return output

    def _start(self, command: list[str], lifeline: int, python: str | None) -> subprocess.Popen[bytes]:
        environment = child_environment(os.environ if self._environ is None else self._environ)
        with self._lock:
            if self._is_interrupted:
                raise OSError("interrupted")
            self._helper = subprocess.Popen(  # noqa: S603  # what the operator named
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment_for(python, environment),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
            return self._helper


def _kill(helper: subprocess.Popen[bytes] | None) -> None:
    """End the whole session, so that nothing keeps the pipes open."""
    if helper is not None and helper.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(helper.pid, signal.SIGKILL)


def _not_started(program: str, error: OSError) -> str:
    if isinstance(error, PermissionError) and os.path.isdir(program):  # noqa: PTH112  # as the system was given it
        return f"{program} is a folder, not an interpreter; give its bin/python"
    return str(error)


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
