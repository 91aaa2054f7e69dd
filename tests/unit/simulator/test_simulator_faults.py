"""Which fault bites when."""

import msgspec
import pytest

from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.fault_kinds import (
    ApiError,
    DingTalkOpenStatus,
    DiscoveryHang,
    FaultBase,
    LarkNoPong,
    NoWsPong,
)
from longwire_connectors.simulator.faults import MAX_ACTIVE, FaultBook, read_fault


def bites(book: FaultBook, kind: type[FaultBase], *, app: str = "a", now: float = 0.0) -> bool:
    return book.take(kind, platform="lark", app=app, now=now) is not None


def test_a_fault_bites_its_kind_platform_and_app_only() -> None:
    book = FaultBook()
    book.add(LarkNoPong(platform="lark", app="a"), now=0.0)
    book.add(NoWsPong(platform="dingtalk"), now=0.0)
    assert bites(book, LarkNoPong)
    assert not bites(book, LarkNoPong, app="b")
    assert not bites(book, NoWsPong)
    assert not bites(book, DiscoveryHang)


def test_times_and_for_s_end_a_fault() -> None:
    book = FaultBook()
    book.add(LarkNoPong(platform="lark", times=2), now=0.0)
    assert [bites(book, LarkNoPong) for _ in range(3)] == [True, True, False]
    book.add(NoWsPong(platform="lark", for_s=5.0), now=10.0)
    assert bites(book, NoWsPong, now=14.9)
    assert not bites(book, NoWsPong, now=15.0)
    assert book.active(now=15.0) == []


def test_the_last_fault_wins_and_where_narrows() -> None:
    book = FaultBook()
    book.add(ApiError(platform="lark", call="token", status=500), now=0.0)
    book.add(ApiError(platform="lark", call="send", status=429), now=0.0)

    def status(call: str | None) -> int | None:
        where = None if call is None else (lambda fault: fault.call == call)
        fault = book.take(ApiError, platform="lark", app="a", now=0.0, where=where)
        return None if fault is None else fault.status

    assert (status(None), status("token"), status("nothing")) == (429, 500, None)


def test_faults_are_removed_by_id_or_all_together() -> None:
    book = FaultBook()
    first = book.add(LarkNoPong(platform="lark"), now=0.0)
    book.add(NoWsPong(platform="lark"), now=0.0)
    assert [fault.id for fault in book.active(now=0.0)] == [first, "fault-2"]
    assert (book.remove(first), book.remove(first), book.remove(), book.remove()) == (1, 0, 1, 0)


def test_too_many_faults_are_refused() -> None:
    book = FaultBook()
    for _ in range(MAX_ACTIVE):
        book.add(LarkNoPong(platform="lark", for_s=1.0), now=0.0)
    with pytest.raises(AdminRequestError) as refusal:
        book.add(LarkNoPong(platform="lark"), now=0.0)
    assert refusal.value.status == 429
    book.add(LarkNoPong(platform="lark"), now=1.0)


def test_a_fault_is_read_by_platform_and_name_and_unknown_keys_are_refused() -> None:
    lark = read_fault(b'{"platform": "lark", "name": "no_pong", "times": 3}')
    assert lark == LarkNoPong(platform="lark", times=3)
    assert isinstance(read_fault(b'{"platform": "dingtalk", "name": "open_status"}'), DingTalkOpenStatus)
    for body in (
        b'{"platform": "dingtalk", "name": "no_pong"}',
        b'{"platform": "lark", "name": "no_pong", "tmies": 3}',
        b'{"platform": "slack", "name": "no_pong"}',
        b'{"name": "no_pong"}',
    ):
        with pytest.raises(msgspec.ValidationError):
            read_fault(body)
