"""Commands in a child: bounded, with a deadline each, always answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from longwire_connectors.base import Connector
from longwire_connectors.clickbook import RESPOND
from longwire_connectors.deadline import COMMAND_ENDS_AT
from longwire_protocol.codec import MAX_FRAME_BYTES, encode
from longwire_protocol.deadlines import Timeouts
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import Command, CommandResult
from longwire_protocol.workers import Workers

_log = logging.getLogger("longwire.child")

_MAX_COMMANDS = 64
"""Commands under way at once, of those with a key and of those without: many slow downloads, which nobody was
promised, leave room for what the outbox carries out. Answers to clicks go beside: they ask for nothing of the
platform, cannot wait, and are bounded by the clicks that are held."""

_MAX_FILES = 32
"""Of them, those that move files: these take long, and must leave room for the others."""

_MOST_IDLE = 8
"""Tasks kept for commands to come: more are seldom under way at once."""

_SATURATED_RETRY_MS = 1000


class Commands:
    """Carries out commands on the connector.

    Args:
        tasks: owns the tasks that carry them out.
        connector: returns the connector, or `None` while it cannot be used.
        tell: sends a result to the parent.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        connector: Callable[[], Connector | None],
        tell: Callable[[CommandResult], None],
    ) -> None:
        self._workers = Workers(tasks, name="commands", most_idle=_MOST_IDLE)
        self._timeouts = Timeouts()
        self._connector = connector
        self._tell = tell
        self._under_way: dict[int, Command] = {}

    def begin(self, command: Command) -> None:
        """Start a command, or refuse it at once."""
        connector = self._connector()
        if self._workers.is_over:
            self._refuse(command, RetCode.ACCOUNT_NOT_ONLINE, "the account's process is ending")
        elif connector is None:
            self._refuse(command, RetCode.ACCOUNT_NOT_ONLINE, "the platform's SDK is not usable")
        elif (most := self._exceeded(command)) is not None:
            self._tell(
                CommandResult(
                    id=command.id,
                    retcode=RetCode.SATURATED,
                    message=f"{most} such commands are under way",
                    retryable=True,
                    retry_after_ms=_SATURATED_RETRY_MS,
                )
            )
        else:
            self._under_way[command.id] = command
            self._workers.run(self._carry_out(connector, command))

    def _exceeded(self, command: Command) -> int | None:
        """Return the bound that keeps one more of these from beginning; `None` if it may."""
        if command.method == RESPOND or len(self._under_way) < _MAX_FILES:
            return None
        alike = [other.method for other in self._under_way.values() if bool(other.key) == bool(command.key)]
        if len(alike) >= _MAX_COMMANDS:
            return _MAX_COMMANDS
        is_crowded = sum(map(_moves_file, alike)) >= _MAX_FILES
        return _MAX_FILES if is_crowded and _moves_file(command.method) else None

    @property
    def is_busy(self) -> bool:
        """Whether any is under way."""
        return self._workers.is_busy

    async def finish(self) -> None:
        """Wait until no command is under way."""
        await self._workers.rest()

    def cancel(self) -> None:
        """End every command under way: the process is about to."""
        self._workers.cancel()

    async def _carry_out(self, connector: Connector, command: Command) -> None:
        COMMAND_ENDS_AT.set(asyncio.get_running_loop().time() + command.deadline_s)
        try:
            with self._timeouts.within(command.deadline_s):
                data = await connector.call(command.method, command.params, key=command.key)
        except CommandError as exc:
            self._tell(
                CommandResult(
                    id=command.id,
                    retcode=exc.retcode,
                    message=exc.message,
                    data=exc.data,
                    retryable=exc.retryable,
                    retry_after_ms=exc.retry_after_ms,
                )
            )
        except TimeoutError:
            self._refuse(command, RetCode.DEADLINE_EXCEEDED, "no answer of the platform in time")
        except Exception:  # noqa: BLE001  # the edge of a task; the log has the traceback
            _log.exception("command_failed", extra={"method": command.method})
            self._refuse(command, RetCode.INTERNAL, "the connector failed; its log has the traceback")
        else:
            self._succeed(command, data)
        finally:
            del self._under_way[command.id]

    def _succeed(self, command: Command, data: Any) -> None:
        result = CommandResult(id=command.id, retcode=RetCode.OK, data=data)
        try:
            is_too_large = len(encode(result)) > MAX_FRAME_BYTES
        except (TypeError, OverflowError, ValueError) as exc:
            _log.error("result_not_sendable", extra={"method": command.method, "error": str(exc)})
            self._refuse(command, RetCode.INTERNAL, "done, but the connector's answer cannot be sent")
            return
        if is_too_large:
            self._refuse(command, RetCode.INTERNAL, "done, but the platform's answer is too large")
        else:
            self._tell(result)

    def _refuse(self, command: Command, retcode: RetCode, message: str) -> None:
        self._tell(CommandResult(id=command.id, retcode=retcode, message=message))


def _moves_file(method: str) -> bool:
    return method.startswith("media.")
