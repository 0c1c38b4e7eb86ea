"""How much processor time this process's children have taken, for tests of what something costs: no clock, no load."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds_of_children() -> float:
    """Return the processor seconds of all that this process has started and that still runs, and of theirs."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # gone
            continue
        pid = int(path.parent.name)
        parents[pid], seconds[pid] = int(words[1]), (int(words[11]) + int(words[12])) / _TICKS
    return sum(seconds[pid] for pid in parents if _descends(pid, parents))


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid := parents.get(pid, 0):
        if pid == os.getpid():
            return True
    return False
