"""A transfer of the client's UDP process, where this runs: its session, and what the client is told about it."""

from __future__ import annotations

from tessenger.client.receiver_messages import Progress, Resumed
from tessenger.client.source_file import AnySource
from tessenger.transfer.session import Session


class Transfer:
    """A session with what the client is told about it."""

    def __init__(self, transfer: str, session: Session, code: str, source: AnySource | None, now: float) -> None:
        self.transfer = transfer
        self.session = session
        self.code = code
        self.source = source
        self.started_at = now
        self.reported = False
        """Whether the client was told how it ended."""
        self.resumed_from = 0
        self.started_over = False
        self.rate = 0.0
        self.done = session.done
        self.progress_at = now

    def let_go(self) -> None:
        """Close the file that was sent."""
        if self.source is not None:
            self.source.close()

    def progress(self, now: float) -> Progress:
        """Return how far it is, with the rate smoothed over about two seconds."""
        session, elapsed = self.session, max(now - self.progress_at, 1e-3)
        # What was there from an earlier try has not come now, and what was forgotten has not gone back.
        before = min(max(self.done, session.resumed_from), session.done)
        recent = (session.done - before) / elapsed
        self.rate = recent if not self.rate else self.rate + (recent - self.rate) * min(1.0, elapsed / 2)
        self.done, self.progress_at = session.done, now
        return Progress(self.transfer, session.done, session.size, max(self.rate, 0.0), session.stalled(now))

    def news(self) -> list[Resumed]:
        """Return what has been learnt about an earlier try, once."""
        session, found = self.session, []
        if session.resumed_from and not self.resumed_from:
            found.append(Resumed(self.transfer, session.resumed_from))
        if session.started_over and not self.started_over:
            found.append(Resumed(self.transfer, 0))
        self.resumed_from, self.started_over = session.resumed_from, session.started_over
        return found
