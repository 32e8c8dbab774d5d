"""A worker's way to the shared state, over the deaths of its keepers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tessenger.chat.ports import Worker
from tessenger.server import manager, office
from tessenger.server.office import SharedStateLink
from tests.support.server_process import DEADLINE


def test_a_keeper_that_died_is_left_when_there_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is reporting to one that is gone goes over to the next at once, however long they would have tried."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(office, "CLAIM_SECONDS", 3_600.0)
    asked = threading.Event()

    def refuse(epoch: int) -> None:
        asked.set()
        raise ConnectionRefusedError(epoch)

    monkeypatch.setattr(manager, "connect", refuse)
    link = SharedStateLink(Worker(1, 1), 1)
    link.expect(2)
    following = threading.Thread(target=link.follow, args=(2,), daemon=True)
    following.start()
    assert asked.wait(DEADLINE)
    link.expect(3)
    following.join(DEADLINE)
    assert not following.is_alive()
