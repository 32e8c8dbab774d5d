"""What of the configuration changes while the server runs."""

from __future__ import annotations

from msgspec.structs import replace

from tessenger.config import AuthSection, Config, JournalSection, ServerSection
from tessenger.server.supervisor import waiting_for_restart


def test_keys_that_need_a_restart_are_named() -> None:
    """Those of tables that a reload takes up are not."""
    old = Config()
    assert list(waiting_for_restart(old, old)) == []
    new = replace(
        old,
        server=ServerSection(port=1, workers=2),
        journal=JournalSection(retention_days=3),
        auth=AuthSection(max_attempts=9),
    )
    assert list(waiting_for_restart(old, new)) == ["server.port", "server.workers", "journal.retention_days"]
