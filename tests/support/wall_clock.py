"""A wall clock that can be set, for the processes of one server (Linux with a C compiler)."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

COMPILER = shutil.which("cc") or shutil.which("gcc")


class WallClock:
    """Seconds that are added to the system's clock; the processes started with `variables` see them at once."""

    def __init__(self, folder: Path, ahead: int = 0) -> None:
        """Compile what the processes load; it, and the seconds, are kept in `folder`."""
        assert COMPILER is not None
        library, seconds = folder / "wall_clock.so", folder / "wall_clock"
        source = Path(__file__).with_suffix(".c")
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        seconds.write_bytes(struct.pack("=q", ahead))
        with seconds.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self.variables: Mapping[str, str] = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(seconds)}

    def set(self, ahead: int) -> None:
        """Be so many seconds ahead of the system's clock from now on."""
        self._map[:] = struct.pack("=q", ahead)
