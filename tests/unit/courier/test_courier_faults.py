"""Whose fault an error is, and in which words it is told."""

from __future__ import annotations

import errno
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from longwire.courier.asking import Asking
from longwire.courier.errors import Busy, Failed, PostError, Refused
from longwire.courier.faults import meaning

KEY: Any = ConnectionKey("crm.example", 443, True, True, None, None, None)


def told(error: Exception, **facts: Any) -> PostError:
    post = Asking("acme")
    for name, value in facts.items():
        setattr(post, name, value)
    return meaning(error, post, host="crm.example")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ConnectionTimeoutError(), "could not be reached in time"),
        (TimeoutError(), "did not answer in time"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "broke the connection off: reset"),
        (aiohttp.ServerDisconnectedError(), "closed the connection without an answer"),
        (aiohttp.ClientOSError(errno.EPIPE, "pipe"), "broke the connection off: pipe"),
        (aiohttp.ClientPayloadError(), "broke off in the middle of its answer"),
        (aiohttp.ClientConnectionError(), "did not answer in HTTP"),
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "refused")),
            "could not be reached: refused",
        ),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "odd")), "over TLS: odd"),
        (ValueError(), "could not be asked"),
    ],
)
def test_what_the_target_did_is_its_failure(error: Exception, words: str) -> None:
    found = told(error)
    assert isinstance(found, Failed)
    assert str(found).startswith("crm.example ")
    assert str(found).endswith(words)


def test_a_certificate_is_told_with_what_is_wrong_with_it() -> None:
    inner = ssl.SSLCertVerificationError(1, "verify failed")
    inner.verify_message = "self-signed certificate"
    found = told(aiohttp.ClientConnectorCertificateError(KEY, inner))
    assert str(found) == "crm.example has a certificate that is not trusted: self-signed certificate"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL])
def test_what_this_machine_lacks_is_ours(number: int) -> None:
    error = aiohttp.ClientConnectorError(KEY, OSError(number, "none left"))
    assert isinstance(told(error), Busy)


def test_what_was_noted_before_it_failed_comes_first() -> None:
    refused = Refused("private")
    assert told(TimeoutError(), trouble=refused) is refused
    assert isinstance(told(TimeoutError(), is_queued=True), Busy)
    assert isinstance(told(aiohttp.InvalidURL("x")), Refused)
