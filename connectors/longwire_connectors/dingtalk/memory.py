"""What one account's frames teach, kept over its connections in this process."""

from __future__ import annotations

from longwire_connectors.dingtalk.normalise import Frame, bot_of, robot_code_of, session_of
from longwire_connectors.dingtalk.webhooks import Webhooks
from longwire_protocol.event import Bot


class Memory:
    """Who the bot is, and how to answer in its chats.

    Args:
        allows_http: take session webhooks over plain HTTP to this machine, for a simulator.
    """

    def __init__(self, *, allows_http: bool) -> None:
        self.bot: Bot | None = None
        self.robot_code: str | None = None
        self.webhooks = Webhooks(allows_http=allows_http)

    def learn(self, frame: Frame, *, now: float) -> None:
        """Remember what a frame tells; `now` in seconds of a clock that never goes back."""
        self.bot = bot_of(frame) or self.bot
        self.robot_code = robot_code_of(frame) or self.robot_code
        session = session_of(frame)
        if session is not None:
            self.webhooks.learn(session, now=now)
