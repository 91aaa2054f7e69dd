"""Whose fault it is that a post got no answer, from the errors of aiohttp and of the system. Pure."""

from __future__ import annotations

import errno
from typing import Final

import aiohttp

from longwire.courier.asking import Asking
from longwire.courier.errors import Busy, Failed, PostError, Refused

BUSY_S: Final = 1.0
"""When to come again where something of ours was not to be had."""

_OUR_OWN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""The system's errors about this machine's means: they say nothing of the target."""

_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ConnectionTimeoutError, "could not be reached in time"),
    (TimeoutError, "did not answer in time"),
    (aiohttp.ClientConnectorDNSError, "has no address that could be found"),
    (aiohttp.ClientConnectorCertificateError, "has a certificate that is not trusted"),
    (aiohttp.ClientSSLError, "could not be talked to over TLS"),
    (aiohttp.ClientConnectorError, "could not be reached"),
    (aiohttp.ServerDisconnectedError, "closed the connection without an answer"),
    (aiohttp.ClientOSError, "broke the connection off"),
    (OSError, "broke the connection off"),
    (aiohttp.ClientPayloadError, "broke off in the middle of its answer"),
    (aiohttp.ClientError, "did not answer in HTTP"),
)
"""By kind, the special ones first."""


def meaning(error: Exception, post: Asking, *, host: str) -> PostError:
    """Return what to raise for an error that a post to `host` ended with."""
    if post.trouble is not None:
        return post.trouble
    if post.is_queued:
        return Busy("too many hosts are being looked up", retry_after_s=BUSY_S)
    if isinstance(error, aiohttp.InvalidURL):
        return Refused(f"{host} cannot be asked: its URL is none of HTTP")
    if isinstance(error, OSError) and error.errno in _OUR_OWN:
        return Busy(f"{host} could not be asked: {error.strerror}", retry_after_s=BUSY_S)
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), "could not be asked")
    return Failed(f"{host} {words}{_detail(error)}")


def _detail(error: Exception) -> str:
    """Return what else is known, where it is the system's or TLS's words and not the target's."""
    cause = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error
    reason = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return f": {reason}" if reason else ""
