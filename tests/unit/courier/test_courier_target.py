"""Everything that can be wrong with a target, and that nothing of it ends up where it was not meant to."""

from __future__ import annotations

import base64
import math
from typing import Any

import msgspec
import pytest

from longwire.courier import target as targets
from longwire.courier.target import Target, credit_of, key_of, overreach, problems
from longwire.courier.urls import origin

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def target(**fields: Any) -> Target:
    return Target(**{"name": "crm", "url": "https://crm.example/hook", "tenant": "acme", **fields})


def places(**fields: Any) -> list[str]:
    return [problem.place for problem in problems(target(**fields))]


def test_a_target_with_everything_is_in_order() -> None:
    assert not problems(
        target(
            accounts=("acme-lark",),
            types=("message.created",),
            secrets=(SECRET, SECRET),
            headers={"Authorization": "Bearer a b", "X-Empty_not": "!"},
            batch_size=10,
            order="none",
            latest_wins="message.id",
            format="cloudevents-batch",
            redirects=1,
        )
    )


def test_it_goes_to_the_courier_and_comes_back_the_same() -> None:
    given = target(secrets=(SECRET,), headers={"A": "b"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(given), type=Target) == given


def test_it_is_shown_without_its_secrets() -> None:
    shown = repr(
        target(url="https://crm.example:8443/T0KEN?key=S3CRET", secrets=(SECRET,), headers={"A": "S3CRET"})
    )
    assert shown == "Target('crm', 'https://crm.example:8443')"
    assert origin("https://user:pass@crm.example/x") == "https://crm.example"
    assert origin("https://[") == "no URL"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": "-crm"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"tenant": ""}, "tenant"),
        ({"accounts": ()}, "accounts"),
        ({"types": ("",)}, "types"),
        ({"types": ("t" * 129,)}, "types"),
        ({"accounts": ("a",) * 1001}, "accounts"),
        ({"latest_wins": "chat..id"}, "latest_wins"),
        ({"latest_wins": "a.b.c.d.e.f.g.h.i"}, "latest_wins"),
        ({"secrets": (SECRET,) * 3}, "secrets"),
        ({"secrets": ("whsec_AAAA",)}, "secrets"),
        ({"connect_timeout_s": 0.0}, "connect_timeout_s"),
        ({"read_timeout_s": math.nan}, "read_timeout_s"),
        ({"read_timeout_s": 301.0}, "read_timeout_s"),
        ({"batch_size": 0}, "batch_size"),
        ({"redirects": 6}, "redirects"),
        ({"concurrency": 65}, "concurrency"),
        ({"format": "cloudevents", "batch_size": 2}, "batch_size"),
        ({"url": "http://crm.example/"}, "url"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(fields: dict[str, Any], place: str) -> None:
    assert places(**fields) == [place]


def test_all_mistakes_are_told_at_once() -> None:
    assert places(name="", url="x", batch_size=0) == ["name", "url", "batch_size"]


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"A": "b\r\nX: y"}, "headers.A"),
        ({"A": "b\nc"}, "headers.A"),
        ({"A": "b\0"}, "headers.A"),
        ({"A": " b"}, "headers.A"),
        ({"A": "b\t"}, "headers.A"),
        ({"A": ""}, "headers.A"),
        ({"A": "é"}, "headers.A"),
        ({"A\r\nX": "y"}, "headers"),
        ({"A:": "y"}, "headers"),
        ({"": "y"}, "headers"),
        ({"host": "y"}, "headers.host"),
        ({"Content-Length": "0"}, "headers.Content-Length"),
        ({"Transfer-Encoding": "chunked"}, "headers.Transfer-Encoding"),
        ({"Connection": "close"}, "headers.Connection"),
        ({"Webhook-Id": "y"}, "headers.Webhook-Id"),
        ({"Proxy-Authorization": "y"}, "headers.Proxy-Authorization"),
        ({"A": "b", "a": "c"}, "headers"),
        ({f"X-{number}": "y" for number in range(33)}, "headers"),
        ({"A": "b" * 4096}, "headers"),
    ],
)
def test_no_header_says_more_than_its_own_value(headers: dict[str, str], place: str) -> None:
    assert places(headers=headers) == [place]


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example",
        "https://crm.example./hook",
        "https://crm_1.example:8443/hook?a=b&c=%20",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://crm.example:/",
    ],
)
def test_urls_that_will_do(url: str) -> None:
    assert places(url=url) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "printable ASCII"),
        ("https://crm.example/" + "a" * 2048, "2048 characters"),
        ("https://crm.example/a b", "printable ASCII"),
        ("https://crm.example\\@127.0.0.1/", "printable ASCII"),
        ("https://crm.example/\r\nX: y", "printable ASCII"),
        ("https://bücher.example/", "xn--"),
        ("crm.example/hook", "https://HOST"),
        ("https:///hook", "https://HOST"),
        ("https://crm.example:a/", "https://HOST"),
        ("https://crm.example:65536/", "https://HOST"),
        ("https://[::1/", "https://HOST"),
        ("ftp://crm.example/", "https://HOST"),
        ("http://crm.example/", "allow_http"),
        ("https://user@crm.example/", "user"),
        ("https://crm.example/#part", "fragment"),
        ("https://crm.example:0/", "port"),
        ("https://:443/", "host"),
        ("https://-crm.example/", "host"),
        ("https://crm..example/", "host"),
        ("https://[v1.a]/", "host"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://2130706433/", "write the address as 127.0.0.1"),
        ("https://0x7f.1/", "write the address as 127.0.0.1"),
        ("https://8.8.8.8./", "write the address as 8.8.8.8"),
        ("https://[::FFFF:7f00:1]/", "not a public address"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://[fd00:ec2::254]/", "not a public address"),
    ],
)
def test_urls_that_will_not_do(url: str, words: str) -> None:
    (problem,) = problems(target(url=url))
    assert problem.place == "url"
    assert words in problem.message


def test_what_an_operator_allows_will_do() -> None:
    assert not problems(target(url="http://127.0.0.1:8080/hook", allow_http=True, allow_private=True))


def test_a_tenant_may_not_allow_itself_anything() -> None:
    assert not overreach(target())
    asked = target(allow_http=True, allow_private=True, tenant=None)
    assert [problem.place for problem in overreach(asked)] == ["allow_http", "allow_private", "tenant"]


@pytest.mark.parametrize(
    ("secret", "is_one"),
    [
        (SECRET, True),
        ("whsec_" + base64.b64encode(bytes(64)).decode(), True),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), False),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), False),
        ("whsec_" + "é" * 40, False),
        ("whsec_" + "A" * 33, False),
        ("A" * 40, False),
    ],
)
def test_a_secret_is_whsec_and_24_to_64_bytes(secret: str, *, is_one: bool) -> None:
    assert (key_of(secret) is not None) is is_one


def test_no_text_about_a_secret_holds_it() -> None:
    (problem,) = problems(target(secrets=("whsec_S3CRET",)))
    assert "S3CRET" not in str(problem)
    assert str(targets.SECRET_BYTES[0]) in str(problem)


@pytest.mark.parametrize(
    ("batch_size", "concurrency", "credit"), [(1, 8, 32), (1, 64, 128), (10, 8, 160), (1000, 64, 1000)]
)
def test_a_lane_has_two_batches_for_each_post_within_bounds(
    batch_size: int, concurrency: int, credit: int
) -> None:
    target = Target(name="crm", url="https://x", batch_size=batch_size, concurrency=concurrency)
    assert credit_of(target) == credit
