"""What is in a directory, links followed, and whether a file may have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

STEP = 0.05  # seconds; file times advance in steps of some ms


class Fingerprint(NamedTuple):
    """What differs when a file's content may."""

    device: int
    inode: int
    size: int  # bytes
    modified: int  # nanoseconds since 1970

    def settled(self, clock: Callable[[], float] = time.time) -> bool:
        """Tell whether a later change is sure to show: one within the same step of file times would not."""
        return clock() - self.modified / 1e9 > STEP


def fingerprint(path: Path) -> Fingerprint | None:
    """Return a file's fingerprint; None if it is not there, or not for us to see."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Fingerprint(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def identity(path: Path) -> tuple[int, ...] | None:
    """Return device and inode: they stay while it is the same file or directory, whatever is made in it."""
    if status := fingerprint(path):
        return status.device, status.inode
    return None


def walk(path: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each directory at and below the path, with the files in it; hidden ones are left out.

    A config mount keeps its content in a hidden directory (``..2026_11_25``), and shows it by links. Nothing comes of a
    path that is a file, or is not there.
    """
    seen: set[tuple[int, ...] | None] = set()
    for root, inner, names in os.walk(path, followlinks=True):
        directory = identity(Path(root))
        if directory in seen:  # a link that leads back
            inner.clear()
            continue
        seen.add(directory)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield Path(root), [Path(root, name) for name in sorted(names) if not name.startswith(".")]
