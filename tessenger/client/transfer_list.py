"""The transfers of one session, each with its number for people; the last ended ones stay to be shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tessenger.client.transfer import State, Transfer
from tessenger.wire.messages import Folder, Offer

KEPT = 20
"""How many ended transfers /transfers still shows."""


class TransferList:
    """Transfers by id, in the order in which they began."""

    def __init__(self) -> None:
        self._all: dict[str, Transfer] = {}
        self._numbers = 0

    def __iter__(self) -> Iterator[Transfer]:
        return iter(self._all.values())

    def __contains__(self, transfer: str) -> bool:
        return transfer in self._all

    def get(self, transfer: str) -> Transfer | None:
        """Return a transfer; None where it is not known, or not any more."""
        return self._all.get(transfer)

    def numbered(self, number: int) -> Transfer | None:
        """Return the transfer that people know by this number."""
        return next((t for t in self if t.number == number), None)

    def new(
        self, transfer: str, peer: str, name: str, *, outgoing: bool, state: State, since: float, size: int = 0,
        offer: Offer | None = None, folder: Folder | None = None,
    ) -> Transfer:  # fmt: skip
        """Begin one, under the next number."""
        self._numbers += 1
        t = Transfer(transfer, self._numbers, peer, name, outgoing, state, since, size, offer=offer, folder=folder)
        self.put(t)
        return t

    def put(self, t: Transfer) -> None:
        """Take what a transfer has become."""
        self._all[t.id] = t
        ended = [each.id for each in self if each.ended] if t.ended else []
        for transfer in ended[: max(0, len(ended) - KEPT)]:
            del self._all[transfer]

    def end(self, t: Transfer, reason: str) -> None:
        """Note that a transfer has failed."""
        self.put(replace(t, state=State.FAILED, reason=reason))
