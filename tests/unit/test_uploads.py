"""Files that come in pieces: in order, bounded, and forgotten when nobody goes on."""

from typing import Any

import pytest

from longwire_connectors.uploads import IDLE_S, MAX_TOTAL_BYTES, MAX_UPLOADS, Upload, Uploads
from longwire_protocol.errors import CommandError, RetCode

MIB = 1024 * 1024
LIMITS = {"image": 10, "file": MAX_TOTAL_BYTES, "audio": 10, "video": 10}


def piece(data: bytes = b"ab", **more: Any) -> Upload:
    return Upload(data=data, **more)


def test_pieces_become_a_file() -> None:
    uploads = Uploads[Upload](LIMITS)
    first = uploads.take(piece(b"ab", name="n", kind="image"), fresh_id="u", now=0.0)
    assert (first.id, bytes(first.data)) == ("u", b"ab")
    again = uploads.take(piece(b"ab", upload_id="u"), fresh_id="v", now=1.0)
    assert bytes(again.data) == b"ab"
    last = uploads.take(piece(b"cd", upload_id="u", offset=2, last=True), fresh_id="v", now=2.0)
    assert (last.id, bytes(last.data)) == ("u", b"abcd")
    assert last.about == piece(b"", name="n", kind="image")
    uploads.drop(last)
    assert uploads.expire(3.0) is None
    uploads.drop(last)  # twice is no harm


def test_the_last_piece_may_be_empty_and_the_only_one_not() -> None:
    uploads = Uploads[Upload](LIMITS)
    uploads.take(piece(), fresh_id="u", now=0.0)
    last = uploads.take(piece(b"", upload_id="u", offset=2, last=True), fresh_id="v", now=0.0)
    assert bytes(last.data) == b"ab"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (piece(offset=1), "`upload_id`"),
        (piece(upload_id="v"), "`upload_id`"),
        (piece(upload_id="u", offset=3), "`offset`"),
        (piece(b"abc", upload_id="u", offset=0), "`offset`"),
        (piece(b"", upload_id="u", offset=2), "`data`"),
        (piece(b"", last=True), "`data`"),
        (piece(b"x" * 11, kind="image"), "`data`"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(wrong: Upload, named: str) -> None:
    uploads = Uploads[Upload](LIMITS)
    uploads.take(piece(), fresh_id="u", now=0.0)
    with pytest.raises(CommandError) as refusal:
        uploads.take(wrong, fresh_id="w", now=0.0)
    assert refusal.value.retcode == RetCode.BAD_PARAM
    assert named in refusal.value.message


def test_uploads_are_bounded_in_number_and_in_all() -> None:
    uploads = Uploads[Upload](LIMITS)
    for number in range(MAX_UPLOADS):
        uploads.take(piece(), fresh_id=str(number), now=0.0)
    with pytest.raises(CommandError) as refusal:
        uploads.take(piece(), fresh_id="more", now=0.0)
    assert (refusal.value.retcode, refusal.value.retryable) == (RetCode.SATURATED, True)
    with pytest.raises(CommandError) as refusal:
        uploads.take(piece(bytes(MAX_TOTAL_BYTES - 2), upload_id="0", offset=2), fresh_id="x", now=0.0)
    assert refusal.value.retcode == RetCode.SATURATED


def test_a_forgotten_upload_goes() -> None:
    uploads = Uploads[Upload](LIMITS)
    uploads.take(piece(), fresh_id="u", now=0.0)
    uploads.take(piece(), fresh_id="v", now=5.0)
    assert uploads.expire(IDLE_S) == 5.0 + IDLE_S
    with pytest.raises(CommandError, match="begin at 0"):
        uploads.take(piece(upload_id="u", offset=2), fresh_id="w", now=IDLE_S)


def test_one_that_is_being_sent_is_not_forgotten_however_long_that_takes() -> None:
    uploads = Uploads[Upload](LIMITS)
    sent = uploads.take(piece(), fresh_id="u", now=0.0)
    sent.is_being_sent = True
    assert uploads.expire(10 * IDLE_S) is None
    sent.is_being_sent, sent.used_at = False, 10 * IDLE_S
    again = uploads.take(piece(b"", upload_id="u", offset=2, last=True), fresh_id="v", now=10 * IDLE_S)
    assert again is sent
    assert uploads.expire(10 * IDLE_S) == 11 * IDLE_S
