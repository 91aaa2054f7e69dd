"""The platform's book of deliveries against the subscriber's: asserted, and summed up."""

from __future__ import annotations

from collections.abc import Sequence

from chaos import books
from chaos.platform import LOOPBACK, Crowd
from chaos.reader import Reader
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase

_SHOWN = 3


class Comparison:
    """Made when everything is settled and read."""

    def __init__(self, records: Sequence[DeliveryRecord], reader: Reader, crowd: Crowd) -> None:
        self._records = records
        self._reader = reader
        self._account_of = crowd.account_of
        self._acked = sum(record.phase is Phase.ACKED for record in records)

    def check(self, *, least_acked: float) -> None:
        """Assert that nothing acked is lost, nothing comes twice, and order is kept."""
        records, received = self._records, self._reader.received()
        assert self._acked > len(records) * least_acked, (
            f"only {self._acked} of {len(records)} were acked, so little was tried"
        )
        lost = books.missing(records, received, account_of=self._account_of)
        assert not lost, f"{len(lost)} acked events were never delivered: {lost[:_SHOWN]}"
        holes = books.skipped(received, account=LOOPBACK)
        assert not holes, holes[:_SHOWN]
        twice = books.doubled(received)
        assert not twice, f"{len(twice)} events have more than one number: {twice[:_SHOWN]}"
        reused = self._reader.reused()
        assert not reused, f"{len(reused)} numbers were given twice: {reused[:_SHOWN]}"
        late = books.out_of_order(received)
        assert not late, f"{len(late)} events came before their predecessors: {late[:_SHOWN]}"
        wrong = books.misnumbered(records, received, account_of=self._account_of)
        assert not wrong, f"{len(wrong)} events are numbered in another order: {wrong[:_SHOWN]}"

    @property
    def summary(self) -> str:
        """Say how much there was."""
        again = sum(len(record.sent_at) > 1 for record in self._records)
        return (
            f"{len(self._records)} events, {again} pushed again, {self._acked} acked; "
            f"{self._reader.deliveries()} deliveries of {self._reader.count()} numbers"
        )
