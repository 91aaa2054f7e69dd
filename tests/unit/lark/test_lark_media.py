"""Chunks of media: their places, their limits, and what becomes of those that are left."""

from typing import Any

import pytest

from longwire_connectors.lark import uploads as book
from longwire_connectors.lark.media import (
    CHUNK_BYTES,
    IMAGE_BYTES,
    Download,
    Slice,
    Upload,
    download_request,
    range_header,
    read_upload,
    slice_of,
    upload_form,
)
from longwire_connectors.lark.outgoing import read_params
from longwire_connectors.lark.uploads import IDLE_S, MAX_UPLOADS, Pending, Uploads
from longwire_protocol.errors import CommandError, RetCode


def take(uploads: Uploads, *, now: float = 0.0, fresh: str = "u", **given: Any) -> Pending:
    return uploads.take(read_upload({"data": b"", **given}), fresh_id=fresh, now=now)


def test_chunks_in_their_order_make_the_whole() -> None:
    uploads = Uploads()
    first = take(uploads, data=b"ab", kind="image", name="a.png")
    second = take(uploads, data=b"cd", offset=2, upload_id="u")
    third = take(uploads, offset=4, upload_id="u", last=True)
    assert first is second is third
    assert (bytes(third.data), third.kind, third.name) == (b"abcd", "image", "a.png")


def test_a_chunk_that_comes_again_changes_nothing() -> None:
    uploads = Uploads()
    take(uploads, data=b"ab")
    take(uploads, data=b"cd", offset=2, upload_id="u")
    again = take(uploads, data=b"cd", offset=2, upload_id="u")
    assert bytes(again.data) == b"abcd"
    assert bytes(take(uploads, data=b"ab", upload_id="u").data) == b"abcd"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"data": b"x", "offset": 3, "upload_id": "u"}, "next byte is 2"),
        ({"data": b"xyz", "offset": 1, "upload_id": "u"}, "next byte is 2"),
        ({"data": b"x", "offset": 2, "upload_id": "other"}, "begin at 0"),
        ({"data": b"x", "offset": 2}, "`upload_id`"),
        ({"data": b""}, "`data` is empty"),
        ({"last": True}, "`data` is empty"),
        ({"data": b"x", "kind": "sticker"}, "kind"),
        ({"data": b"x", "offset": -1}, "offset"),
        ({"data": b"x", "size": 1}, "size"),
    ],
)
def test_a_chunk_out_of_place_is_refused(given: dict[str, Any], named: str) -> None:
    uploads = Uploads()
    take(uploads, data=b"ab")
    with pytest.raises(CommandError, match=named) as refusal:
        take(uploads, fresh="v", **given)
    assert refusal.value.retcode == RetCode.BAD_PARAM


def test_what_is_too_large_is_refused_and_forgotten() -> None:
    uploads = Uploads()
    take(uploads, data=bytes(IMAGE_BYTES), kind="image")
    with pytest.raises(CommandError, match="no image over 10485760 bytes"):
        take(uploads, data=b"x", offset=IMAGE_BYTES, upload_id="u")
    with pytest.raises(CommandError, match="no such upload"):
        take(uploads, data=b"x", offset=IMAGE_BYTES, upload_id="u")


def test_uploads_are_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads()
    for number in range(MAX_UPLOADS):
        take(uploads, data=b"x", fresh=str(number))
    with pytest.raises(CommandError, match="are under way") as refusal:
        take(uploads, data=b"x")
    assert (refusal.value.retcode, refusal.value.retryable) == (RetCode.SATURATED, True)
    monkeypatch.setattr(book, "MAX_BYTES", 20)
    with pytest.raises(CommandError, match="hold 20 bytes"):
        take(uploads, data=b"12345", offset=1, upload_id="0")


def test_what_nobody_goes_on_with_is_forgotten() -> None:
    uploads = Uploads()
    take(uploads, data=b"ab", fresh="old", now=0.0)
    take(uploads, data=b"ab", fresh="new", now=30.0)
    assert uploads.expire(IDLE_S - 1) == IDLE_S
    assert uploads.expire(IDLE_S) == 30.0 + IDLE_S
    with pytest.raises(CommandError, match="no such upload"):
        take(uploads, data=b"x", offset=2, upload_id="old", now=IDLE_S)
    assert uploads.expire(1000.0) is None


def test_a_dropped_upload_is_gone_and_may_be_dropped_again() -> None:
    uploads = Uploads()
    upload = take(uploads, data=b"ab")
    uploads.drop(upload)
    uploads.drop(upload)
    assert uploads.expire(0.0) is None


@pytest.mark.parametrize(
    ("kind", "name", "duration_ms", "path", "fields"),
    [
        ("image", "a.png", None, "images", {"image_type": "message"}),
        ("file", "a.PDF", None, "files", {"file_type": "pdf", "file_name": "a.PDF"}),
        ("file", "a.docx", None, "files", {"file_type": "doc", "file_name": "a.docx"}),
        ("file", "a.zip", None, "files", {"file_type": "stream", "file_name": "a.zip"}),
        ("file", None, None, "files", {"file_type": "stream", "file_name": "file"}),
        ("audio", None, 5, "files", {"file_type": "opus", "file_name": "audio.opus", "duration": "5"}),
        ("video", "a.mov", None, "files", {"file_type": "mp4", "file_name": "a.mov"}),
    ],
)
def test_the_form_says_what_it_is(
    kind: Any, name: str | None, duration_ms: int | None, path: str, fields: dict[str, str]
) -> None:
    assert upload_form(kind, name=name, duration_ms=duration_ms) == (f"/im/v1/{path}", fields)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"resource": "img_1"}, "image"),
        ({"resource": "file_1"}, "file"),
        ({"resource": "x", "kind": "image"}, "image"),
        ({"resource": "img_1", "kind": "video"}, "file"),
    ],
)
def test_a_download_asks_for_a_range_of_a_resource(given: dict[str, Any], kind: str) -> None:
    asked = read_params({"message_id": "om_1", "offset": 10, "length": 5, **given}, Download)
    request = download_request(asked)
    assert request.path == f"/im/v1/messages/om_1/resources/{given['resource']}"
    assert (request.method, request.query) == ("GET", {"type": kind})
    assert range_header(asked) == "bytes=10-14"


@pytest.mark.parametrize("length", [0, CHUNK_BYTES + 1])
def test_a_chunk_of_a_download_is_bounded(length: int) -> None:
    with pytest.raises(CommandError, match="length"):
        read_params({"message_id": "om_1", "resource": "img_1", "length": length}, Download)


@pytest.mark.parametrize(
    ("headers", "is_partial", "expected"),
    [
        ({"Content-Range": "bytes 10-14/99"}, True, Slice(10, 99)),
        ({"Content-Range": "bytes 10-14/*"}, True, Slice(0, None)),
        ({}, True, Slice(0, None)),
        ({"Content-Length": "99"}, False, Slice(0, 99)),
        ({"Content-Length": "x"}, False, Slice(0, None)),
        ({}, False, Slice(0, None)),
    ],
)
def test_an_answer_says_which_part_it_is(
    headers: dict[str, str], expected: Slice, *, is_partial: bool
) -> None:
    assert slice_of(headers, is_partial=is_partial) == expected


def test_text_in_the_place_of_bytes_is_base64() -> None:
    assert read_upload({"data": "YWI="}) == Upload(data=b"ab")
