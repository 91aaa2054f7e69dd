"""The keys of a Lark account, and what is known of the connector without its SDK."""

import subprocess
import sys

import msgspec
import pytest

from longwire_connectors.lark.connector import LarkConnector, LarkOptions

GIVEN = {"app_id": "cli_1", "app_secret": "s"}


def test_a_trailing_slash_is_tolerated() -> None:
    options = msgspec.convert({**GIVEN, "domain": "http://127.0.0.1:80/"}, type=LarkOptions)
    assert options.base == "http://127.0.0.1:80"
    assert msgspec.convert(GIVEN, type=LarkOptions).base == "https://open.feishu.cn"


@pytest.mark.parametrize(
    "domain",
    [
        "open.feishu.cn",
        "ftp://x",
        "https://",
        "https://x:port",
        "https://x:0",
        "https://a:b@x",
        "https://x?y=z",
    ],
)
def test_a_domain_that_is_no_http_url_is_refused_by_name(domain: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.domain"):
        msgspec.convert({**GIVEN, "domain": domain}, type=LarkOptions)


@pytest.mark.parametrize("change", [{"app_id": ""}, {"app_secret": ""}, {"app_token": "x"}])
def test_empty_and_unknown_keys_are_refused(change: dict) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**GIVEN, **change}, type=LarkOptions)


def test_the_declaration_names_the_secret_and_the_identity() -> None:
    declaration = LarkConnector.declaration
    assert (declaration.secrets, declaration.identity, declaration.extra) == (
        ("app_secret",),
        "app_id",
        "lark",
    )
    assert declaration.platform == "lark"


def test_the_declaration_is_read_without_the_sdk_and_without_aiohttp() -> None:
    code = (
        "import sys, longwire_connectors.lark.connector;"
        "print([m for m in ('lark_oapi', 'aiohttp', 'requests', 'websockets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
