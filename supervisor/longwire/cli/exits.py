"""Exit codes, by sysexits.h, and which error leads to which."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from longwire_protocol.errors import (
    AddressError,
    AlreadyRunning,
    CommandError,
    ConfigError,
    LongwireError,
    RetCode,
    SupervisorUnreachable,
)


class ExitCode(IntEnum):
    """All codes that `longwire` ends with, but for 130 after Ctrl-C."""

    OK = 0
    USAGE = 64  # the arguments, or what they name, do not exist
    UNREACHABLE = 69  # no supervisor answers
    BUG = 70  # ours
    TRY_AGAIN = 75  # the same command may work later
    NOT_PERMITTED = 77  # by the system, or by the platform
    CONFIGURATION = 78  # the file must be changed


INTERRUPTED: Final = 130
"""As shells count: 128 and the number of SIGINT."""


class NotPermitted(LongwireError):
    """The system does not let this user reach the supervisor; only its own may."""


_REQUEST, _HANDLER = 1, 2
"""First digits of return codes: the request is wrong, or the one who handled it (`RetCode`)."""


def exit_code(error: LongwireError) -> ExitCode:
    """Return what the command ends with after this error."""
    match error:
        case CommandError():
            return _of_command(error)
        case ConfigError() | AddressError():
            return ExitCode.CONFIGURATION
        case AlreadyRunning():
            return ExitCode.TRY_AGAIN
        case SupervisorUnreachable():
            return ExitCode.UNREACHABLE
        case NotPermitted():
            return ExitCode.NOT_PERMITTED
        case _:
            return ExitCode.BUG


def _of_command(error: CommandError) -> ExitCode:
    if error.retryable:
        return ExitCode.TRY_AGAIN
    if error.retcode == RetCode.PLATFORM_REFUSED:
        return ExitCode.NOT_PERMITTED
    if error.retcode == RetCode.CONFIG_REFUSED:
        return ExitCode.CONFIGURATION
    kind = error.retcode // 10_000
    return {_REQUEST: ExitCode.USAGE, _HANDLER: ExitCode.BUG}.get(kind, ExitCode.TRY_AGAIN)
