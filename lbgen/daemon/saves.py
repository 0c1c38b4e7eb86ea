"""Notices that a template, the settings, a certificate or a users file was saved, so that it is made use of."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lbgen.base.file_watch import Watch
from lbgen.base.fingerprint import fingerprint, identity, walk
from lbgen.base.logs import log

SETTLE = 0.05  # seconds of quiet after a change: half-written, a template may be one that the checker accepts
LONGEST = 0.5  # seconds for which writing without end is waited for
POLL = 2.0  # seconds between looks at what no notification tells of: network file systems, single mounted files


class Saves:
    """Calls back once for each burst of changes to the paths, from a thread of its own, until the end of `watched`.

    A path is a file, or a directory with all that is in it; it may be made, removed and made again, be a link, or lie
    behind links that change.
    """

    def __init__(self, paths: Callable[[], Iterable[Path]], saved: Callable[[], None]) -> None:
        """
        Args:
            paths: those that matter now; asked for at each look.
        """
        self._paths, self._saved = paths, saved
        self._watch = Watch(paths, self.tell)
        self._news = threading.Event()
        self._asked = self._ended = False
        self._seen = self._stamp()

    def tell(self) -> None:
        """Have the paths looked at: something may have changed."""
        self._news.set()

    def ask(self) -> None:
        """Have it called back even if nothing has changed. Safe in a signal handler."""
        self._asked = True
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    def run(self) -> None:
        """Look, call back, wait; returns after `end`. What the call raises is a mistake, and no reason to stop."""
        while not self._ended:
            self._watch.renew()  # first, so that no change falls between looking and watching
            self._look()
            if self._news.wait(POLL):
                self._settle()
        self._watch.close()

    def _settle(self) -> None:
        deadline = time.monotonic() + LONGEST
        while not self._ended and time.monotonic() < deadline:
            self._news.clear()
            if not self._news.wait(SETTLE):
                return
        self._news.clear()

    def _look(self) -> None:
        before, self._seen = self._seen, self._stamp()
        if self._seen != before or self._asked:
            self._asked = False
            try:
                self._saved()
            except Exception:
                log.exception("save_not_taken", effect="what runs goes on; the next save is another chance")

    def _stamp(self) -> dict[Path, tuple[int, ...] | None]:
        found: dict[Path, tuple[int, ...] | None] = {}
        for path in self._paths():
            # Which directory it is, and not when something was made in it: hidden files count for nothing.
            found[path] = identity(path) if path.is_dir() else fingerprint(path)
            found |= {file: fingerprint(file) for _, files in walk(path) for file in files}
        return found


@contextlib.contextmanager
def watched(paths: Callable[[], Iterable[Path]], saved: Callable[[], None]) -> Iterator[Saves]:
    """Call ``saved`` after changes to the paths while the block runs."""
    saves = Saves(paths, saved)
    thread = threading.Thread(target=saves.run, name="authoring", daemon=True)
    thread.start()
    try:
        yield saves
    finally:
        saves.end()
        thread.join(5)
