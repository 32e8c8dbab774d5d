"""`tessenger-server redact`: blanks a message's text, in a process of its own, whether or not the server runs."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tessenger.chat.entries import GroupMessage, Message
from tessenger.chat.ledger import Ledger
from tessenger.command_line import Parser
from tessenger.config import Config, load
from tessenger.errors import CannotStart, TessengerError, UsageError
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs
from tessenger.server import admin
from tessenger.server.roles import RoleContext, unix_ms
from tessenger.standard_streams import say

_DESCRIPTION: Final = """\
Blank the text of a message for good, in the journal and in its activity log, where [redacted] stands from then on.
SEQ is the number that its line in the activity log begins with. What people have seen already stays on their screens,
and copies that were made of the files stay as they are. The server may be running."""


def main(argv: Sequence[str]) -> int:
    """Carry out the command after `redact` and return the exit status. Raises `TessengerError`."""
    options = _parser().parse_args(argv)
    if not 1 <= options.seq <= 2**53:
        raise UsageError(f"{options.seq} is not the number of a message")
    overrides = {"server": {"data_dir": options.data_dir}} if options.data_dir else {}
    config = load(options.config, os.environ, overrides)
    context = RoleContext(config, str(Path(config.server.data_dir) / "run"))
    if not context.journal.is_file():
        raise CannotStart(f"there is no journal in the data directory {context.data_dir}")
    with _locked(context.data_dir / "lock") as nobody_else:
        if nobody_else:
            say(_redact_here(context, config, options.seq))
            return 0
    say(admin.ask(Path(context.run_dir), admin.Redact(options.seq)))
    return 0


def text_of(journal: SqliteJournal, seq: int) -> Message | GroupMessage | None:
    """Return the message of that number; None where it is none, or is no longer there."""
    found = journal.entries_after(seq - 1, 1)
    entry = found[0] if found else None
    return entry if isinstance(entry, Message | GroupMessage) and entry.seq == seq else None


def no_message(seq: int) -> str:
    """What is said about a number that is none of a message."""
    return f"there is no message {seq}"


def done(seq: int) -> str:
    """What is said when it is done."""
    return f"message {seq} has been redacted"


def _redact_here(context: RoleContext, config: Config, seq: int) -> str:
    """Do what the logger would, as a server that runs for a moment: so its number is given to nothing else."""
    now = unix_ms()
    grace_ms = round(config.sessions.grace_seconds * 1000)
    os.umask(0o077)
    journal = SqliteJournal(context.journal, config.journal.durability, config.journal.wal_bytes)
    with contextlib.closing(journal):
        if text_of(journal, seq) is None:
            raise TessengerError(no_message(seq))
        journal.begin_epoch(now, grace_ms)
        logs = TextLogs(context.data_dir, journal)
        logs.recover()
        batch = Ledger(journal.load(), grace_ms).redact(seq, now)
        journal.commit(batch)
        logs.write(batch)
        logs.close()
        if logs.failure:
            raise TessengerError(logs.failure)
    return done(seq)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the data directory's lock, or yield False where a server has it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise CannotStart(f"cannot write in the data directory {path.parent}: {problem.strerror}") from problem
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _parser() -> Parser:
    parser = Parser(
        prog="tessenger-server redact",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("seq", metavar="SEQ", type=int, help="the message's number")
    parser.add_argument("--config", metavar="FILE", type=Path, help="read this config.toml")
    parser.add_argument("--data-dir", metavar="DIR", help="where the journal and the logs are kept")
    return parser
