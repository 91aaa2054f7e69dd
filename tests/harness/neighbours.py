"""Many targets of one supervisor, and what good ones notice of bad ones (scenario F1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from harness.longwire import Longwire
from harness.targets.behaviour import Behaviour, Drip, Reset, Silent, Unaccepting
from harness.targets.client import Targets
from harness.waiting import until
from harness.webhooks import add, event_of, remove, webhook

GOOD, BAD = 97, 3
CHATS = 50
TYPES = ["message.created"]
SOURCE = "source"

Trouble = Mapping[str, Behaviour]

TROUBLES: Sequence[Trouble] = (
    {"unaccepting": Unaccepting(), "drip": Drip(1.0), "reset": Reset()},
    {"silent": Silent(), "drip": Drip(1.0), "reset": Reset()},
)
"""A hundred with the good ones. A black hole is one of two: nobody accepts, or nobody answers."""

_MARGIN_S = 60.0
"""For the last events of a lap on a busy machine."""


class Crowd(msgspec.Struct, frozen=True):
    """The good targets, and the supervisor that posts to them."""

    longwire: Longwire
    targets: Targets
    names: Sequence[str]
    rate_per_s: float
    """Events, each of which goes to all."""

    async def lap(self, for_s: float) -> list[float]:
        """Return the milliseconds that each event of such a while took from its making to each target."""
        begun = {name: tally.arrivals for name, tally in (await self.targets.tallies()).items()}
        count = round(for_s * self.rate_per_s)

        async def have_all() -> bool:
            tallies = await self.targets.tallies()
            return all(tallies[name].arrivals >= begun[name] + count for name in self.names)

        deadline_s = for_s + _MARGIN_S
        await until(have_all, what=f"{count} events at each", deadline_s=deadline_s, every_s=0.2)
        took_ms: list[float] = []
        for name in self.names:
            arrived = await self.targets.arrivals(name, begin=begun[name])
            took_ms += [(each.at - event_of(each).recv_time) * 1000 for each in arrived[:count]]
        return took_ms

    async def trouble(self, trouble: Trouble) -> None:
        """Have these bad targets as well."""
        for name, behaviour in trouble.items():
            url = await self.targets.open(name, behaviour)
            await add(self.longwire, name, webhook(url, types=TYPES))

    async def relief(self, trouble: Trouble) -> None:
        """Have them no more."""
        for name in trouble:
            await remove(self.longwire, name)


async def crowd(longwire: Longwire, targets: Targets, *, rate_per_s: float) -> Crowd:
    """Start a supervisor with an account that makes events at this rate for as many good targets."""
    names = [f"good{n}" for n in range(GOOD)]
    tables = {name: webhook(await targets.open(name), types=TYPES) for name in names}
    source = {"connector": "loopback", "tenant": "acme", "rate_per_s": rate_per_s, "chats": CHATS}
    longwire.configure({SOURCE: source}, webhooks=tables)
    await longwire.start(log_level="info")

    async def all_have_some() -> bool:
        tallies = await targets.tallies()
        return all(tallies[name].arrivals >= 1 for name in names)

    await until(all_have_some, what="each target has had an event")
    return Crowd(longwire, targets, names, rate_per_s)
