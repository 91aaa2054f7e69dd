"""The keys of a Lark account."""

from __future__ import annotations

from typing import Annotated

import msgspec

from longwire_connectors.clicks import MAX_RESPOND_S, RESPOND_WITHIN_S
from longwire_connectors.urls import HttpUrl


class LarkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator gives for `connector = "lark"`."""

    app_id: Annotated[str, msgspec.Meta(min_length=1, description="App ID of the self-built app, cli_...")]
    """App ID of the self-built app, `cli_...`, from the developer console."""
    app_secret: Annotated[str, msgspec.Meta(min_length=1, description="App Secret of the app")]
    """App Secret of the app."""
    domain: HttpUrl = "https://open.feishu.cn"
    """Where the app is registered: Feishu, or https://open.larksuite.com for Lark; or a simulator's
    `http://127.0.0.1:PORT`. The default is the platform the SDK defaults to."""
    card_respond_s: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_RESPOND_S)] = RESPOND_WITHIN_S
    """For how many seconds after a click on a card its user waits for a client's `card.respond`, before the
    default is shown; 0: not at all. 2.5: Lark shows a failure after 3."""
    card_default_toast: str = ""
    """What is shown then, as a toast; empty: nothing, the click was heard."""

    @property
    def base(self) -> str:
        """`domain` without a slash at its end."""
        return self.domain.rstrip("/")
