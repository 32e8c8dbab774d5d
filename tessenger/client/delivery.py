"""What comes over the wire, on its way to whoever waits for it. Runs in the client.

Events that come before anyone shows them are kept until then. A `Relay` sees everything first, as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tessenger.wire.messages import (
    Accepted,
    AnyAnswer,
    Cancelled,
    GroupLeft,
    GroupMessage,
    Invitation,
    Message,
    Offer,
    Rejected,
    Unread,
)

Event = Message | GroupMessage | Offer | Accepted | Rejected | Cancelled | Unread | Invitation | GroupLeft
Relay = Callable[[AnyAnswer, Callable[[], None]], None]
"""Gets what came, and what hands it on."""


class Delivery:
    """Hands answers to who asked, and events to whoever shows them."""

    def __init__(self, relay: Relay | None) -> None:
        self._relay: Relay = relay or _hand_on
        self._on_event: Callable[[Event], None] | None = None
        self._early: list[Event] = []

    def begin(self, on_event: Callable[[Event], None]) -> None:
        """Hand events on from here on, first those that came before."""
        self._on_event = on_event
        early, self._early = self._early, []
        for event in early:
            self.event(event)

    def event(self, event: Event) -> None:
        """Hand an event on, or keep it."""
        if self._on_event is None:
            self._early.append(event)
        else:
            self._relay(event, partial(self._on_event, event))

    def answer(self, answer: AnyAnswer, on_answer: Callable[[AnyAnswer], None]) -> None:
        """Hand an answer on."""
        self._relay(answer, partial(on_answer, answer))


def _hand_on(answer: AnyAnswer, hand_on: Callable[[], None]) -> None:
    hand_on()
