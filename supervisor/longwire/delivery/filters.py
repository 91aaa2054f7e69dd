"""Which events a subscription is for."""

from __future__ import annotations

import msgspec

from longwire.journal.records import Stored


class Filters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a subscriber asked for; `None` asks for all. Two clients share a name if these are equal."""

    accounts: frozenset[str] | None = None
    types: frozenset[str] | None = None
    """Whole names, as `message.created`; there are no wildcards."""
    tenant: str | None = None

    def matches(self, event: Stored) -> bool:
        """Return whether the event is for this subscription."""
        return (
            (self.tenant is None or event.tenant == self.tenant)
            and (self.accounts is None or event.account in self.accounts)
            and (self.types is None or event.type in self.types)
        )
