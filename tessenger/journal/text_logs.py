"""The activity logs: userlog.txt, messagelog.txt and one GROUP_messagelog.txt for each group. Written by the logger.

Each entry stands in its log exactly once, whenever the logger dies. A line begins with its entry's number, and lines
are in order, so the last whole line of a file says what it has. The journal keeps, with a later commit, up to which
entry all logs are written, and their sizes then: the known place. At start the entries behind that are read from the
journal, a torn last line is cut off, and what a file lacks is appended. A file that is shorter than it was lost its end
in a power cut, and is completed from its last line on; one that is gone or empty begins anew. A log that cannot be
written (no room) is completed in the same way, later.

A last line is only believed if it makes sense: if it begins with a number that an entry of this journal behind the
known place can have. Otherwise those before it are looked at, up to the known place. What a log has of a past that the
journal has lost, because a backup was put back, stays there; the known place is behind it then.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tessenger.chat.entries import REDACTED, AnyEntry, Redacted, last_seq
from tessenger.chat.lines import MESSAGE_LOG, USER_LOG, text_log_line, text_log_lines
from tessenger.errors import JournalBusy, JournalError
from tessenger.journal import redaction, rotation
from tessenger.journal.numbered_lines import backward, whole_end

MAX_OPEN = 64
"""Files that stay open between two batches."""

_PAGE = 500
"""Entries read from the journal at a time when logs are behind."""

_PAGES = 4
"""Pages that one call of `write` catches up at most, so that it does not hold up the next commit for long."""


class LogJournal(Protocol):
    """What the text logs need of the journal."""

    @property
    def last_seq(self) -> int:
        """The number of the last entry."""
        ...

    def entries_after(self, seq: int, limit: int) -> list[AnyEntry]:
        """Return at most `limit` entries behind `seq`."""
        ...

    def logged(self) -> tuple[int, dict[str, int]]:
        """Return up to which entry all logs are known to be written, and the size of each then."""
        ...

    def note_logged(self, seq: int, sizes: Mapping[str, int]) -> None:
        """Keep both with a later commit."""
        ...

    def keep_logged(self) -> None:
        """Keep at once what was noted. Raises `JournalBusy`."""
        ...


class _File:
    """An open log. `size`: its whole lines; bytes behind it, `torn`, are of a write that failed."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self.torn = False
        self.size = os.fstat(self._fd).st_size
        self.grown = self.size

    def append(self, data: bytes) -> None:
        """Write `data` behind `size`, which moves on with `keep` only."""
        if self.torn:
            os.ftruncate(self._fd, self.size)
        self.torn = True
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.grown = self.size + len(data)

    def keep(self) -> None:
        """Let what was appended stay: the whole batch is written."""
        self.size, self.torn = self.grown, False

    def cut_torn(self) -> None:
        """Cut a torn last line off."""
        end = whole_end(self._fd, self.size)
        if end < self.size:
            self.size = end
            os.ftruncate(self._fd, end)

    def last_seq(self, known: int, logged: int, newest: int) -> int:
        """Return up to which entry the file has the lines, where it had everything up to `logged` in `known` bytes.

        No entry has a number above `newest`. Of a file that has lost its end, only its lines tell.
        """
        has_lost = self.size < known
        for begin, number in backward(self._fd, self.size):
            if begin < known and not has_lost:
                break
            if number is not None and number <= newest and (has_lost or number > logged):
                return number
        return 0 if has_lost else logged

    def is_of_lost_past(self, known: int, newest: int) -> bool:
        """Tell whether the last line behind `known` bytes, or of a shorter file, has a higher number than any entry."""
        self.cut_torn()
        for begin, number in backward(self._fd, self.size):
            if begin < known <= self.size:
                break
            if number is not None:
                return number > newest
        return False

    def close(self) -> None:
        """Close it, without what a failed write left."""
        if self.torn:
            with suppress(OSError):  # a torn line that stays is cut off when the file is opened again
                os.ftruncate(self._fd, self.size)
        os.close(self._fd)


class _Gathered:
    """Lines to be written. `pieces`: those of each file, encoded; `seq`: the number of the last entry, 0 for none."""

    def __init__(self) -> None:
        self.pieces: dict[str, list[bytes]] = {}
        self.redacted: list[int] = []
        self.seq = 0

    def add(self, batch: Sequence[AnyEntry], lines: Mapping[str, list[str]]) -> None:
        """Add a batch, which makes these lines."""
        for name, those in lines.items():
            self.pieces.setdefault(name, []).append("".join(those).encode())
        self.redacted += [entry.target_seq for entry in batch if type(entry) is Redacted]
        self.seq = last_seq(batch) or self.seq


class TextLogs:
    """All activity logs of one data directory; used by the thread that commits."""

    def __init__(self, data_dir: Path, journal: LogJournal, rotate_at: int = 0, keep_files: int = 0) -> None:
        """Make ready; `recover` comes first. `rotate_at`: bytes of a file, 0 for any; `keep_files`: see `rotation`.

        `failure` says why logs are behind at the moment, "" if they are not.

        `writing` may be set to hear when a batch is about to be written to a log.
        """
        self.failure = ""
        self.writing: Callable[[], None] = lambda: None
        self._dir = data_dir
        self._rotate_at = rotate_at
        self._keep_files = keep_files
        self._large: set[str] = set()
        self._journal = journal
        self._files: dict[str, _File] = {}  # in order of use
        self._seq = 0
        self._known: dict[str, int] = {}
        self._logged = self._newest = 0
        self._gathered = _Gathered()
        self._behind = True
        self._in_file: dict[str, int] = {}
        """While behind: the number of the last line that each file had when it was first needed."""
        self._reopening = False

    def recover(self) -> None:
        """Complete the logs from the journal: what was committed before the last end stands in them exactly once.

        Raises `JournalError` where a log of that name cannot be opened. A full disk is no reason: see `failure`.
        """
        self._seq, self._known = self._journal.logged()
        self._logged, self._newest = self._seq, self._journal.last_seq
        self._behind = True
        try:
            of_lost_past = self._of_lost_past()
            for name in [name for name, size in self._known.items() if 0 < self._size(name) < size]:
                self._seq = min(self._seq, self._has(name) or self._seq)
            for name in (USER_LOG, MESSAGE_LOG):
                self._open(name)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._fail(error)
                return
            raise JournalError(f"An activity log cannot be opened: {error}") from error
        while self._behind and not self.failure:
            self._catch_up(_PAGES)
        if of_lost_past:
            self._journal.note_logged(self._seq, {name: self._size(name) for name in of_lost_past})
            with suppress(JournalBusy):  # as long as there is no room, no number is given anew either
                self._journal.keep_logged()

    def _of_lost_past(self) -> list[str]:
        """Return which logs have lines of a past that the journal has lost: their numbers will be given anew.

        What such a log lacks of what the journal has is found out now.
        """
        names = [path.name for path in self._dir.glob("*log.txt")]
        found = [name for name in names if self._open(name).is_of_lost_past(self._known.get(name, 0), self._newest)]
        for name in names:
            if name in found:
                self._has(name)
            else:
                self._close(name)
        return found

    def gather(self, batch: Sequence[AnyEntry]) -> None:
        """Take a batch that the journal has: the next call of `write` appends its lines.

        They are made here, while the entries are in the processor's caches.
        """
        if not self._behind:  # else `write` finds them in the journal
            self._gathered.add(batch, text_log_lines(batch))

    def write(self, batch: Sequence[AnyEntry] = ()) -> None:
        """Append what was gathered, and a batch that the journal has. What cannot be written now is written later."""
        if batch:
            self.gather(batch)
        gathered, self._gathered = self._gathered, _Gathered()
        if self._reopening:
            self.reopen()
        if self._behind:
            self._catch_up(_PAGES)
        else:
            self._behind = not self._append(gathered)
        while self._large:
            self.rotate(self._large.pop())

    def reopen(self) -> None:
        """Go on in the files that have the logs' names now: the old ones were moved away.

        That the old files have everything so far is on the disk before a new one is written. Where the journal has no
        room for that, the old files go on until it has.
        """
        names = set(self._journal.logged()[1]) | set(self._files)
        self._journal.note_logged(self._seq, {name: self._size(name) for name in names})
        try:
            self._journal.keep_logged()
        except JournalBusy:
            self._reopening = True
            return
        self._reopening = False
        self.close()

    def rotate(self, name: str) -> None:
        """Let a log begin anew; what it has so far becomes NAME.1.

        That nothing before it is to be written is on the disk first. Where there is no room for that, it waits.
        """
        if self._behind or not self._size(name):
            return
        self._journal.note_logged(self._seq, {name: 0})
        try:
            self._journal.keep_logged()
        except JournalBusy:
            return
        if name in self._files:
            self._close(name)
        try:
            rotation.shift(self._dir, name, self._keep_files)
        except OSError as error:  # it goes on growing; the next batch tries again
            self.failure = f"An activity log cannot be rotated: {error}"

    def close(self) -> None:
        """Close all files; they open again when they are written."""
        for name in list(self._files):
            self._close(name)

    # ---- inside ----

    def _catch_up(self, pages: int) -> None:
        """Append what the journal has and the logs lack, `pages` pages of it at most."""
        for _ in range(pages):
            page = self._journal.entries_after(self._seq, _PAGE)
            missing = _Gathered()
            missing.add(page, self._missing(page))
            if page and not self._append(missing):
                return
            if len(page) < _PAGE:
                self._behind = False
                self._in_file.clear()
                return

    def _append(self, gathered: _Gathered) -> bool:
        """Append lines with one write a file; False leaves all files as they were."""
        appended: dict[str, _File] = {}
        try:
            for name, pieces in gathered.pieces.items():
                self.writing()
                appended[name] = self._open(name)
                appended[name].append(b"".join(pieces))
            for seq in gathered.redacted:
                self._redact(seq)  # also one that was read again after a crash: it is the same twice
        except OSError as error:
            self._fail(error)
            return False
        for name, file in appended.items():
            file.keep()
            if self._rotate_at and file.size >= self._rotate_at:
                self._large.add(name)
        self.failure = ""
        self._seq = gathered.seq or self._seq
        self._journal.note_logged(self._seq, {name: file.size for name, file in appended.items()})
        if len(self._files) > MAX_OPEN:
            for name in list(self._files)[:-MAX_OPEN]:
                self._close(name)
        return True

    def _redact(self, seq: int) -> None:
        """Blank a message's text in its log; one that was moved away is out of reach."""
        for entry in self._journal.entries_after(seq - 1, 1):
            written = text_log_line(entry)
            if entry.seq == seq and written is not None:
                fields = written[1].removesuffix(f"{REDACTED}\n").count("; ")
                any(redaction.blank(path, seq, fields) for path in rotation.of_log(self._dir, written[0]))

    def _fail(self, error: OSError) -> None:
        self.failure = f"The activity logs cannot be written at the moment: {error.strerror or error}"

    def _missing(self, batch: Sequence[AnyEntry]) -> dict[str, list[str]]:
        """Return the lines of `batch` by file, without those that a file has."""
        lines: dict[str, list[str]] = {}
        for entry in batch:
            written = text_log_line(entry)
            if written is None:
                continue
            name, line = written
            if entry.seq > self._has(name):
                lines.setdefault(name, []).append(line)
        return lines

    def _has(self, name: str) -> int:
        """Return the number of the last line that a file has, as of when this was first asked."""
        if name not in self._in_file:
            file = self._open(name)
            file.cut_torn()
            self._in_file[name] = file.last_seq(self._known.get(name, 0), self._logged, self._newest)
        return self._in_file[name]

    def _open(self, name: str) -> _File:
        file = self._files.pop(name, None) or _File(self._dir / name)
        self._files[name] = file
        return file

    def _close(self, name: str) -> None:
        self._in_file.pop(name, None)
        self._files.pop(name).close()

    def _size(self, name: str) -> int:
        """Return the size of the file that has this name now; 0 where there is none."""
        try:
            return (self._dir / name).stat().st_size
        except FileNotFoundError:
            return 0
