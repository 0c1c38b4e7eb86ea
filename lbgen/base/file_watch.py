"""Calls back when files have changed, also when they are replaced by rename or lie behind symbolic links."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from lbgen.base.fingerprint import fingerprint, identity, walk
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

MOST_LINKS = 40  # the kernel's own limit on the way to one file
_CHANGED, _ASKED, _ENDED = "changed", "asked", "ended"


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds."""

    settle: float = 0.05  # of quiet after a change: half-written, a template may be one that the checker accepts
    longest: float = 0.5  # for which writing without end is waited for
    poll: float = 2.0  # between looks at what no notification tells of: network file systems, single mounted files


class FileWatch:
    """Calls back once for each burst of changes to the paths, from a thread of its own, until the end of `watched`.

    A path is a file, or a directory with all that is in it; it may be made, removed and made again, be a link, or lie
    behind links that change.
    """

    def __init__(
        self,
        paths: Callable[[], Iterable[Path]],
        changed: Callable[[], None],
        pace: Pace = Pace(),
        clock: Callable[[], float] = time.monotonic,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """
        Args:
            paths: those that matter now; asked for at each look.
        """
        self._paths, self._changed, self._pace, self._clock = paths, changed, pace, clock
        self._look_guard = unexpected.guard(Part.SAVES, "watching files")
        self._call_guard = unexpected.guard(
            Part.SAVES, "what was saved", event="save_not_taken", effect="what runs goes on; it is tried again"
        )
        self._news: SimpleQueue[str] = SimpleQueue()  # an Event could be set twice at once by a signal, and hang
        self._fresh = False  # something has changed, or somebody has asked, since the last call
        self._seen: dict[Path, tuple[int, ...] | None] = {}
        self._look_guard.tried(self._first_look)
        self.ready = threading.Event()  # set once what happens is noticed at once

    def ask(self) -> None:
        """Call back even if nothing has changed. Safe in a signal handler."""
        self._news.put(_ASKED)

    def end(self) -> None:
        self._news.put(_ENDED)

    def run(self) -> None:
        """Look, call back, wait; returns after `end`. What a look or a call raises is no reason to stop."""
        notifications = _Notifications(self._paths, lambda: self._news.put(_CHANGED))
        news = frozenset[str]()
        while _ENDED not in news:
            self._fresh |= _ASKED in news
            self._look_guard.tried(lambda: self._look(notifications))
            if self._fresh or (self._call_guard.due or math.inf) <= self._clock():
                self._fresh = False
                self._call_guard.tried(self._changed)
            self.ready.set()
            news = self._burst()
        notifications.close()

    def _first_look(self) -> None:
        self._seen = self._stamp()

    def _look(self, notifications: _Notifications) -> None:
        notifications.renew()  # first, so that no change falls between looking and watching
        before, self._seen = self._seen, self._stamp()
        self._fresh |= self._seen != before

    def _burst(self) -> frozenset[str]:
        """Return the next news, and what follows until there are none for a moment; empty if it is time to look."""
        news = self._next(self._pace.poll)
        deadline = self._clock() + self._pace.longest
        while news and _ENDED not in news and self._clock() < deadline and (more := self._next(self._pace.settle)):
            news |= more
        return news

    def _next(self, seconds: float) -> frozenset[str]:
        with contextlib.suppress(Empty):
            return frozenset({self._news.get(timeout=seconds)})
        return frozenset()

    def _stamp(self) -> dict[Path, tuple[int, ...] | None]:
        stamp: dict[Path, tuple[int, ...] | None] = {}
        for path in self._paths():
            # Which directory it is, and not when something was made in it: hidden files count for nothing.
            stamp[path] = identity(path) if path.is_dir() else fingerprint(path)
            stamp |= {file: fingerprint(file) for _, files in walk(path) for file in files}
        return stamp


@contextlib.contextmanager
def watched(
    paths: Callable[[], Iterable[Path]],
    changed: Callable[[], None],
    pace: Pace = Pace(),
) -> Iterator[FileWatch]:
    """Call ``changed`` after changes to the paths while the block runs."""
    watch = FileWatch(paths, changed, pace)
    thread = threading.Thread(target=watch.run, name="lbgen-file-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join(5)


class _Notifications:
    """The system's notifications that what decides what paths are, or what is in them, has changed.

    Directories are watched rather than files: editors write a new file and rename it, and config mounts swap a link
    beside it (``..data``). Where the system grants no watch, polling has to do.
    """

    def __init__(self, paths: Callable[[], Iterable[Path]], notify: Callable[[], None]) -> None:
        self._paths, self._notify = paths, notify
        self._observer: Any = None
        self._watched: object = None
        self._complained = False

    def renew(self) -> None:
        """Watch the directories that matter now; they change when a link does, or when one is made anew."""
        paths = list(self._paths())
        inside = [directory for path in paths for directory in walk(path)]
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
    """Return the paths that decide what `path` is: its last part, and every link on the way to it.

    Where a part is not there, it is the last: it may be made.
    """
    decisive: set[Path] = set()
    at, rest, links = Path("/"), list(path.absolute().parts[1:]), 0
    while rest:
        part = rest.pop(0)
        step = at.parent if part == ".." else at / part
        if step.is_symlink() and links < MOST_LINKS:
            decisive.add(step)
            links += 1
            target = step.readlink()
            at, rest = (Path("/") if target.is_absolute() else at), [*target.parts[target.is_absolute() :], *rest]
        elif rest and step.is_dir():
            at = step
        else:
            return decisive | {step}
    return decisive
