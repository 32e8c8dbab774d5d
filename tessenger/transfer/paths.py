"""Where files land: the only place in which a peer's name reaches the disk.

Not pure: it reads and writes files, in the client's UDP process. A file that arrives is `NAME.ID.part` first, with the
bitmap of the blocks that it has beside it (`NAME.ID.part.bitmap`, block n being bit n % 8 of byte n // 8), and gets its
name only once it was verified. What a broken transfer has left is taken up by the next one of the same id. Nothing else
that exists is ever replaced, and no symbolic link followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from tessenger.errors import TransferError
from tessenger.transfer.blocks import BLOCK, block_count
from tessenger.transfer.file_names import MAX_NAME_BYTES, clean_path, numbered, shortened

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_ATTEMPTS = 10_000
_PARTS = 10
"""Transfers of the same file from the same person that may run at once."""
_AHEAD_BYTES = 512
"""Of the bitmap: how far behind the first missing block there may be others."""
_PART = re.compile(r".*\.[0-9a-f]{16}(-\d)?\.part", re.DOTALL)


class ArrivingFile:
    """A file that is received into `directory`, which is made where it is missing.

    `name` is what the peer called it, with folders in front where it comes with others in one; `part_id` is from
    `file_id`. Goes on with what an earlier transfer of that id has left. Raises `TransferError` where it cannot be.
    """

    def __init__(self, directory: str, name: str, part_id: str, size: int) -> None:
        *folders, self.name = clean_path(name)
        self._directory = Path(directory).absolute().joinpath(*folders)
        self._size = size
        self._bitmap_bytes = -(-block_count(size) // 8)
        self._bitmap = bytearray()  # of its length only once there is room for the file
        self._unwritten = -1
        self._folder = _open_folder(Path(directory).absolute(), folders)
        self._fd = self._map = -1
        self._part = ""
        try:
            self._open_part(part_id)
        except OSError as error:
            if any(self._bitmap):
                self._close()
            else:
                self.discard()
            raise TransferError(f"cannot write to {self._directory}: {os.strerror(error.errno or 0)}") from error
        except TransferError:
            self._close()
            raise

    def _open_part(self, part_id: str) -> None:
        """Take the first part that no other transfer has, an earlier one's or a new one."""
        for number in range(_PARTS):
            self._part = part_name(self.name, part_id, number)
            try:
                if not self._take_up():
                    check_room(self._folder, self._size)
                    self._bitmap = bytearray(self._bitmap_bytes)
                    self._fd = self._create(self._part)
                    fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._map = self._create(self._part + ".bitmap")
            except (BlockingIOError, FileExistsError):
                self._close_files()
                continue
            return
        raise TransferError(f"{self.name} is being received too often at once")

    def _take_up(self) -> bool:
        """Open what an earlier transfer has left, if both files are plain ones of ours; False where there is none.

        Raises `BlockingIOError` where another transfer is at it, `FileExistsError` where it is something else.
        """
        try:
            self._fd = self._reopen(self._part)
            self._map = self._reopen(self._part + ".bitmap")
        except FileNotFoundError:
            if self._fd >= 0:
                raise FileExistsError from None
            return False
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = os.fstat(self._fd)
        check_room(self._folder, self._size - min(self._size, there.st_blocks * 512))
        self._bitmap = bytearray(self._bitmap_bytes)
        told = os.pread(self._map, self._bitmap_bytes, 0)
        self._bitmap[: len(told)] = told
        self._believe_no_more_than(there.st_size)
        return True

    def _believe_no_more_than(self, there: int) -> None:
        """Forget blocks that the bitmap claims and the part of `there` bytes has no room for; cut what is behind."""
        if there >= self._size:
            os.ftruncate(self._fd, self._size)
            return
        byte, bit = divmod(there // BLOCK, 8)
        self._bitmap[byte] &= (1 << bit) - 1
        self._bitmap[byte + 1 :] = bytes(self._bitmap_bytes - byte - 1)

    def _reopen(self, name: str) -> int:
        try:
            fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise FileExistsError from error  # a symbolic link, a folder, someone else's
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.geteuid():
            os.close(fd)
            raise FileExistsError
        return fd

    def _create(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o666, dir_fd=self._folder)

    def blocks_there(self) -> tuple[int, int]:
        """Return how many blocks from the first on are there, and which of those behind, bit n for the nth."""
        rest = self._bitmap.lstrip(b"\xff")
        ones = (~rest[0] & (rest[0] + 1)).bit_length() - 1 if rest else 0
        blocks = block_count(self._size)
        prefix = min(blocks, 8 * (len(self._bitmap) - len(rest)) + ones)
        behind = int.from_bytes(rest[:_AHEAD_BYTES], "little") >> ones
        return prefix, behind & ((1 << min(blocks - prefix, 8 * _AHEAD_BYTES)) - 1)

    def write_block(self, index: int, data: memoryview) -> None:
        """Write block `index`, and note in the bitmap that it is there; a kill may take the note of the last eight."""
        try:
            _write(self._fd, data, index * BLOCK)
            byte = index // 8
            if byte != self._unwritten:
                self._write_bitmap()
                self._unwritten = byte
            self._bitmap[byte] |= 1 << index % 8
        except OSError as error:
            raise TransferError(self._why_not_written(error)) from error

    def _write_bitmap(self) -> None:
        """Write the byte of the bitmap that has changed last: eight blocks cost one call where they come in order."""
        byte, self._unwritten = self._unwritten, -1
        if byte >= 0:
            _write(self._map, memoryview(self._bitmap)[byte : byte + 1], byte)

    def _why_not_written(self, error: OSError) -> str:
        if error.errno in _NO_ROOM:
            return f"no room on the disk for {self.name}"
        return f"{self.name} cannot be written: {os.strerror(error.errno or 0)}"

    def read_block(self, index: int, into: memoryview) -> None:
        """Fill `into` with block `index` as it was written."""
        try:
            count = os.preadv(self._fd, [into], index * BLOCK)
        except OSError as error:
            raise TransferError(self._why_not_written(error)) from error
        if count != len(into):
            raise TransferError(f"{self.name} became shorter while it was received")

    def start_over(self) -> None:
        """Forget every block."""
        self._bitmap = bytearray(len(self._bitmap))
        self._unwritten = -1
        try:
            os.ftruncate(self._fd, 0)
            os.ftruncate(self._map, 0)
        except OSError as error:
            raise TransferError(self._why_not_written(error)) from error

    def finish(self) -> str:
        """Give the file its name, or the first free one like it; return its path."""
        try:
            landed = self._name_it()
            os.unlink(self._part + ".bitmap", dir_fd=self._folder)
        except OSError as error:
            raise TransferError(self._why_not_written(error)) from error
        self._close()
        return str(self._directory / landed)

    def _name_it(self) -> str:
        for number in range(_ATTEMPTS):
            name = numbered(self.name, number)
            try:
                self._rename_without_replacing(name)
            except FileExistsError:
                continue
            return name
        raise TransferError(f"there are too many files called {self.name}")

    def _rename_without_replacing(self, name: str) -> None:
        folder = self._folder
        try:
            os.link(self._part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without hard links: reserve the name, then replace nothing but that reservation.
            os.close(self._create(name))
            os.rename(self._part, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            os.unlink(self._part, dir_fd=folder)

    def discard(self) -> None:
        """Remove what is there. Never raises: it is called when something has failed already."""
        for fd, name in ((self._fd, self._part), (self._map, self._part + ".bitmap")):
            if fd >= 0:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)
        self._close()

    def keep(self) -> None:
        """Leave what is there for a later transfer of the same file. Never raises."""
        with suppress(OSError):
            self._write_bitmap()
        self._close()

    def _close(self) -> None:
        self._close_files()
        if self._folder >= 0:
            os.close(self._folder)
        self._folder = -1

    def _close_files(self) -> None:
        for fd in (self._fd, self._map):
            if fd >= 0:
                os.close(fd)
        self._fd = self._map = -1


def part_name(name: str, part_id: str, number: int = 0) -> str:
    """Return what the part of a file is called; `number` tells those apart that are received at once."""
    ending = f".{part_id}{f'-{number}' if number else ''}.part"
    return shortened(name, MAX_NAME_BYTES - len(ending + ".bitmap")) + ending


def check_room(folder: int | Path, needed: int) -> None:
    """Raise `TransferError` unless the disk of a folder has `needed` bytes left."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise TransferError(f"not enough room on the disk: {needed:,} bytes needed, {free:,} free")


def make_folder(directory: str, name: str) -> str:
    """Make the folder that a peer calls `name` below `directory`, unless it is there; return its path."""
    folders = clean_path(name)
    os.close(_open_folder(Path(directory).absolute(), folders))
    return str(Path(directory).absolute().joinpath(*folders))


def _open_folder(directory: Path, folders: list[str]) -> int:
    """Open `directory`, then the folders one inside the other; make what is missing, and follow no link in there."""
    shown = directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        inner = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for folder in folders:
            outer, shown = inner, shown / folder
            try:
                with suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=outer)
                inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=outer)
            finally:
                os.close(outer)
    except (FileExistsError, NotADirectoryError) as error:
        raise TransferError(f"the download folder {shown} is no folder") from error
    except OSError as error:
        raise TransferError(f"cannot use the download folder {shown}: {os.strerror(error.errno or 0)}") from error
    return inner


def remove_old_parts(directory: str, before: float) -> None:
    """Remove what broken transfers have left in `directory` and below and was not touched since `before` (Unix time).

    Only pairs of a part and its bitmap are, which nothing but a transfer makes. Never raises.
    """
    for part in Path(directory).rglob("*.part"):
        bitmap = part.with_name(part.name + ".bitmap")
        with suppress(OSError):
            if _PART.fullmatch(part.name) and bitmap.is_file() and part.lstat().st_mtime < before:
                part.unlink()
                bitmap.unlink()


def _write(fd: int, data: memoryview, offset: int) -> None:
    """Write all of `data`: the system may write less where the disk gets full, and says why only the next time."""
    done = os.pwrite(fd, data, offset)
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)
