"""The keys of a Lark account."""

from __future__ import annotations

from typing import Annotated

import msgspec

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

    @property
    def base(self) -> str:
        """`domain` without a slash at its end."""
        return self.domain.rstrip("/")
