"""Putting a file in place whole: written beside its place, then renamed, so that nobody ever reads half of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

PREFIX = ".lbgen-new-"  # of what is not whole yet; `proxies/disk.py` removes what a killed lbgen left of it


def replace(
    place: Path, content: bytes, prepare: Callable[[int], object] | None = None, *, lasting: bool = True
) -> None:
    """Put a file in place; what was there before is replaced, whatever its owner and mode.

    Args:
        prepare: is given the descriptor of the new file, which has mode 0600 and the account of this process.
        lasting: whether it has to survive a power cut.
    Raises:
        OSError: names the place, where everything is as it was.
    """
    new = write_beside(place, content, prepare, lasting=lasting)
    with _removed_on_failure(new, place):
        new.replace(place)
    if lasting:
        with contextlib.suppress(OSError):  # one that lbgen may write to and not read; the file is in place
            sync_directory(place.parent)


def write_beside(
    place: Path,
    content: bytes,
    prepare: Callable[[int], object] | None = None,
    *,
    directory: Path | None = None,
    lasting: bool = True,
) -> Path:
    """Write what is to be renamed to a place, as for `replace`; return its path.

    Args:
        directory: where it is written; None: that of the place.
    Raises:
        OSError: names the place; nothing is left behind.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=PREFIX, dir=directory or place.parent)
    except OSError as error:
        raise _about(place, error) from error
    with _removed_on_failure(Path(name), place), os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        if prepare:
            prepare(handle)
        if lasting:
            os.fsync(handle)
    return Path(name)


def sync_directory(directory: Path) -> None:
    """Let the names in a directory survive a power cut; raise OSError."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _removed_on_failure(new: Path, place: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            new.unlink()
        if isinstance(error, OSError):
            raise _about(place, error) from error
        raise


def _about(place: Path, error: OSError) -> OSError:
    """Return the error with the name of the file that is missing now; the other's is of no use to anybody."""
    return OSError(error.errno, error.strerror, os.fspath(place))
