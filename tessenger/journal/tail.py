"""What was committed last and is not in the tables yet: a small file beside the journal. For the logger.

A transaction costs SQLite a page of the write-ahead file and more, however short a message is. So a batch that is
small, and changes nothing but the log, is first kept here with one write, and comes into the tables together with
others (see store.py). Like the write-ahead file, this one survives the death of any process. The next process that
opens the journal puts into the tables what they lack, so nobody else has to know this file.

After a head, records follow each other: the payload's length and CRC-32, both 32 bits, little-endian, and the rows of a
batch as MessagePack. Once they are in the tables, the next record is written over the first. What is behind the last
record is older, which its numbers say: rows that are to be taken over go on without a gap behind the tables' last one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from tessenger.errors import JournalError
from tessenger.journal.chunks import Part, parts_of
from tessenger.journal.rows import SEQ, Row, unpack
from tessenger.undecodable import UNDECODABLE, reason

SIZE = 1_048_576
"""Bytes of the file."""

_MAGIC = b"TESSTAIL"
_HEAD = struct.Struct("<8sQ")
_RECORD = struct.Struct("<II")


class Tail:
    """The tail of one journal: `rows` are in it, and not in the tables. Belongs to one process at a time.

    `parts` are the same rows as they are packed.
    """

    def __init__(self, journal: Path, *, wanted: bool) -> None:
        """Do nothing yet. Where it is not `wanted`, what is there already is taken over, and nothing more kept."""
        self.rows: list[Row] = []
        self.parts: list[Part] = []
        self._path = Path(f"{journal}-tail")
        self._wanted = wanted
        self._has_room = False
        self._is_forgetting = False
        self._fd = -1
        self._end = _HEAD.size
        self._used = _HEAD.size

    def open(self, run: int, last: int) -> None:
        """Open the file; have the `rows` behind number `last` that a process left in this run of the server.

        Raises `JournalError` where that is not possible, or another process has it open.
        """
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if self._wanted else 0), 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = os.pread(self._fd, SIZE, 0)
        except FileNotFoundError:
            return
        except OSError as error:
            self.close()
            why = "it is in use by another process" if isinstance(error, BlockingIOError) else error.strerror
            raise JournalError(f"The journal's tail {self._path} cannot be opened: {why}.") from error
        self._used = len(data)
        try:
            self.rows, self._end = _following(data, run, last)
        except UNDECODABLE as error:  # its checksum is right, so it is not torn, and may hold what was acknowledged
            self.close()
            raise JournalError(
                f"The journal's tail {self._path} cannot be read ({reason(error)}). Move it away: then the last moment "
                "before the server's end is missing."
            ) from error
        if self.rows:
            self.parts = parts_of(self.rows)
            self._has_room = self._wanted and len(data) == SIZE
        else:
            self.begin(run)

    def begin(self, run: int) -> None:
        """Let it be of this run of the server, empty, and have all the room that it will need, if there is so much."""
        self.settled()
        if self._fd >= 0:
            try:
                _write(self._fd, _HEAD.pack(_MAGIC, run).ljust(SIZE, b"\0"), 0)
                self._used = _HEAD.size
                self._has_room = True
            except OSError:  # as documented
                self._has_room = False

    def append(self, batch: list[Row], part: Part) -> bool:
        """Keep a batch, which is `part` when it is packed: one record, which is there as a whole or not at all.

        Tell whether that was possible. If not, the tables have room, or say what is wrong.
        """
        if not self._has_room:
            return False
        payload = part.packed
        end = self._end + _RECORD.size + len(payload)
        if end > SIZE:
            return False
        try:
            _write(self._fd, _RECORD.pack(len(payload), crc32(payload)) + payload, self._end)
        except OSError:
            return False
        self.rows += batch
        self.parts.append(part)
        self._end = end
        self._used = max(self._used, end)
        return True

    def settled(self) -> None:
        """Begin anew: the tables have all rows."""
        self.rows, self.parts = [], []
        self._end = _HEAD.size
        if not self._wanted:
            self.remove()
        elif self._is_forgetting:
            self.forget()

    def forget(self) -> None:
        """Overwrite what the tables have, now or as soon as possible: some of it nobody may find here any more."""
        self._is_forgetting = self._used > self._end
        if self._is_forgetting:
            with suppress(OSError):
                _write(self._fd, bytes(self._used - self._end), self._end)
                self._used = self._end
                self._is_forgetting = False

    def remove(self) -> None:
        """Leave no file: the tables have all rows."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            self.close()

    def close(self) -> None:
        """Write no more; the file stays as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._has_room = False
            self._used = self._end


def _following(data: bytes, run: int, last: int) -> tuple[list[Row], int]:
    """Return the rows of a file that go on behind number `last`, and where the last record of them ends."""
    rows: list[Row] = []
    at = end = _HEAD.size
    if data[:at] != _HEAD.pack(_MAGIC, run):
        return rows, end  # of another run: the journal is a backup that was put in the place of that one's
    while at + _RECORD.size <= len(data):
        size, checksum = _RECORD.unpack_from(data, at)
        payload = data[at + _RECORD.size : at + _RECORD.size + size]
        at += _RECORD.size + size
        if not size or crc32(payload) != checksum:
            break
        for row in unpack(payload):
            if row[SEQ] > last + 1:
                return rows, end
            if row[SEQ] == last + 1:
                last += 1
                rows.append(row)
                end = at
    return rows, end


def _write(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data`. Raises `OSError`."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data, offset = data[written:], offset + written
