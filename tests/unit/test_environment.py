"""What of the supervisor's environment its children get to see."""

from __future__ import annotations

import pytest

from longwire.environment import child_environment


def test_nothing_unknown_reaches_a_child() -> None:
    secrets = {
        "ACME_LARK_SECRET": "s3cret",
        "AWS_SECRET_ACCESS_KEY": "x",
        "LONGWIRE_WEB_TOKEN": "x",
        "path": "lower case is another variable",
        "LC": "no prefix of a locale",
    }

    assert child_environment(secrets) == {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "https_proxy", "HTTPS_PROXY", "SSL_CERT_FILE"],
)
def test_what_a_child_needs_is_passed_on_unchanged(name: str) -> None:
    assert child_environment({name: "value"})[name] == "value"


def test_childs_python_is_unbuffered_and_speaks_utf8_whatever_the_supervisor_was_told() -> None:
    environment = child_environment({"PYTHONUNBUFFERED": "", "PYTHONUTF8": "0"})

    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["PYTHONUTF8"] == "1"


def test_the_given_environment_is_left_alone() -> None:
    environ = {"PATH": "/bin"}

    child_environment(environ)["PATH"] = "/elsewhere"

    assert environ == {"PATH": "/bin"}
