"""Who is told first of what was read, and what happens when somebody dies or hangs meanwhile."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from tessenger.config import Config
from tessenger.server import control
from tessenger.server.child import Child
from tessenger.server.reloading import WORKERS_SECONDS, Reloading


class Role(Child):
    """A child, and its own end of the control pipe."""

    def __init__(self, name: str) -> None:
        super().__init__(name, lambda: None)
        self.theirs: Connection
        self.pipe, self.theirs = multiprocessing.Pipe()

    def heard(self) -> list[control.ToRole]:
        """Return what it has been told."""
        told = []
        while self.theirs.poll():
            told.append(self.theirs.recv())
        return told


@pytest.fixture
def roles() -> Iterator[dict[str, Role]]:
    """A whole server."""
    them = {name: Role(name) for name in ("logger", "manager", "one", "two")}
    yield them
    for role in them.values():
        role.theirs.close()
        if role.pipe is not None:
            role.pipe.close()


def begun(roles: dict[str, Role]) -> tuple[Reloading, control.Reload]:
    """Begin the first one, at second 0."""
    reloading = Reloading(control.Accounts(0, {}), roles["logger"])
    message = control.Reload(Config(), control.Accounts(1, {"eve": ""}), [])
    reloading.begin(message, [roles["one"], roles["two"]], [roles["manager"]], 0.0)
    return reloading, message


def test_the_logger_is_told_when_every_worker_has_reloaded(roles: dict[str, Role]) -> None:
    """Once, and that ends it when the logger answers; until then the next one has to wait."""
    reloading, message = begun(roles)
    assert [roles[name].heard() for name in ("one", "two", "manager", "logger")] == [[message]] * 3 + [[]]
    reloading.worker_has(roles["one"])
    reloading.go_on(1.0)
    assert (roles["logger"].heard(), reloading.accounts.number) == ([], 0)
    reloading.worker_has(roles["two"])
    reloading.go_on(1.0)
    reloading.go_on(1.0)
    assert roles["logger"].heard() == [message]
    assert reloading.accounts == message.accounts
    assert reloading.is_under_way
    assert not reloading.logger_has(0)
    assert reloading.logger_has(1)
    assert not reloading.is_under_way


def test_a_worker_that_is_stopped_is_not_waited_for_for_ever(roles: dict[str, Role]) -> None:
    """Nor is one that is being replaced, which begins with what was read."""
    roles["two"].pipe = None
    reloading, message = begun(roles)
    reloading.go_on(WORKERS_SECONDS - 0.1)
    assert roles["logger"].heard() == []
    reloading.go_on(WORKERS_SECONDS)
    assert roles["logger"].heard() == [message]


def test_a_logger_that_dies_is_replaced_by_one_that_begins_with_it(roles: dict[str, Role]) -> None:
    """It says by itself which accounts it has."""
    roles["logger"].pipe = None
    reloading, message = begun(roles)
    for name in ("one", "two"):
        reloading.worker_has(roles[name])
    reloading.go_on(0.0)
    assert reloading.accounts == message.accounts
    assert reloading.logger_has(1)
