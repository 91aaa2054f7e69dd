"""F8: a target whose address is not public is not connected to, whatever it is called and when."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from fakes.peers import DEADLINE_S, Names, answering, head, peer, true
from fakes.posting import closed, posted, public, target
from longwire.courier import asking, lookups
from longwire.courier.asking import Asking
from longwire.courier.connecting import Gate, Sockets
from longwire.courier.errors import Busy, Failed, Refused
from longwire.courier.http import Poster
from longwire.courier.lookups import LookUp, Lookups


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "[::ffff:127.0.0.1]",
        "0",
    ],
)
async def test_f8_an_address_in_the_url_is_refused_however_it_is_spelled(host: str) -> None:
    """Such a target is refused before; here nobody looked."""
    poster = Poster()
    async with peer(answering()) as crm:
        with pytest.raises(Refused):
            await posted(poster, target(crm.url(host), allow_private=False))
    assert crm.connections == 0
    await poster.close()


async def test_f8_a_name_that_has_only_private_addresses_is_refused() -> None:
    poster = Poster(resolver=Names(crm=[["127.0.0.1", "10.0.0.1", "fd00:ec2::254", "169.254.169.254"]]))
    async with peer(answering()) as crm:
        with pytest.raises(Refused, match=r"crm\.example has no public address"):
            await posted(poster, target(crm.url("crm.example"), allow_private=False))
    assert crm.connections == 0
    await poster.close()


async def test_f8_of_several_addresses_the_public_ones_are_connected_to() -> None:
    names = {"both": [["127.0.0.1", "127.0.0.2"]]}
    async with public(answering(), **names) as (poster, crm):
        assert (await posted(poster, target(crm.url("both.example"), allow_private=False))).status == 200


async def test_f8_a_name_that_turns_private_after_the_first_post_is_refused() -> None:
    """DNS rebinding: the name is looked up for each connection, and each answer is checked."""
    names = {"turns": [["127.0.0.2"], ["127.0.0.1"]]}
    last = answering(head(200, {"Connection": "close"}))
    async with public(last, **names) as (poster, crm), peer(answering(), port=crm.port) as inside:
        to = target(crm.url("turns.example"), allow_private=False)
        assert (await posted(poster, to)).status == 200
        with pytest.raises(Refused, match="no public address"):
            await posted(poster, to)
    assert (crm.connections, inside.connections) == (1, 0)


async def test_f8_what_gets_past_the_lookup_is_refused_at_its_socket() -> None:
    """The last look is at the very address that is given to `connect`."""
    gate = Gate(Names(), Sockets(), is_private_allowed=False)
    post = Asking(None)
    asking.current.set(post)
    with pytest.raises(PermissionError):
        gate.socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80)))
    assert isinstance(post.trouble, Refused)
    assert post.opened == 0


async def test_f8_an_idle_connection_that_one_target_was_allowed_is_not_anothers() -> None:
    poster = Poster(resolver=Names(crm=[["127.0.0.1"]]))
    async with peer(answering()) as crm:
        url = crm.url("crm.example")
        assert (await posted(poster, target(url))).status == 200
        with pytest.raises(Refused):
            await posted(poster, target(url, allow_private=False))
    assert len(crm.received) == 1
    await poster.close()


def refuse(_: str) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def spell_wrong(_: str) -> list[str]:
    raise UnicodeError


@pytest.mark.parametrize("look_up", [refuse, lambda _: [], spell_wrong])
async def test_a_name_without_an_address_is_the_targets_failure(look_up: LookUp) -> None:
    asked: list[str] = []

    def counted(host: str) -> list[str]:
        asked.append(host)
        return look_up(host)

    poster = Poster(resolver=Lookups(counted))
    with pytest.raises(Failed, match="no address"):
        await posted(poster, target("http://crm.example/"))
    assert asked == ["crm.example"]
    await poster.close()


class Slow:
    """A lookup that ends when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if not host.startswith("fast"):
            self.go.wait(DEADLINE_S)
        return ["127.0.0.1"]


async def test_who_finds_no_lookup_free_is_busy_and_other_tenants_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookups, "MAX_WAITING", 1)
    slow = Slow()
    names = Lookups(slow)
    poster = Poster(resolver=names)

    async def post(host: str, tenant: str) -> str:
        to = target(crm.url(f"{host}.example"), tenant=tenant, connect_timeout_s=1.0)
        try:
            return str((await posted(poster, to)).status)
        except (Busy, Failed) as error:
            return type(error).__name__

    async with peer(answering()) as crm:
        async with asyncio.TaskGroup() as tasks:
            bad = [tasks.create_task(post(f"slow{number}", "bad")) for number in range(6)]
            good = tasks.create_task(post("fast", "good"))
        assert [task.result() for task in bad] == ["Failed"] * lookups.MAX_PER_TENANT + ["Busy"] * 2
        assert good.result() == "200"
        assert names.threads == lookups.MAX_PER_TENANT  # though nobody waits any more
        waiting = asyncio.ensure_future(post("late", "bad"))
        slow.go.set()
        assert await waiting == "200"
    await true(lambda: names.threads == 0)
    await poster.close()
    await closed(poster)


async def test_posts_to_one_host_share_a_lookup_and_it_is_remembered() -> None:
    slow = Slow()
    names = Lookups(slow)
    poster = Poster(resolver=names)
    async with peer(answering()) as crm:
        to = target(crm.url("crm.example"), tenant="acme")
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(posted(poster, to))
            await true(lambda: slow.asked)
            slow.go.set()
        assert slow.asked == ["crm.example"]
        names._known["crm.example"] = (0.0, ["10.0.0.1"])  # its time is over
        assert [found["host"] for found in await _asked(names, "crm.example")] == ["127.0.0.1"]
    await poster.close()


async def test_only_so_many_hosts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MAX_KNOWN", 2)
    names = Lookups(lambda _: ["127.0.0.1", "::1"])
    for host in ("a", "b", "c"):
        assert len(await _asked(names, host)) == 2
    assert list(names._known) == ["b", "c"]
    (only,) = await names.resolve("c", 443, socket.AF_INET6)
    assert (only["host"], only["port"]) == ("::1", 443)


async def _asked(names: Lookups, host: str) -> list:
    asking.current.set(Asking(None))
    return await names.resolve(host)


async def test_without_a_thread_to_be_had_it_is_our_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_to_start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    names = Lookups()
    with pytest.raises(Busy):
        await _asked(names, "crm.example")
    assert names.threads == 0


async def test_the_systems_own_resolver_knows_this_machine() -> None:
    poster = Poster()
    async with peer(answering()) as crm:
        assert (await posted(poster, target(crm.url("localhost")))).status == 200
        with pytest.raises(Refused, match="localhost has no public address"):
            await posted(poster, target(crm.url("localhost"), allow_private=False))
    await poster.close()
