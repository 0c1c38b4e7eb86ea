"""What is in a directory, links followed, and whether a file may have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path


def walk(path: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each directory at and below the path, with the files in it; hidden ones are left out.

    A config mount keeps its content in a hidden directory (``..2026_11_25``), and shows it by links. Nothing comes of a
    path that is a file, or is not there.
    """
    seen: set[tuple[int, ...] | None] = set()
    for root, inner, names in os.walk(path, followlinks=True):
        identity = fingerprint(Path(root), parts=2)
        if identity in seen:  # a link that leads back
            inner.clear()
            continue
        seen.add(identity)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield Path(root), [Path(root, name) for name in sorted(names) if not name.startswith(".")]


def fingerprint(path: Path, parts: int = 4) -> tuple[int, ...] | None:
    """Return what differs when the file's content may: device, inode, size and time; None if it cannot be had.

    The first two `parts` alone say whether it is still the same file or directory.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)[:parts]


def settled(found: tuple[int, ...] | None) -> bool:
    """Tell whether a later change is sure to show in the fingerprint: file times advance in steps of some ms."""
    return found is None or time.time() - found[3] / 1e9 > 0.05
