"""Whose turn it is: the clients one after the other, and of each client its chats one after the other."""

from __future__ import annotations

from collections import OrderedDict

from longwire.sending.chats import Chat


class Turns:
    """The chats that may go now, in a line for each client that has something there.

    A chat stands in the line of everyone who waits in it, not only of the one whose item is first there: else
    who answers in a chat to which a broadcast is on its way would wait until the broadcast came to that chat.
    So what concerns a chat costs O(1) for each client that waits in it.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, OrderedDict[Chat, None]] = OrderedDict()
        """Never an empty one. The first client's turn is next."""

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, chat: Chat) -> None:
        """Put a chat at the end of the lines of all that wait in it."""
        chat.is_up = True
        for client in chat.clients:
            self._lines.setdefault(client, OrderedDict())[chat] = None

    def join(self, chat: Chat, client: str) -> None:
        """Let a client have its turn there, too, if the chat may go; where it has, nothing changes."""
        if chat.is_up:
            self._lines.setdefault(client, OrderedDict())[chat] = None

    def leave(self, chat: Chat, client: str) -> None:
        """Let it have no turn there any more."""
        line = self._lines.get(client)
        if line is not None:
            line.pop(chat, None)
            if not line:
                del self._lines[client]

    def discard(self, chat: Chat) -> None:
        """Take a chat out, if it is there."""
        if chat.is_up:
            chat.is_up = False
            for client in chat.clients:
                self.leave(chat, client)

    def pop(self) -> Chat:
        """Take the next one out of all lines; whose turn it was has the next one after all others."""
        client = next(iter(self._lines))
        self._lines.move_to_end(client)
        chat = next(iter(self._lines[client]))
        self.discard(chat)
        return chat
