"""Signatures, as the package of Standard Webhooks itself verifies them."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from longwire.courier.signing import Signer

OLD, NEW = ("whsec_" + base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))
BODY = '{"id":"e1","text":"ü"}'.encode()


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_secrets_are_rotated_a_receiver_needs_to_know_only_one(secret: str) -> None:
    headers = Signer([OLD, NEW]).headers("e1", BODY, now=time.time())
    assert Webhook(secret).verify(BODY, headers) == {"id": "e1", "text": "ü"}
    assert headers["webhook-signature"].count("v1,") == 2


def test_any_other_body_id_time_or_secret_is_not_verified() -> None:
    now = time.time()
    headers = Signer([NEW]).headers("e1", BODY, now=now)
    Webhook(NEW).verify(BODY, headers)
    for wrong in (
        {"webhook-id": "e2"},
        {"webhook-timestamp": str(int(now) - 1)},
        {"webhook-signature": Signer([OLD]).headers("e1", BODY, now=now)["webhook-signature"]},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(BODY, {**headers, **wrong})
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", headers)


def test_the_documents_own_example() -> None:
    """From the specification's reference implementation."""
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', now=1614265330.9)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_without_a_secret_there_is_no_signature() -> None:
    assert Signer([]).headers("e1", BODY, now=1.5) == {"webhook-id": "e1", "webhook-timestamp": "1"}


def test_a_secret_that_is_none_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="a secret that is none"):
        Signer([OLD, "whsec_"])
    assert repr(Signer([OLD])) == "Signer(1 keys)"
