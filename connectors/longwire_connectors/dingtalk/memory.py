"""What one account's frames teach, kept over its connections; who the bot is, over its processes too."""

from __future__ import annotations

from longwire_connectors.dingtalk.normalise import Frame, bot_of, session_of
from longwire_connectors.dingtalk.recent import Recent
from longwire_connectors.dingtalk.shapes import as_text
from longwire_connectors.dingtalk.webhooks import Webhooks
from longwire_protocol.event import Bot


class Memory:
    """Who the bot is, and how to answer in its chats.

    Args:
        allows_http: take session webhooks over plain HTTP to this machine, for a simulator.
        bot: who the bot is, if an earlier process found out.
    """

    def __init__(self, *, allows_http: bool, bot: Bot | None) -> None:
        self.bot = bot
        self.allows_http = allows_http
        self.webhooks = Webhooks(allows_http=allows_http)
        self.chats: Recent[str] = Recent()
        """In which conversation a message was received, by its id."""

    def learn(self, frame: Frame, *, now: float) -> None:
        """Remember what a frame tells; `now` in seconds of a clock that never goes back."""
        self.bot = bot_of(frame, known=self.bot)
        session = session_of(frame)
        if session is not None:
            self.webhooks.learn(session, now=now)
            if message_id := as_text(frame.fields.get("msgId")):
                self.chats.put(message_id, session.chat)
