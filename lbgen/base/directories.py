"""Directories that lbgen makes."""

from __future__ import annotations

import stat
from pathlib import Path

MODE = 0o750  # lbgen's account and its group: what it writes there may hold passwords


def make_directory(path: Path) -> None:
    """Make a directory and its parents, as far as they are not there, with MODE whatever the umask.

    Raises:
        OSError: one cannot be made.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(MODE | each.stat().st_mode & stat.S_ISGID)  # where it takes over its parent's group, so do others
    path.mkdir(exist_ok=True)  # raises if it is something else
