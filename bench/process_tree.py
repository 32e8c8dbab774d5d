"""What a process and all below it cost, and the whole machine: processor time and memory, from /proc. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


def cpu_seconds(root: int) -> float:
    """Return the processor seconds (user and system) so far of a process and all below it.

    With all their threads, and with processes that have ended: those are counted where their parent has waited for
    them, and stand in /proc until then. The kernel gives hundredths of a second.
    """
    return sum(sum(map(int, fields[11:15])) for _, fields in _tree(root)) * _TICK


def anonymous_kb(root: int) -> float:
    """Return how many kB of memory of their own a process and all below it have.

    That is the anonymous part of the proportional set size: what several processes share counts once.
    """
    total = 0
    for pid, _ in _tree(root):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                total += int(line.split()[1])
    return total


def machine_seconds() -> float:
    """Return the seconds so far for which processors were busy, whoever kept them so: also another virtual machine."""
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts_and_stolen)) * _TICK


def _tree(root: int) -> Iterator[tuple[int, list[str]]]:
    """Return the pid and the fields of `stat` from the third on, of a process and all below it."""
    stats: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):  # and no deeper, which fails where one ends meanwhile
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        pid = int(path.name)
        stats[pid] = fields
        children.setdefault(int(fields[1]), []).append(pid)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            yield pid, stats[pid]
            waiting += children.get(pid, [])
