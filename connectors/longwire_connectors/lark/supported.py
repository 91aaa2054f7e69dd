"""What the commands take on Lark, for `get_supported`. Pure data; figures as in `docs/platforms.md` 1.7."""

from __future__ import annotations

from typing import Final

from longwire_connectors.clickbook import RESPOND
from longwire_connectors.lark.media import DOWNLOAD_BYTES, FILE_BYTES, IMAGE_BYTES
from longwire_connectors.uploads import CHUNK_BYTES
from longwire_protocol.declaration import Rate, Rates, Supported

METHODS: Final = (
    "message.create",
    "message.update",
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
_MEDIA = ("image", "file", "audio", "video")

SUPPORTED: Final = Supported(
    contents={
        "message.create": ("text", "mention", "markdown", *_MEDIA, "sticker", "card", "stream"),
        "message.update": ("text", "mention", "markdown", "image", "card"),
        "card.update": ("card", "stream"),
        RESPOND: ("toast", "card", "data"),
        "media.upload": _MEDIA,
    },
    limits={
        "text_bytes": 150 * 1024,
        "card_bytes": 30 * 1024,
        "image_bytes": IMAGE_BYTES,
        "file_bytes": FILE_BYTES,
        "download_bytes": DOWNLOAD_BYTES,
        "chunk_bytes": CHUNK_BYTES,
        "edits_per_message": 20,
        "card_updates_per_s": 5,
    },
    missing={"typing.set": "use reaction.create with the emoji Typing, and reaction.delete"},
    unrepeatable=("platform.call",),
)
RATES: Final = Rates(app=(Rate(50, 1.0), Rate(1000, 60.0)), chat=(Rate(5, 1.0),))
REPEAT_WINDOW_S: Final = 3600.0
"""For so long Lark remembers a message's `uuid`."""
