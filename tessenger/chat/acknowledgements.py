"""Acknowledgements that wait for company: they leave with what their client is due next, or milliseconds later. Pure.

To write to a client costs more than all else that its acknowledgement takes. So where a worker has many clients to
acknowledge at once, those that talk on meanwhile get several acknowledgements with one write, and those that are
answered get theirs with the answer: what TCP does with its own (RFC 1122, 4.2.3.2). A client that does wait for an
acknowledgement before it goes on would be slowed down by that; its silence gives it away, and for a while it gets each
one at once.
"""

from __future__ import annotations

from tessenger.chat.link import Link

FEW = 8
"""Clients of one worker with acknowledgements to come, below which none waits: the server has little to do."""

HURRIED_MS = 2_000
"""How long a client gets each acknowledgement at once after it was silent while one waited."""


class Acknowledgements:
    """Those of one worker that wait, by connection."""

    def __init__(self) -> None:
        """None waits. `held`: those that do, in order; `Delivery` adds to them, without a call for each.

        `hurried_until`: until then (steady clock, ms) some client gets each one at once.
        """
        self.held: dict[Link, list[bytes]] = {}
        self.hurried_until = 0
        self._earlier: dict[Link, int] = {}  # what was held at the last tick already, and how many it had then

    def take(self, link: Link) -> list[bytes]:
        """Return what waits for a connection, in order: it leaves now."""
        self._earlier.pop(link, None)
        return self.held.pop(link, [])

    def tick(self, now: int) -> list[Link]:
        """Return the connections for which some have waited since the last tick; see who was silent meanwhile.

        `now` is the steady clock's time of what came last, in ms, as `Link.hurried_until` has it.
        """
        earlier, held = self._earlier, self.held
        self._earlier = {link: len(lines) for link, lines in held.items() if link not in earlier}
        for link, count in earlier.items():
            if len(held[link]) == count and not link.unanswered:
                link.hurried_until = self.hurried_until = now + HURRIED_MS
        return list(earlier)
