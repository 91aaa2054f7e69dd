"""The outbox with a real journal and an account that does what a test tells it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from fakes.journal import Gate, no_thread_stays, path_fixture  # noqa: F401  # pytest finds them here
from fakes.outbox import Account, Config, Held, World, refusal
from harness.waiting import until
from longwire.outbox import State
from longwire.outbox.ledger import SLOW_COMMIT_S
from longwire_protocol.declaration import Rate, Rates
from longwire_protocol.errors import CommandError, RetCode


@pytest.fixture(name="world")
def world_fixture(path: Path) -> World:
    return World(path)


async def test_a_command_is_carried_out_with_its_receipt_as_key_and_its_end_is_an_event(world: World) -> None:
    async with world.running() as outbox:
        command = await world.send("a", key="k")
        assert (command.state, command.attempts) == (State.DONE, 1)
        assert world.account.told == [("a", command.receipt)]
        assert len(command.receipt) <= 50
        assert await outbox.find(command.receipt) == command
        (event,) = await world.events()
        assert (event.type, event.account, event.tenant, event.message_id) == (
            "delivery.updated",
            "bot",
            "acme",
            "om_a",
        )
        assert event.raw["receipt"] == command.receipt
        assert event.raw["state"] == "done"
        assert event.raw["idempotency_key"] == "k"
        assert outbox.status().done == 1
        assert outbox.status().oldest_age_s is None


async def test_nobody_is_told_before_the_command_is_on_disk(world: World) -> None:
    gate = Gate()
    async with world.running(gate=gate):
        sending = asyncio.ensure_future(world.send("a", key="k"))
        await gate.wait_reached()
        assert not world.account.told
        gate.open.set()
        assert (await sending).state is State.DONE
        assert gate.passes == 2  # its acceptance and the beginning of its try share a commit


async def test_one_without_a_key_goes_meanwhile_and_nobody_is_told_before_it_is_on_disk(
    world: World,
) -> None:
    gate = Gate()
    async with world.running(gate=gate) as outbox:
        sending = asyncio.ensure_future(world.send("a"))
        await until_told(world, 1)
        await gate.wait_reached()
        assert not sending.done()

        async def is_slow() -> bool:
            return world.journal.oldest_wait_s > SLOW_COMMIT_S

        await until(is_slow, what="the disk is slow")
        other = asyncio.ensure_future(world.send("b", chat="oc_2"))

        async def is_taken_in() -> bool:
            return outbox.status().under_way == 1  # the first one's try is over

        await until(is_taken_in, what="the other one would go, too")
        assert world.account.texts == ["a"], "but it waits for the disk"
        gate.open.set()
        assert [command.state for command in await asyncio.gather(sending, other)] == [State.DONE] * 2
        assert world.account.texts == ["a", "b"]


async def test_a_client_that_does_not_wait_gets_what_is_on_disk(world: World) -> None:
    async with world.running() as outbox:
        world.account.held["a"] = Held()
        command = await world.send("a", wait_s=0)
        assert not command.has_ended
        known = await outbox.find(command.receipt)
        assert known is not None
        assert known.state is State.UNDER_WAY
        world.account.held["a"].set()

        async def is_done() -> bool:
            found = await outbox.find(command.receipt)
            return found is not None and found.state is State.DONE

        await until(is_done, what="it is done")


async def test_the_same_key_has_one_effect_and_one_answer_while_under_way_and_afterwards(
    world: World,
) -> None:
    async with world.running():
        world.account.held["a"] = Held()
        first = asyncio.ensure_future(world.send("a", key="k"))
        second = asyncio.ensure_future(world.send("a", key="k"))
        await until_told(world, 1)
        world.account.held["a"].set()
        assert (await first) == (await second) == await world.send("a", key="k")
    async with world.running():
        assert await world.send("a", key="k") == first.result()
    assert world.account.texts == ["a"]


async def test_the_same_key_with_other_params_is_a_conflict_before_and_after_a_restart(world: World) -> None:
    async with world.running():
        world.account.held["a"] = Held()
        first = asyncio.ensure_future(world.send("a", key="k"))
        await until_told(world, 1)
        with pytest.raises(CommandError) as caught:
            await world.send("b", key="k")
        assert caught.value.retcode == RetCode.IDEMPOTENCY_CONFLICT
        world.account.held["a"].set()
        await first
    async with world.running():
        with pytest.raises(CommandError) as caught:
            await world.send("b", key="k")
        assert caught.value.retcode == RetCode.IDEMPOTENCY_CONFLICT
    assert world.account.texts == ["a"]


async def test_params_with_a_key_must_be_comparable(world: World) -> None:
    async with world.running():
        with pytest.raises(CommandError) as caught:
            await world.send("a", key="k", params={"text": "a", "more": {1: "x", "y": 2}})
        assert caught.value.retcode == RetCode.BAD_PARAM


async def test_a_chat_goes_in_order_and_one_at_a_time_and_chats_side_by_side(world: World) -> None:
    async with world.running():
        for text in ("a1", "a2", "b1"):
            world.account.held[text] = Held()
        sending = [
            asyncio.ensure_future(world.send("a1", chat="a")),
            asyncio.ensure_future(world.send("a2", chat="a")),
            asyncio.ensure_future(world.send("b1", chat="b")),
        ]
        await until_told(world, 2)
        assert world.account.texts == ["a1", "b1"]
        for text in ("b1", "a1", "a2"):
            world.account.held[text].set()
        assert [command.state for command in await asyncio.gather(*sending)] == [State.DONE] * 3
        assert world.account.texts == ["a1", "b1", "a2"]


async def test_what_had_no_effect_is_tried_again_until_it_succeeds(world: World) -> None:
    async with world.running():
        world.account.answers["a"] = [
            refusal(RetCode.PLATFORM_UNREACHABLE, retryable=True, retry_after_ms=1),
            refusal(RetCode.SATURATED, retry_after_ms=1),
            CommandError(RetCode.ACCOUNT_NOT_ONLINE, "not online"),
        ]
        command = await world.send("a")
        assert (command.state, command.attempts) == (State.DONE, 4)
        assert len({key for _, key in world.account.told}) == 1


async def test_a_refusal_fails_at_once_and_its_chat_goes_on(world: World) -> None:
    async with world.running():
        world.account.answers["a"] = [refusal(RetCode.PLATFORM_REFUSED, data={"platform_code": 230002})]
        command = await world.send("a")
        assert command.state is State.FAILED
        assert command.outcome is not None
        assert command.outcome.data == {"platform_code": 230002}
        assert (await world.send("b")).state is State.DONE


@pytest.mark.parametrize(("window_s", "state"), [(3600.0, State.DONE), (0.0, State.UNCERTAIN)])
async def test_a_lost_try_is_repeated_only_where_the_platform_tells_the_repetition(
    world: World, window_s: float, state: State
) -> None:
    world.account = Account(Config(repeat_window_s=window_s))
    async with world.running():
        world.account.answers["a"] = [refusal(RetCode.CHILD_LOST)]
        command = await world.send("a")
        assert command.state is state
        assert len(world.account.told) == (2 if state is State.DONE else 1)
        assert len({key for _, key in world.account.told}) == 1


async def test_what_changes_nothing_twice_is_repeated_anywhere(world: World) -> None:
    world.account = Account(Config(repeat_window_s=0.0))
    async with world.running():
        world.account.answers["a"] = [refusal(RetCode.DEADLINE_EXCEEDED)]
        assert (await world.send("a", is_repeatable=True)).state is State.DONE


async def test_a_command_waits_for_the_link_and_expires_without_it(world: World) -> None:
    async with world.running() as outbox:
        world.account.is_up, world.account.state = False, "connecting"
        patient = asyncio.ensure_future(world.send("patient"))
        expired = await world.send("hasty", chat="oc_2", deadline_s=0.1)
        assert expired.state is State.EXPIRED
        assert expired.outcome is not None
        assert expired.outcome.retcode == RetCode.DEADLINE_EXCEEDED
        assert outbox.status().queued == 1
        world.account.is_up = True
        world.look()
        assert (await patient).state is State.DONE
        assert world.account.texts == ["patient"]


async def test_a_try_gets_no_more_time_than_its_command_has(world: World) -> None:
    async with world.running():
        await world.send("a", deadline_s=5.0)
        await world.send("b", deadline_s=500.0)
        assert 0 < world.account.deadlines[0] <= 5
        assert world.account.deadlines[1] == 30


async def test_an_account_that_is_not_to_run_refuses_at_once_but_knows_its_keys(world: World) -> None:
    async with world.running():
        done = await world.send("a", key="k")
        world.account.takes_commands, world.account.state = False, "parked"
        with pytest.raises(CommandError) as caught:
            await world.send("b", key="other")
        assert caught.value.retcode == RetCode.ACCOUNT_NOT_ONLINE
        assert await world.send("a", key="k") == done


async def test_a_full_queue_says_when_to_come_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwire.outbox.lane.MOST", 1)
    world.account = Account(Config(rates=Rates(app=(Rate(1, 60.0),))))
    async with world.running() as outbox:
        world.account.is_up = False
        await world.send("a", wait_s=0)
        with pytest.raises(CommandError) as caught:
            await world.send("b", wait_s=0)
        assert caught.value.retcode == RetCode.SATURATED
        assert caught.value.retryable
        assert (caught.value.retry_after_ms or 0) >= 1000
        assert outbox.status().queued == 1


async def test_a_limit_of_the_platform_holds_the_app_or_only_the_chat(world: World) -> None:
    async with world.running():
        limited = refusal(RetCode.PLATFORM_LIMITED, retry_after_ms=600_000, data={"limit": "chat"})
        world.account.answers["a"] = [limited]
        held = asyncio.ensure_future(world.send("a", chat="a", wait_s=0.0))
        await held
        assert (await world.send("b", chat="b")).state is State.DONE
        world.account.answers["c"] = [refusal(RetCode.PLATFORM_LIMITED, retry_after_ms=600_000)]
        await world.send("c", chat="c", wait_s=0.0)
        await until_told(world, 3)
        assert (await world.send("d", chat="d", deadline_s=0.1)).state is State.EXPIRED
        assert world.account.texts == ["a", "b", "c"]


async def test_after_a_kill_what_was_queued_is_carried_out_and_what_was_under_way_is_repeated(
    world: World,
) -> None:
    async with world.killed_later():
        world.account.held["a"] = Held()
        accepted = [await world.send(text, wait_s=0, key=text) for text in ("a", "b")]
        await until_told(world, 1)
    world.account.held.clear()
    async with world.running():
        world.look()
        commands = [await world.send(text, key=text) for text in ("a", "b")]
        assert [command.receipt for command in commands] == [command.receipt for command in accepted]
        assert [(command.state, command.attempts) for command in commands] == [
            (State.DONE, 2),
            (State.DONE, 1),
        ]
    keys = [key for text, key in world.account.told if text == "a"]
    assert keys == [commands[0].receipt] * 2


async def test_after_a_kill_what_was_under_way_and_cannot_be_told_is_uncertain_and_what_was_late_expires(
    world: World,
) -> None:
    world.account = Account(Config(repeat_window_s=0.0))
    async with world.killed_later():
        world.account.held["a"] = Held()
        under_way, queued = [await world.send(text, wait_s=0) for text in ("a", "b")]
        await until_told(world, 1)
    world.account.held.clear()
    async with world.running(wall=time.time() + 3600) as outbox:

        async def have_ended() -> bool:
            return outbox.status().oldest_age_s is None

        await until(have_ended, what="both have ended")
        found = [await outbox.find(each.receipt) for each in (under_way, queued)]
        assert [command and command.state for command in found] == [State.UNCERTAIN, State.EXPIRED]
        assert [event.raw["state"] for event in await world.events()] == ["uncertain", "expired"]
    assert world.account.texts == ["a"]


async def test_the_platforms_limits_hold_over_a_restart(world: World) -> None:
    world.account = Account(Config(rates=Rates(app=(Rate(2, 60.0),))))
    async with world.running():
        for text in ("a", "b"):
            assert (await world.send(text)).state is State.DONE
    async with world.running():
        assert (await world.send("c", deadline_s=0.3)).state is State.EXPIRED
    assert world.account.texts == ["a", "b"]


async def test_what_is_late_when_the_supervisor_comes_back_ends_though_its_account_is_gone(
    world: World,
) -> None:
    async with world.killed_later():
        world.account.is_up = False
        command = await world.send("a", wait_s=0)
    world.is_known = False
    async with world.running(wall=time.time() + 3600) as outbox:

        async def has_ended() -> bool:
            return outbox.status().expired == 1 and outbox.status().oldest_age_s is None

        await until(has_ended, what="it has expired")
        found = await outbox.find(command.receipt)
        assert found is not None
        assert found.state is State.EXPIRED


async def test_a_stop_lets_nobody_wait_and_leaves_the_queue_for_the_next_start(world: World) -> None:
    async with world.running() as outbox:
        world.account.is_up = False
        sending = asyncio.ensure_future(world.send("a"))
        await until_queued(world, 1)
        outbox.stop()
        assert not (await sending).has_ended
        with pytest.raises(CommandError):
            await world.send("b")
    world.account.is_up = True
    async with world.running() as outbox:
        world.look()
        await until_told(world, 1)
    assert world.account.texts == ["a"]


async def test_a_name_that_another_tenant_has_got_carries_out_nothing_of_the_first(world: World) -> None:
    async with world.running():
        world.account.is_up = False
        sending = asyncio.ensure_future(world.send("a", deadline_s=0.5))
        await until_queued(world, 1)
        world.account = Account(Config(tenant="other"))
        world.look()
        assert (await sending).state is State.EXPIRED
        assert not world.account.told


async def test_what_an_account_left_that_is_gone_expires(world: World) -> None:
    async with world.running() as outbox:
        world.account.is_up = False
        sending = asyncio.ensure_future(world.send("a", deadline_s=0.3))
        await until_queued(world, 1)
        world.is_known = False
        assert (await sending).state is State.EXPIRED
        world.look()
        assert outbox.status().oldest_age_s is None


async def test_who_asks_again_by_key_with_nothing_left_of_the_deadline_hears_what_became_of_it(
    world: World,
) -> None:
    """As a client does that stood still, or whose connection was cut."""
    async with world.running():
        done = await world.send("a", key="k")
        for _ in range(5):
            assert await world.send("a", key="k", deadline_s=0.0005) == done
        assert world.account.texts == ["a"]


async def test_a_receipt_nobody_has_is_not_found(world: World) -> None:
    async with world.running() as outbox:
        assert await outbox.find("no such receipt") is None


async def until_told(world: World, count: int) -> None:
    async def is_so() -> bool:
        return len(world.account.told) >= count

    await until(is_so, what=f"{count} tries have begun")


async def until_queued(world: World, count: int) -> None:
    async def is_so() -> bool:
        return world.outbox.status().queued >= count

    await until(is_so, what=f"{count} commands are queued")
