"""Lark's codes for what it refuses: which are limits, which a new token mends, what the others say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from longwire_protocol.errors import CommandError

TOKEN_CODES: Final = frozenset({99991661, 99991663, 99991664, 99991668})
"""Missing, invalid or expired access tokens; only 99991663 is named in public code for this call."""
CHAT_LIMITED: Final = 230020
LIMITED_CODES: Final = frozenset({99991400, CHAT_LIMITED, 11232})
"""Of the gateway, of one chat or message, of the tenant's messages (`docs/platforms.md` 1.6)."""
RECALLED: Final = 230011
NO_REACTION: Final = 231011
UNDER_WAY_CODES: Final = frozenset({230049, 231015})
"""«The message is being sent» of one with the same `uuid`, and «repeated request is processing» of a
reaction: the first try, whose answer was lost, is not over yet. The second is in the documents of
message-reaction; the first is not established."""
STREAM_CLOSED: Final = 300309
OVERTAKEN: Final = 300317

REASONS: Final[Mapping[int, str]] = {
    230002: "not_in_chat",  # the bot, or the user
    230006: "bot_disabled",  # the app has no bot ability
    RECALLED: "message_recalled",
    230013: "user_out_of_scope",  # the bot is not available to this user
    230018: "not_allowed_to_speak",  # in this group
    230025: "content_too_long",
    230027: "permission_denied",
    230072: "edited_too_often",  # 20 times
    230110: "message_deleted",
    231003: "message_not_found",
    NO_REACTION: "reaction_not_found",
    234006: "too_large",  # over 10 or 30 MB
    234010: "empty",
    234043: "resource_not_given_out",  # of cards and merged messages
    300301: "element_not_unique",
    STREAM_CLOSED: "stream_closed",  # by its end, or ten minutes after its begin
    OVERTAKEN: "overtaken",  # a later `sequence` was there before
    99991672: "permission_denied",  # the app lacks a scope
}
"""What is worth telling apart, by code: documents of im-v1 and cardkit-v1, and public code."""


def code_of(error: CommandError) -> object:
    """Return the platform's code, `None` where it gave none."""
    data = error.data
    return cast("dict[str, object]", data).get("platform_code") if isinstance(data, dict) else None


def refusal_data(code: object) -> dict[str, object]:
    """Return the `data` of a refusal: `platform_code`, a known `reason`, and whose `limit` it is."""
    reason = REASONS.get(code) if isinstance(code, int) else None
    told: dict[str, object] = {"platform_code": code}
    if reason is not None:
        told["reason"] = reason
    if code == CHAT_LIMITED:
        told["limit"] = "chat"
    return told
