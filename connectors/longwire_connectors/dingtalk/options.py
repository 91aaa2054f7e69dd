"""The keys of a DingTalk account."""

from __future__ import annotations

from typing import Annotated

import msgspec

from longwire_connectors.clicks import MAX_RESPOND_S, RESPOND_WITHIN_S
from longwire_connectors.urls import HttpUrl


class DingTalkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator gives for `connector = "dingtalk"`."""

    client_id: Annotated[str, msgspec.Meta(min_length=1, description="Client ID (AppKey) of the app")]
    """Client ID (formerly AppKey) of the app, from DingTalk's developer console."""
    client_secret: Annotated[str, msgspec.Meta(min_length=1, description="Client Secret of the app")]
    """Client Secret (formerly AppSecret) of the app."""
    api_base: HttpUrl = "https://api.dingtalk.com"
    """Where DingTalk's API is; another one for a proxy, or a simulator's `http://127.0.0.1:PORT`."""
    card_respond_s: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_RESPOND_S)] = RESPOND_WITHIN_S
    """For how many seconds after a click on a card its user waits for a client's `card.respond`, before it is
    answered with nothing new; 0: not at all. 2.5: as for Lark, as DingTalk's own limit is not established."""

    @property
    def base(self) -> str:
        """`api_base` without a slash at its end."""
        return self.api_base.rstrip("/")
