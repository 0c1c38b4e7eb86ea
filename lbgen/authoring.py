"""Notices that templates have changed, so that saving one renders it again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from lbgen.render.templates import BUILTIN

log = structlog.get_logger()


class _Saved(FileSystemEventHandler):
    """Everything but reading, which rendering does too."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("created", "modified", "moved", "deleted", "closed"):
            self._notify()


@contextlib.contextmanager
def watched(directories: Iterable[Path], notify: Callable[[], None]) -> Iterator[None]:
    """Call ``notify``, from a thread of its own, after any change below the directories, built-in sets left out."""
    observer = Observer()
    try:
        for directory in {path.resolve() for path in directories if BUILTIN not in path.parents}:
            observer.schedule(_Saved(notify), str(directory), recursive=True)
        observer.start()
    except OSError as error:  # the system grants no more watches
        log.warning("templates_not_watched", error=str(error), remedy="send SIGHUP after a change")
        yield
        return
    try:
        yield
    finally:
        observer.stop()
        observer.join(5)
