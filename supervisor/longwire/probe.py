"""Accounts' credentials, tried on their platforms by helper processes: no connection is taken.

Each interpreter that the accounts name gets one helper, and tries its accounts side by side, so a hundred
take some seconds. Secrets go over the helper's stdin.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from longwire.config import AccountConfig
from longwire.helper import Helper
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.link import Fault, LinkFailure
from longwire_protocol.probing import Probe, ProbeRequest, ProbeResult
from longwire_protocol.redaction import Redactor

ARGUMENTS: Final = ("-P", "-m", "longwire_connectors.probe")

PROBE_S: Final = 30.0
"""For all accounts of an interpreter: its start, and twice the 13 s that a platform takes which answers
nothing (3 to connect, 10 of silence); the accounts are tried at once."""

_MAX_INTERPRETERS: Final = 4
"""Helpers at once: each is a Python that starts, a second of one CPU."""

_MAX_CHECKS: Final = 4
"""Accounts that clients may have checked at once: a helper takes some 30 MB for a second."""
_CHECK_AGAIN_MS: Final = 1000
_OWN_SHARE: Final = 0.9
"""Of a request's deadline: our own answer to what hangs is the better one."""

_decode = msgspec.json.Decoder(ProbeResult).decode


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of trying an account's credentials."""

    account: str
    connector: str
    ok: bool
    """Whether the platform took them, or there was nothing to try."""
    was_tried: bool
    fault: Fault | None = None
    reason: str | None = None
    error_code: str | None = None
    message: str | None = None
    user_action: str | None = None
    user_action_zh: str | None = None
    """The same in Chinese."""
    clock_ahead_s: float | None = None
    """By how much this machine's clock is ahead of the platform's, to about a second."""
    took_s: float | None = None

    def __str__(self) -> str:
        """What came of it, for people, without what to do."""
        if not self.was_tried:
            return f"{self.account}: nothing to try; the connector {self.connector} has no credentials"
        if self.ok:
            return f"{self.account}: accepted, {self.took_s or 0.0:.2f} s"
        code = f" ({self.error_code})" if self.error_code else ""
        return f"{self.account}: {self.reason}{code}: {self.message}"


class Prober:
    """Tries accounts.

    Args:
        timeout_s: how long all of it may take; an account that is not done then has failed.
        environ: what the helpers' environment is chosen from; by default this process's own.
    """

    def __init__(self, *, timeout_s: float = PROBE_S, environ: Mapping[str, str] | None = None) -> None:
        self._timeout_s = timeout_s
        self._new_helper = partial(Helper, ARGUMENTS, timeout_s=timeout_s, environ=environ)
        self._helpers: list[Helper] = []
        self._is_interrupted = False

    def __call__(self, accounts: Iterable[AccountConfig]) -> list[Checked]:
        """Return what came of each, in their order; blocks."""
        accounts = list(accounts)
        groups: defaultdict[str | None, list[AccountConfig]] = defaultdict(list)
        for account in accounts:
            groups[account.settings.python].append(account)
        self._helpers = [self._new_helper() for _ in groups]
        if self._is_interrupted:  # before there was anything to interrupt
            self.interrupt()
        with ThreadPoolExecutor(_MAX_INTERPRETERS) as threads:
            found = list(threads.map(self._ask, self._helpers, groups.keys(), groups.values()))
        answers = {result.account: result for results in found for result in results}
        return [_checked(account, answers[account.account]) for account in accounts]

    def interrupt(self) -> None:
        """Have what is under way fail at once; from any thread."""
        self._is_interrupted = True
        for helper in self._helpers:
            helper.interrupt()

    def _ask(
        self, helper: Helper, python: str | None, accounts: Sequence[AccountConfig]
    ) -> list[ProbeResult]:
        try:
            printed, missing = helper.run(python, given=_request(accounts)), "the helper did not say"
        except subprocess.TimeoutExpired as exc:
            printed, missing = exc.output or b"", f"no answer within {self._timeout_s:g} s"
        except subprocess.CalledProcessError as exc:
            printed, missing = b"", f"the helper ended with exit status {exc.returncode}"
        except (OSError, OverflowError, TypeError, ValueError) as exc:
            printed, missing = b"", f"the helper could not be asked: {type(exc).__name__}"
        answers = {answer.account: answer for answer in _read(printed)}
        unanswered = Probe(failure=LinkFailure(Fault.TRANSIENT, "probe_failed", missing))
        return [
            answers.get(account.account) or ProbeResult(account=account.account, probe=unanswered)
            for account in accounts
        ]


class Checks:
    """Tries single accounts for clients of a running supervisor, a few at a time."""

    def __init__(self) -> None:
        self._under_way = 0

    async def check(self, account: AccountConfig, *, deadline_s: float) -> Checked:
        """Return what came of it. Cancelled, it leaves no process behind.

        Raises:
            CommandError: too many are under way.
        """
        if self._under_way >= _MAX_CHECKS:
            raise CommandError(
                RetCode.SATURATED,
                f"{_MAX_CHECKS} accounts are being checked",
                retryable=True,
                retry_after_ms=_CHECK_AGAIN_MS,
            )
        prober = Prober(timeout_s=min(deadline_s * _OWN_SHARE, PROBE_S))
        self._under_way += 1
        try:
            (found,) = await asyncio.to_thread(prober, [account])
        except asyncio.CancelledError:
            prober.interrupt()  # the thread would hold up the end of the process
            raise
        finally:
            self._under_way -= 1
        return found


def _request(accounts: Sequence[AccountConfig]) -> bytes:
    return msgspec.msgpack.encode(
        [
            ProbeRequest(
                account=account.account, connector=account.connector, options=account.plain_options()
            )
            for account in accounts
        ]
    )


def _read(printed: bytes) -> list[ProbeResult]:
    """Return the results that were printed; the last line may be cut."""
    found: list[ProbeResult] = []
    for line in printed.splitlines():
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            found.append(_decode(line))
    return found


def _checked(account: AccountConfig, result: ProbeResult) -> Checked:
    probe, failure = result.probe, result.probe.failure
    ahead_s = probe.clock_ahead_s
    checked = Checked(
        account=account.account,
        connector=account.connector,
        ok=failure is None,
        was_tried=probe.was_tried,
        clock_ahead_s=None if ahead_s is None else round(ahead_s, 1),
        took_s=round(result.took_s, 3),
    )
    if failure is None:
        return checked
    return msgspec.structs.replace(
        checked,
        fault=failure.fault,
        reason=failure.reason,
        error_code=failure.error_code,
        message=Redactor(account.secret_values())(failure.message),
        user_action=failure.user_action,
        user_action_zh=failure.user_action_zh,
    )
