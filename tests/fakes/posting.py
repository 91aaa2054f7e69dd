"""Short words for what tests of the courier's HTTP client do again and again."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.peers import DEADLINE_S, Names, Peer, Talk, peer, true
from longwire.courier import addresses
from longwire.courier.http import Answer, Poster
from longwire.courier.target import Target

TLS = Path(__file__).parent / "tls"
CERTIFICATE = TLS / "certificate.pem"
HEADERS = {"Content-Type": "application/json", "webhook-id": "e1", "webhook-signature": "v1,abc"}
PUBLIC = ipaddress.ip_address("127.0.0.2")


def target(url: str, **settings: Any) -> Target:
    """Return a target that may be on this machine."""
    local = {"allow_http": True, "allow_private": True, "read_timeout_s": DEADLINE_S}
    return Target(name="crm", url=url, **{**local, **settings})


async def posted(poster: Poster, to: Target, body: bytes = b"{}") -> Answer:
    """Post, within the tests' deadline."""
    async with asyncio.timeout(DEADLINE_S):
        return await poster.post(to, body, HEADERS)


async def closed(poster: Poster) -> None:
    """Wait until no connection is open: one that is given up closes a moment later."""
    await true(lambda: not poster.open_sockets)


def served_tls() -> ssl.SSLContext:
    """Return what a peer speaks TLS with, as localhost."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE, TLS / "key.pem")
    return tls


@asynccontextmanager
async def public(talk: Talk, **names: list[list[str]]) -> AsyncIterator[tuple[Poster, Peer]]:
    """Serve at 127.0.0.2, which is taken for public meanwhile, and is what crm.example stands for."""
    is_public = addresses.is_public
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "is_public", lambda found: found == PUBLIC or is_public(found))
        poster = Poster(resolver=Names(**{"crm": [[str(PUBLIC)]], **names}))
        async with peer(talk, host=str(PUBLIC)) as served:
            yield poster, served
        await poster.close()
        await closed(poster)
