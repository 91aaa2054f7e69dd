"""Media on Lark: the forms they are sent in, and which part of one an answer is."""

from typing import Any

import pytest

from longwire_connectors.lark.media import (
    Download,
    Upload,
    download_request,
    upload_form,
)
from longwire_connectors.lark.outgoing import read_params
from longwire_connectors.ranges import Slice, range_header, slice_of
from longwire_connectors.uploads import CHUNK_BYTES
from longwire_protocol.errors import CommandError


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
    assert read_params({"data": "YWI=", "duration_ms": 5}, Upload) == Upload(data=b"ab", duration_ms=5)
