"""What is answered for a command that no child was asked for, or that nobody can ask a child for any more."""

from __future__ import annotations

import math
from typing import Final

from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import CommandResult

SUPERVISOR_LOST: Final = CommandResult(
    id=0, retcode=RetCode.CHILD_LOST, message="the supervisor ended while it was under way"
)

TOO_LATE: Final = CommandResult(
    id=0, retcode=RetCode.SATURATED, message="the disk took until then to take the try down"
)
"""Nothing was done: whoever asked may have been told by now that nothing will be."""

BROKEN: Final = CommandResult(
    id=0, retcode=RetCode.INTERNAL, message="a bug of the supervisor; its log has the traceback"
)

NOBODY: Final = CommandResult(id=0, retcode=RetCode.ACCOUNT_NOT_ONLINE, message="the account is gone")


def saturated(retry_after_s: float) -> CommandError:
    """Return the refusal of one for which there is no room now."""
    return CommandError(
        RetCode.SATURATED,
        "too many commands wait; nothing was done",
        retryable=True,
        retry_after_ms=math.ceil(retry_after_s * 1000),
    )
