"""Writing a file that nobody else may read: keys, tokens, what services guard."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from lbgen.base import whole_file


def make_private_directory(path: Path) -> None:
    """Make a directory with mode 0700, and its parents, as far as they are not there; raise OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        path.mkdir(mode=0o700, exist_ok=True)  # raises if it is something else
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        hand_over(handle, path)
    finally:
        os.close(handle)


def write_private(path: Path, text: str) -> None:
    """Put a text in place, mode 0600, whole and on the disk; raise OSError with the file as it was.

    The directory is made with mode 0700 if it is missing. What root writes is handed over: `hand_over`.
    """
    make_private_directory(path.parent)
    whole_file.replace(path, text.encode(), lambda handle: hand_over(handle, path))


def hand_over(handle: int, path: Path) -> None:
    """Give what root has made to the account of its directory, or `lbgen run`, which is not root, could not read it.

    In a directory of root's the account of the file that it takes the place of has it.

    Args:
        handle: of the file or directory; a file with a second name is left alone: it may be somebody else's.
        path: where it is, or is to be.
    """
    if os.geteuid() != 0:
        return
    made, owner = os.fstat(handle), path.parent.stat()
    if owner.st_uid == 0:
        with contextlib.suppress(FileNotFoundError):
            owner = path.lstat()
    if (made.st_uid, made.st_gid) != (owner.st_uid, owner.st_gid) and (
        stat.S_ISDIR(made.st_mode) or made.st_nlink == 1
    ):
        os.fchown(handle, owner.st_uid, owner.st_gid)
