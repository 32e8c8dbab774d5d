"""A process that commits to a journal and writes the text logs until it is killed: `python -m … DATA_DIR`.

Prints the number of the last committed entry after each commit, before it writes the logs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tessenger.chat.entries import AnyEntry
from tessenger.journal.checkpointer import Checkpointer
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs
from tests.support.log_history import History

BATCH = 7
"""Entries in each batch but the first, which has 3."""


def main(data_dir: Path) -> None:
    """Commit without end."""
    path = data_dir / "journal.db"
    journal = SqliteJournal(path, "process", wal_bytes=2**20)
    journal.begin_epoch(0, 0)
    logs = TextLogs(data_dir, journal)
    logs.recover()
    checkpointer = Checkpointer(path, 2**18, interval=0.01)
    journal.wal.may_restart = checkpointer.may_restart
    checkpointer.start()
    history = History(journal.load())
    batch = history.online("aaa") + history.online("Bbb") + history.create("aaa", f"g{history.ledger.seq}", "Bbb")
    while True:
        journal.commit(batch)
        print(batch[-1].seq, flush=True)
        logs.write(batch)
        batch = list[AnyEntry]()
        for _ in range(BATCH):
            batch += history.message("aaa", "Bbb", "x" * (history.ledger.seq * 37 % 500))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
