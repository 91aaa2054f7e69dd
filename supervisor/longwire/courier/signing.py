"""Signatures of posts, as Standard Webhooks 1.0 says (standardwebhooks.com). Pure.

::

    webhook-id: the post's id, the same each time that it is tried
    webhook-timestamp: Unix seconds of this try
    webhook-signature: v1,BASE64(HMAC-SHA256(key, "ID.TIMESTAMP.BODY")) for each key, with spaces between

With two keys a receiver that knows either one is content: that is how keys are changed.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from collections.abc import Sequence

from longwire.courier.target import key_of


class Signer:
    """Makes the headers of a target's posts; without a secret they are not signed.

    Args:
        secrets: as of a target without problems.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        keys = [key_of(secret) for secret in secrets]
        self._keys = [key for key in keys if key is not None]
        if len(self._keys) < len(keys):
            raise ValueError("a secret that is none: look at the target's problems first")

    def __repr__(self) -> str:
        return f"Signer({len(self._keys)} keys)"

    def headers(self, webhook_id: str, body: bytes, *, now: float) -> dict[str, str]:
        """Return the three headers, without the signature if there is no key.

        Args:
            webhook_id: without a dot, which would move the border between it and the time.
            body: exactly as it is sent.
            now: Unix seconds.
        """
        timestamp = str(int(now))
        headers = {"webhook-id": webhook_id, "webhook-timestamp": timestamp}
        if self._keys:
            signed = b"%b.%b.%b" % (webhook_id.encode(), timestamp.encode(), body)
            headers["webhook-signature"] = " ".join(_signature(key, signed) for key in self._keys)
        return headers


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + b2a_base64(hmac.digest(key, signed, "sha256"), newline=False).decode()
