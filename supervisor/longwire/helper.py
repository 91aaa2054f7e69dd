"""Short-lived processes that know what the parent must not import: started, given something, read, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from longwire.environment import child_environment
from longwire.interpreter import environment_for, program_of
from longwire.process import Lifeline
from longwire_protocol.lifeline import tie

_START_S = 0.1
"""How long the start of a process is waited for before it is interrupted: it takes some milliseconds."""


class Helper:
    """Runs one module of the connectors, one process at a time, in a session of its own, dead when we are.

    Args:
        arguments: what makes an interpreter the helper; the number of its private pipe is appended.
        timeout_s: how long it may take before it is killed.
        environ: what its environment is chosen from; by default this process's own.
    """

    def __init__(
        self, arguments: Sequence[str], *, timeout_s: float, environ: Mapping[str, str] | None = None
    ) -> None:
        self._arguments = arguments
        self._timeout_s = timeout_s
        self._environ = environ
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_interrupted = False

    def command(self, python: str | None) -> list[str]:
        """Return what is run, for people."""
        return [program_of(python), *self._arguments]

    def run(self, python: str | None, *, given: bytes = b"") -> bytes:
        """Return what it prints; blocks.

        Args:
            python: the interpreter's path; `None` for our own.
            given: what it can read from its stdin.

        Raises:
            TimeoutExpired: it was killed; `output` is what it had printed.
            CalledProcessError: its exit status was another than 0.
            OSError: it cannot be started, or was interrupted.
        """
        theirs, ours = os.pipe()
        lifeline = Lifeline(ours)
        command = self.command(python)
        try:
            process = self._start([*command, str(theirs)], theirs, python)
        except BaseException:
            lifeline.close()
            raise
        finally:
            os.close(theirs)
        try:
            output, errors = process.communicate(given, timeout=self._timeout_s)
        finally:
            _kill(process)
            with process:  # closes its pipes, and waits for what is dead or dies
                lifeline.close()
                self._process = None
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, stderr=errors)
        return output

    def interrupt(self) -> None:
        """Have every run fail, the present one at once; from any thread.

        One whose start hangs, as that of a program on a mount that is gone, is not waited for.
        """
        self._is_interrupted = True
        if self._lock.acquire(timeout=_START_S):
            try:
                _kill(self._process)
            finally:
                self._lock.release()

    def _start(self, command: list[str], lifeline: int, python: str | None) -> subprocess.Popen[bytes]:
        environment = child_environment(os.environ if self._environ is None else self._environ)
        with self._lock:
            if self._is_interrupted:
                raise OSError("interrupted")
            self._process = subprocess.Popen(  # noqa: S603  # what the operator named
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment_for(python, environment),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
            tie(lifeline, -self._process.pid)  # it may hang or be stopped before it does so itself
            if self._is_interrupted:  # nobody waited for the start
                _kill(self._process)
            return self._process


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    """End the whole session, so that nothing keeps the pipes open."""
    if process is not None and process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
