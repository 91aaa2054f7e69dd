"""The errors: what they carry, and that one base catches them all."""

from __future__ import annotations

import pytest

from longwire_protocol import errors
from longwire_protocol.errors import (
    AddressError,
    CommandError,
    ConfigError,
    FrameError,
    FrameTooLarge,
    LongwireError,
    MalformedFrame,
    Problem,
    RetCode,
    SupervisorUnreachable,
)


def test_every_error_is_a_longwire_error_and_stands_in_the_tree_of_the_docstring() -> None:
    assert errors.__doc__ is not None
    own = [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, Exception) and thing.__module__ == errors.__name__
    ]
    assert len(own) >= 8
    for error in own:
        assert issubclass(error, LongwireError)
        assert error.__name__ in errors.__doc__


def test_a_configuration_error_carries_every_problem() -> None:
    problems = [Problem("accounts.a.app_id", "is missing"), Problem("", "the file is empty")]
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "accounts.a.app_id: is missing; the file is empty"


def test_a_command_error_carries_what_the_reply_said() -> None:
    error = CommandError(34003, "slower", retryable=True, retry_after_ms=5, data={"platform_code": 1})
    assert str(error) == "slower (retcode 34003)"
    assert (error.retcode, error.message, error.retryable, error.retry_after_ms, error.data) == (
        34003,
        "slower",
        True,
        5,
        {"platform_code": 1},
    )


def test_a_command_error_is_final_unless_it_says_otherwise() -> None:
    error = CommandError(RetCode.BAD_PARAM, "no")
    assert (error.retryable, error.retry_after_ms, error.data) == (False, None, None)


@pytest.mark.parametrize("error", [FrameTooLarge(2, 1), MalformedFrame("x")])
def test_unreadable_frames_have_a_base_of_their_own(error: FrameError) -> None:
    assert isinstance(error, FrameError)


def test_ours_and_the_peers_errors_are_apart() -> None:
    assert not issubclass(AddressError, FrameError)
    assert not issubclass(SupervisorUnreachable, CommandError)


def test_return_codes_are_unique_and_follow_onebot() -> None:
    codes = [code.value for code in RetCode]
    assert len(set(codes)) == len(RetCode.__members__)
    assert {code // 10_000 for code in codes} == {0, 1, 2, 3}
