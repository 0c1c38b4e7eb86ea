"""Noticing that files may have changed, also when they are replaced by rename or lie behind symbolic links."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

log = structlog.get_logger()


class Watch:
    """Calls back, from a thread of its own, after any change in the directories that paths lead through.

    Directories rather than the file: editors write a new file and rename it, and config mounts swap a link beside it
    (``..data``). Where the system grants no watch the caller's polling has to do.
    """

    def __init__(self, paths: Sequence[Path], notify: Callable[[], None]) -> None:
        self._paths, self._handler = paths, _Handler(notify)
        self._observer: Any = None
        self._watched: dict[Path, tuple[int, ...] | None] = {}
        self._complained = False

    def renew(self) -> None:
        """Watch the directories that matter now; they change when a link does, or when one is made anew."""
        found = {directory for path in self._paths for directory in directories(path)}
        wanted = {directory: fingerprint(directory, parts=2) for directory in found}
        if self._observer is not None and wanted == self._watched:
            return
        self.close()
        observer = Observer()
        try:
            for directory in wanted:
                observer.schedule(self._handler, str(directory))
            observer.start()
        except OSError as error:  # out of inotify instances or watches, or the directory has just gone
            observer.unschedule_all()
            self._complain(error)
            return
        self._observer, self._watched = observer, wanted

    def close(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            with contextlib.suppress(RuntimeError):  # not started
                observer.join(5)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            log.info(
                "file_watch_unavailable",
                file=", ".join(map(str, self._paths)),
                error=str(error),
                effect="polling instead",
            )
        self._complained = True


class _Handler(FileSystemEventHandler):
    """Everything but reading, which the watcher's own reading would be, too."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("created", "modified", "moved", "deleted", "closed"):
            self._notify()


def directories(path: Path) -> set[Path]:
    """Return the existing directories in which something decides what `path` is."""
    found = {path.absolute().parent, Path(os.path.realpath(path)).parent}
    link = path.absolute()
    for _ in range(40):  # the kernel's own limit on links
        if not link.is_symlink():
            break
        link = link.parent / link.readlink()
        found.add(link.parent)
    return {directory for directory in found if directory.is_dir()}


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
