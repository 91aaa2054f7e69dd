"""An account's own secrets kept out of what a connector says of its link. Pure.

A platform's refusal may repeat what was sent to it, and a connector, ours or another's, may hand that on:
message and code stand in the status, in the log and in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from longwire_protocol.link import LinkFailure


def secrets_of(options: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the values of the options that the connector declares secret."""
    return [options[name] for name in names if options.get(name)]


def discreet(failure: LinkFailure, redact: Callable[[str], str]) -> LinkFailure:
    """Return the failure with every secret in its texts blanked."""

    def blanked(text: str | None) -> str | None:
        return None if text is None else redact(text)

    return msgspec.structs.replace(
        failure,
        message=redact(failure.message),
        error_code=blanked(failure.error_code),
        user_action=blanked(failure.user_action),
        user_action_zh=blanked(failure.user_action_zh),
    )
