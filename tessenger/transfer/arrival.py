"""What a peer wants to put on the disk, before anything of it is there.

Not pure: it looks at the disk, in the client's UDP process. An offer alone opens and makes nothing: whoever is offered
a thousand files that never come has not a descriptor less. What an earlier try has left is opened with the first word
that is certainly the sender's, everything else with the first block.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tessenger.errors import TransferError
from tessenger.transfer.blocks import block_count
from tessenger.transfer.file_names import clean_path
from tessenger.transfer.paths import ArrivingFile, check_room, make_folder, part_name


class Arrival:
    """A file for `directory`, or a folder in there if its name ends with a slash and it has no bytes.

    The arguments are those of `ArrivingFile`. Raises `TransferError` where it is plain already that it cannot land.
    """

    def __init__(self, directory: str, name: str, part_id: str, size: int) -> None:
        self._arguments = directory, name, part_id, size
        self._is_folder = name.endswith("/") and not size
        *folders, last = clean_path(name)
        place = Path(directory).absolute()
        self._part = place.joinpath(*folders, part_name(last, part_id))
        block_count(size)
        _check_place(place, [*folders, last] if self._is_folder else folders, size - min(size, self._size_there()))
        self._file: ArrivingFile | None = None

    def _size_there(self) -> int:
        """Return how much room on the disk an earlier try has already."""
        try:
            there = self._part.lstat()
        except OSError:
            return 0
        return there.st_blocks * 512 if stat.S_ISREG(there.st_mode) else 0

    def _opened(self) -> ArrivingFile:
        if self._file is None:
            self._file = ArrivingFile(*self._arguments)
        return self._file

    def blocks_there(self) -> tuple[int, int]:
        """Open what an earlier try has left, if it has; return how many blocks from the first on, and those behind."""
        if self._file is None and self._size_there():
            there = self._opened().blocks_there()
            if there == (0, 0):  # another transfer is at it
                self.discard()
            return there
        return self._file.blocks_there() if self._file is not None else (0, 0)

    def write_block(self, index: int, data: memoryview) -> None:
        """Keep block `index`; with the first one the file comes to be."""
        if self._file is None and self._opened().blocks_there() != (0, 0):
            self._opened().start_over()  # somebody else has left that since this transfer began without it
        self._opened().write_block(index, data)

    def read_block(self, index: int, into: memoryview) -> None:
        """Fill `into` with block `index` as it was written."""
        self._opened().read_block(index, into)

    def start_over(self) -> None:
        """Forget every block."""
        if self._file is not None:
            self._file.start_over()

    def finish(self) -> str:
        """Give the file its name, or make the folder; return its path."""
        if self._is_folder:
            directory, name, _, _ = self._arguments
            return make_folder(directory, name)
        return self._opened().finish()

    def discard(self) -> None:
        """Remove what is there. Never raises."""
        if self._file is not None:
            self._file.discard()
        self._file = None

    def keep(self) -> None:
        """Leave what is there for a later try. Never raises."""
        if self._file is not None:
            self._file.keep()
        self._file = None


def _check_place(directory: Path, folders: list[str], needed: int) -> None:
    """Raise where something that is no folder is in the way, or the disk has no room."""
    place = directory
    for folder in (None, *folders):
        place = place / folder if folder is not None else place
        try:
            mode = place.lstat().st_mode if folder is not None else place.stat().st_mode
        except FileNotFoundError:
            break
        except OSError as error:
            raise TransferError(f"cannot use the download folder {place}: {os.strerror(error.errno or 0)}") from error
        if not stat.S_ISDIR(mode):
            raise TransferError(f"the download folder {place} is no folder")
    there = next((each for each in (directory, *directory.parents) if each.is_dir()), Path("/"))
    if not os.access(there, os.W_OK | os.X_OK):
        raise TransferError(f"cannot write to {there}: Permission denied")
    check_room(there, needed)
