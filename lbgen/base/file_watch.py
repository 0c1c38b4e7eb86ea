"""Noticing that files may have changed, also when they are replaced by rename or lie behind symbolic links."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbgen.base.fingerprint import identity, walk
from lbgen.base.logs import log

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

MOST_LINKS = 40  # the kernel's own limit on the way to one file


class Watch:
    """Calls back, from a thread of its own, when what decides what paths are, or what is in them, has changed.

    Directories are watched rather than files: editors write a new file and rename it, and config mounts swap a link
    beside it (``..data``). Where the system grants no watch the caller's polling has to do.
    """

    def __init__(self, paths: Callable[[], Iterable[Path]], notify: Callable[[], None]) -> None:
        """
        Args:
            paths: files, or directories with all that is in them; asked for at each `renew`. None has to be there yet.
        """
        self._paths, self._notify = paths, notify
        self._observer: Any = None
        self._watched: object = None
        self._complained = False

    def renew(self) -> None:
        """Watch the directories that matter now; they change when a link does, or when one is made anew."""
        paths = list(self._paths())
        inside = [found for path in paths for found in walk(path)]
        linked = [file for _, files in inside for file in files if file.is_symlink()]
        parts = {part for path in (*paths, *linked) for part in steps(path)}
        inner = {directory for directory, _ in inside}
        watched = {each: identity(each) for each in {*inner, *(part.parent for part in parts)}}
        if self._observer is not None and (watched, parts) == self._watched:
            return
        from watchdog.observers import Observer  # here: most commands watch nothing

        self.close()
        observer = Observer()
        handler: Any = _Handler(parts, inner, self._notify)
        try:
            for directory in watched:
                observer.schedule(handler, str(directory))
            observer.start()
        except OSError as error:  # out of inotify instances or watches, or a directory has just gone
            observer.unschedule_all()
            self._complain(paths, error)
            return
        self._observer, self._watched = observer, (watched, parts)

    def close(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            with contextlib.suppress(RuntimeError):  # not started
                observer.join(5)

    def _complain(self, paths: Iterable[Path], error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):  # the next look finds what there is then
            return
        if not self._complained:
            log.warning(
                "file_watch_unavailable",
                files=", ".join(map(str, paths)),
                error=str(error),
                effect="they are looked at every few seconds instead",
                remedy="raise fs.inotify.max_user_watches and fs.inotify.max_user_instances (sysctl)",
            )
        self._complained = True


class _Handler:
    """Everything but reading, which the watcher's own reading would be, too; and nothing of what lies beside."""

    def __init__(self, parts: Iterable[Path], inner: Iterable[Path], notify: Callable[[], None]) -> None:
        self._parts, self._inner, self._notify = set(map(str, parts)), set(map(str, inner)), notify

    def dispatch(self, event: FileSystemEvent) -> None:
        if event.event_type in ("created", "modified", "moved", "deleted", "closed"):
            paths = map(os.fsdecode, (event.src_path, event.dest_path))
            if any(path in self._parts or os.path.dirname(path) in self._inner for path in paths):  # noqa: PTH120
                self._notify()


def steps(path: Path) -> set[Path]:
    """Return what decides what `path` is: its last part, and every link on the way to it.

    Where a part is not there, it is the last: it may be made.
    """
    found: set[Path] = set()
    at, rest, links = Path("/"), list(path.absolute().parts[1:]), 0
    while rest:
        part = rest.pop(0)
        step = at.parent if part == ".." else at / part
        if step.is_symlink() and links < MOST_LINKS:
            found.add(step)
            links += 1
            target = step.readlink()
            at, rest = (Path("/") if target.is_absolute() else at), [*target.parts[target.is_absolute() :], *rest]
        elif rest and step.is_dir():
            at = step
        else:
            return found | {step}
    return found
