"""What the hub does when something goes wrong that nobody expected."""

from __future__ import annotations

from typing import Any, cast

from tessenger.chat.hub import Hub, Refusal, Rule, Rules
from tessenger.chat.link import Link
from tessenger.chat.ports import Log, Office, Worker
from tessenger.chat.present import Present, Snapshot
from tessenger.wire.messages import ActiveUser
from tests.unit.chat.test_link import Written


class Failing(Written):
    """A connection that keeps the exceptions that it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str] = []

    def fail(self) -> None:
        """Keep the one that is being handled."""
        try:
            raise  # noqa: PLE0704 it is called where one is
        except ValueError as problem:
            self.failures.append(str(problem))


def test_a_request_that_fails_ends_its_own_connection_only() -> None:
    """What others sent in the same turn is carried out, and of the connection nothing more."""
    carried_out: list[tuple[str, int]] = []

    def handler(hub: Hub, link: Link, request: Any) -> Refusal | None:
        carried_out.append((link.ip, request.id))
        if request.id == 1:
            raise ValueError("bad luck")
        return None

    present = Present(Snapshot(0, 0, [], [], {}, {}, {}))
    hub = Hub(
        Worker(1, 1), present, cast(Log, None), cast(Office, None), cast(Any, None), Rules(1, 1, 1, 1),
        lambda: "", lambda: 0, {ActiveUser: Rule("activeuser", handler, for_anybody=True)},
    )  # fmt: skip
    bad, good = Failing(), Failing()
    one, other = Link("one", bad), Link("other", good)
    hub.received([one, other, one], [ActiveUser(1), ActiveUser(2), ActiveUser(3)])
    assert carried_out == [("one", 1), ("other", 2)]
    assert bad.failures == ["bad luck"]
    assert good.failures == []
