"""Which part of a file an answer is, and what of it was asked for."""

from collections.abc import AsyncGenerator, Mapping

import pytest

from longwire_connectors.ranges import Fetched, fetched_of, told
from longwire_connectors.uploads import Download

FILE = b"0123456789"


class Host:
    """Answers with the file from `first` on, three bytes at a time."""

    def __init__(self, status: int, headers: Mapping[str, str], *, first: int = 0) -> None:
        self.status, self.headers, self._first = status, headers, first
        self.given = 0

    async def chunks(self) -> AsyncGenerator[bytes]:
        for at in range(self._first, len(FILE), 3):
            self.given += 1
            yield FILE[at : at + 3]


PARTIAL = {"Content-Range": "bytes 4-6/10", "Content-Type": "text/plain"}


@pytest.mark.parametrize(
    ("host", "offset", "length", "expected", "given"),
    [
        (Host(206, PARTIAL, first=4), 4, 3, Fetched(b"456", 10, "text/plain"), 1),
        (Host(200, {"Content-Length": "10"}), 4, 3, Fetched(b"456", 10), 3),
        (Host(200, {}), 8, 5, Fetched(b"89"), 4),
        (Host(200, {}), 20, 5, Fetched(), 4),
    ],
)
async def test_what_was_asked_for_is_taken_and_the_rest_is_not_waited_for(
    host: Host, offset: int, length: int, expected: Fetched, given: int
) -> None:
    asked = Download(resource="r", offset=offset, length=length)
    assert await fetched_of(host, asked) == expected
    assert host.given == given


@pytest.mark.parametrize(
    ("fetched", "is_last"), [(Fetched(b"456", 10), False), (Fetched(b"456", 7), True), (Fetched(b"4"), True)]
)
def test_the_last_part_is_a_short_one_or_ends_where_the_file_does(
    fetched: Fetched,
    is_last: bool,  # noqa: FBT001
) -> None:
    answer = told(fetched, Download(resource="r", offset=4, length=3))
    assert (answer["offset"], answer["last"], answer["size"]) == (4, is_last, fetched.size)
