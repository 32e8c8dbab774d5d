"""Accounts in the journal's file: those of an older version, and what may go once one is over."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tessenger.chat import entries
from tessenger.chat.ledger import Ledger
from tessenger.chat.present import Account
from tessenger.config import JournalSection
from tessenger.journal.reader import SqliteReader
from tessenger.journal.retention import Planner
from tessenger.journal.store import SqliteJournal
from tests.support.journal_file import as_of_version_4
from tests.support.log_history import GRACE_MS, USERS, History

DAY = 86_400_000


def test_a_journal_of_version_4_has_the_accounts_of_its_names(tmp_path: Path) -> None:
    """Whoever is in the credentials then keeps everything, also who never signed in; whoever is not is over."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, "process")
    history = History()
    for user in ("aaa", "Bbb"):
        journal.commit(history.online(user))
    journal.commit(history.create("Bbb", "club", "aaa"))
    journal.commit(history.create("aaa", "ddd"))  # as could be, in version 4, before there was a user of that name
    journal.commit(history.online("ddd"))
    for user in ("Bbb", "ccc", "ddd"):
        journal.commit(history.message("aaa", user, f"for {user}"))
    journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        as_of_version_4(db)

    journal = SqliteJournal(path, "process")
    ledger = Ledger(journal.load(), GRACE_MS)
    assert not ledger.present.accounts_begun
    ordered = ledger.set_accounts({"AAA": "", "ccc": "tag", "ddd": "", "club": "", "eve": ""}, history.now)
    assert [type(entry) for entry in ordered] == [entries.Offline, entries.AccountRemoved, entries.AccountsBegun]
    journal.commit(ordered)
    assert ledger.set_accounts({"AAA": "", "ccc": "tag", "ddd": "", "eve": ""}, history.now) == []
    snapshot = journal.load()
    assert {account.user: account for account in snapshot.accounts} == {
        "AAA": Account("AAA", 0), "ccc": Account("ccc", 0, "tag"), "ddd": Account("ddd", 0), "eve": Account("eve", 0)
    }  # fmt: skip
    assert snapshot.accounts_begun
    assert {group.name: list(group.members) for group in snapshot.groups} == {"club": ["aaa"], "ddd": ["aaa"]}
    with closing(SqliteReader(path)) as reader:
        for user in ("ccc", "ddd"):
            (waiting,) = reader.entries(reader.unread(user, None, 2**53), 1_000)
            assert isinstance(waiting, entries.Message)
            assert waiting.text == f"for {user}"
    journal.close()


def test_nothing_is_kept_for_an_account_that_is_over(tmp_path: Path) -> None:
    """What waits for it goes when it is old, as anything else does; what waits for the next of that name stays."""
    journal = SqliteJournal(tmp_path / "journal.db", "process")
    history = History()
    journal.commit(history.accounts(dict.fromkeys(USERS, "")))
    journal.commit(history.online("aaa"))
    for text in ("old", "kept"):
        for user in ("Bbb", "ccc", "ddd"):
            journal.commit(history.message("aaa", user, f"{text} for {user}"))
        journal.commit(history.accounts({"aaa": "", "Bbb": "new", "ddd": ""}))
    history.now += 60 * DAY
    journal.commit(history.seen("aaa"))
    journal.commit(history.message("aaa", "ddd", "young"))
    journal.note_logged(history.ledger.seq, {})
    journal.keep_logged()
    planner = Planner(
        tmp_path / "journal.db", tmp_path, JournalSection(retention_days=30), offline_delivery=True, keep_ms=0
    )
    journal.prune(planner.plan(history.now, history.now).entries)
    left = [e.text for e in journal.entries_after(0, 100) if isinstance(e, entries.Message)]
    assert left == ["old for ddd", "kept for Bbb", "kept for ddd", "young"]
    journal.close()
