"""Writing a file that nobody else may read: keys, tokens, what services guard."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

PREFIX = ".lbgen-new-"  # of what is not whole yet


def make_private_directory(path: Path) -> None:
    """Make a directory with mode 0700, and its parents, as far as they are not there; raise OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Put a text in place, mode 0600, whole and on the disk; raise OSError with the file as it was.

    The directory is made with mode 0700 if it is missing.
    """
    make_private_directory(path.parent)
    handle, name = tempfile.mkstemp(prefix=PREFIX, dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
