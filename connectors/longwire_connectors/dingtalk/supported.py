"""What DingTalk's robots can do, for `get_supported`. Pure data."""

from __future__ import annotations

from longwire_connectors.clickbook import RESPOND
from longwire_connectors.uploads import CHUNK_BYTES
from longwire_protocol.declaration import Rate, Rates, Supported

MIB = 1024 * 1024
MOST_BYTES = {"image": 20 * MIB, "audio": 2 * MIB, "video": 20 * MIB, "file": 20 * MIB}
"""What DingTalk takes (open.dingtalk.com «upload media files»)."""

METHODS = (
    "message.create",
    "message.delete",
    "message.get",
    "reaction.create",
    "reaction.delete",
    "card.update",
    RESPOND,
    "media.upload",
    "media.download",
    "platform.call",
)

RATES = Rates(app=(Rate(20, 1.0),), chat=(Rate(20, 60.0),))
"""Of an app 20 calls a second for an interface, in the standard edition (open.dingtalk.com «rate limits»:
`QpsLimitForAppkeyAndApi`). Of a chat 20 messages a minute, then ten minutes' penalty: published for custom
robots, each of which has one group. Whether session webhooks and an app's robot have it, too, is «Not
established», and a penalty of ten minutes is no way to find out."""

SUPPORTED = Supported(
    contents={
        "message.create": (
            "text",
            "markdown",
            "mention",
            "image",
            "file",
            "audio",
            "video",
            "card",
            "stream",
        ),
        "card.update": ("card", "stream"),
        RESPOND: ("card", "data"),
        "media.upload": tuple(MOST_BYTES),
    },
    limits={**{f"{kind}_bytes": most for kind, most in MOST_BYTES.items()}, "chunk_bytes": CHUNK_BYTES},
    missing={
        "message.update": "a robot cannot change what it said; send a card and change that by card.update",
        "typing.set": "robots have no such sign; react with an emoji, or begin a card with `stream`",
    },
)
