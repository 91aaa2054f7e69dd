"""Where a redirect may take a post, and what it carries there."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest

from fakes.peers import OK, Line, answering, head, peer
from fakes.posting import CERTIFICATE, closed, posted, public, served_tls, target
from longwire.courier.errors import Failed, Refused
from longwire.courier.http import Poster


@pytest.fixture(name="poster")
async def poster_fixture() -> AsyncIterator[Poster]:
    poster = Poster()
    yield poster
    await poster.close()
    await closed(poster)


async def test_none_is_followed_unless_allowed(poster: Poster) -> None:
    async with peer(answering()) as there, peer(answering(head(307, {"Location": there.url()}))) as crm:
        assert (await posted(poster, target(crm.url()))).status == 307
    assert there.received == []


async def test_within_its_origin_the_post_goes_on_as_it_is(poster: Poster) -> None:
    async def talk(line: Line) -> None:
        while (await line.request()).path != "/there":
            await line.say(head(308, {"Location": "there"}))
        await line.say(OK)

    async with peer(talk) as crm:
        assert (await posted(poster, target(crm.url(), redirects=1), b"{1}")).status == 200
    assert [(got.path, got.body) for got in crm.received] == [("/hook", b"{1}"), ("/there", b"{1}")]
    assert crm.received[1].headers["webhook-signature"] == "v1,abc"


async def test_another_origin_gets_neither_signature_nor_headers(poster: Poster) -> None:
    async with peer(answering()) as there, peer(answering(head(307, {"Location": there.url()}))) as crm:
        assert (await posted(poster, target(crm.url(), redirects=1))).status == 200
    (received,) = there.received
    assert received.headers["content-type"] == "application/json"
    assert not {name for name in received.headers if name.startswith("webhook-")}


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_what_would_make_a_get_of_it_is_not_followed(poster: Poster, status: int) -> None:
    async with peer(answering(head(status, {"Location": "/there"}))) as crm:
        assert (await posted(poster, target(crm.url(), redirects=3))).status == status
    assert len(crm.received) == 1


async def test_a_redirect_to_nowhere_is_an_answer(poster: Poster) -> None:
    async with peer(answering(head(307, {}))) as crm:
        assert (await posted(poster, target(crm.url(), redirects=1))).status == 307


async def test_a_loop_of_them_is_the_targets_failure(poster: Poster) -> None:
    async with peer(answering(head(307, {"Location": "/hook"}))) as crm:
        with pytest.raises(Failed, match="more than 2 times"):
            await posted(poster, target(crm.url(), redirects=2))
    assert len(crm.received) == 3


@pytest.mark.parametrize(
    "location", ["http://u:p@there.example/", "ftp://there.example/", "http://[", "https://there.example/#x"]
)
async def test_where_no_target_may_be_none_leads(poster: Poster, location: str) -> None:
    async with peer(answering(head(307, {"Location": location}))) as crm:
        with pytest.raises(Refused, match="redirects to"):
            await posted(poster, target(crm.url(), redirects=1))


async def test_none_leads_out_of_tls() -> None:
    poster = Poster(tls=ssl.create_default_context(cafile=CERTIFICATE))
    async with peer(answering()) as there:
        redirect = answering(head(307, {"Location": there.url()}))
        async with peer(redirect, tls=served_tls()) as crm:
            with pytest.raises(Refused, match="https"):
                await posted(poster, target(crm.url(), redirects=1))
    assert there.received == []
    await poster.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "169.254.169.254", "[::ffff:10.0.0.1]"])
async def test_f8_none_leads_to_a_private_address(host: str) -> None:
    """The first hop's address is taken for a public one, as there is none here."""
    async with peer(answering()) as there:
        redirect = answering(head(307, {"Location": there.url(host)}))
        async with public(redirect) as (poster, crm):
            with pytest.raises(Refused, match=r"public|write the address"):
                await posted(poster, target(crm.url("crm.example"), allow_private=False, redirects=1))
    assert there.received == []
