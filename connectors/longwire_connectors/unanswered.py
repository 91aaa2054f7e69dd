"""What a call to a platform means that brought no answer: had it an effect, and may it be repeated? Pure.

A `PLATFORM_UNREACHABLE` had none, so whoever asked may ask again; with a `DEADLINE_EXCEEDED` nobody knows.
That a second time would do no harm, as with a message that is deleted, is no reason to say that the first had
no effect: whether to repeat it is for the outbox (`longwire_protocol.methods`), which then reports what it
knows. Every error of a connector keeps to that.
"""

from __future__ import annotations

from longwire_protocol.errors import CommandError, RetCode

SERVER_ERROR = 500
SERVICE_UNAVAILABLE = 503


def unanswered(what: str, *, was_sent: bool, is_harmless: bool) -> CommandError:
    """Return the error for a call that broke off, took too long, or was answered unreadably.

    Args:
        what: a sentence without its end, without secrets, as «HOST did not answer in time».
        was_sent: whether the platform may have read any of it.
        is_harmless: whether it changes nothing, or nothing that anybody notices.
    """
    if was_sent and not is_harmless:
        return CommandError(
            RetCode.DEADLINE_EXCEEDED, f"{what}; the effect is unknown", data={"was_sent": True}
        )
    return CommandError(RetCode.PLATFORM_UNREACHABLE, what, retryable=True, data={"was_sent": was_sent})


def half_done(error: CommandError) -> CommandError:
    """Return the error for a command whose first step was done, and whose next one failed with `error`."""
    what = f"only its first step is known to be done: {error.message}"
    return CommandError(RetCode.DEADLINE_EXCEEDED, what, data=error.data)


def broken_inside(
    what: str, *, status: int, is_harmless: bool, wait_s: float | None, platform_code: object
) -> CommandError:
    """Return the error for an answer that says that the platform itself failed, as a status of 500 or more.

    503 means that the request was not begun (RFC 9110, 15.6.4) where the platform says so itself, by a code
    of its own or by how long to wait. A gateway's says less: Envoy's is the same whether its server could not
    be asked or went away in the middle (response flag `UC`). The others come from servers that broke, and
    from gateways that lost sight of one, in the middle of it.

    Args:
        what: as of `unanswered`.
        status: of HTTP.
        is_harmless: as of `unanswered`.
        wait_s: how long the answer asks to wait.
        platform_code: the platform's code in the answer, `None` if there is none.
    """
    was_begun = status != SERVICE_UNAVAILABLE or (wait_s is None and platform_code is None)
    error = unanswered(what, was_sent=was_begun, is_harmless=is_harmless)
    if error.retryable and wait_s is not None:
        error.retry_after_ms = round(wait_s * 1000)
    error.data = {"http_status": status, "platform_code": platform_code}
    return error


def resting(host: str, *, wait_s: float) -> CommandError:
    """Return the error for a call that was not made, as its host failed too often lately."""
    return CommandError(
        RetCode.PLATFORM_UNREACHABLE,
        f"{host} failed several times in a row and is left alone",
        retryable=True,
        retry_after_ms=max(1, round(wait_s * 1000)),
        data={"was_sent": False},
    )


def too_long(host: str, *, max_bytes: int, is_harmless: bool) -> CommandError:
    """Return the error for an answer over a bound; asking again would bring the same."""
    what = f"{host} answered more than {max_bytes} bytes"
    if not is_harmless:
        return unanswered(what, was_sent=True, is_harmless=False)
    return CommandError(RetCode.PLATFORM_UNREACHABLE, what, data={"was_sent": True})
