"""The last facts of a part, a host or a hub, on disk: a restart while it is away loses nothing.

A snapshot file that only lbgen's account may read, since labels may hold secrets. It is replaced whole, by a thread of
its own, and not with every change: writing takes the interpreter from what brings a change to the proxy, so that goes
first. A damaged one is told of and ignored.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from lbgen.base.directories import make_directory
from lbgen.base.errors import LbgenError
from lbgen.base.logs import log
from lbgen.base.unwritable import unwritable
from lbgen.snapshot import Snapshot
from lbgen.source.file import load, write_snapshot

DIRECTORY = "source"  # below setting state
PAUSE = 10.0  # seconds, at least, from one writing to the next
AFTER = 1.0  # seconds that a change is left to the proxies alone


class LastKnown:
    """One such file."""

    def __init__(self, path: Path, *, pause: float = PAUSE, after: float = AFTER) -> None:
        """Read nothing yet.

        Args:
            pause: seconds from one writing to the next.
            after: seconds from a change to its writing; the first of a run is written at once.
        """
        self.path, self._pause, self._after = path, pause, after
        self._condition = threading.Condition()
        self._pending: Snapshot | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._complaint = ""

    def read(self) -> Snapshot | None:
        """Return what is there, with the time when it was taken; None: nothing, or nothing that can be used."""
        if not self.path.exists():
            return None
        try:
            return load(self.path)
        except LbgenError as error:
            log.warning("last_known_unread", error=str(error), effect="it is ignored, and replaced by the next facts")
        return None

    def keep(self, facts: Snapshot) -> None:
        """Have this on disk soon. It may be called from any thread, and waits for nothing."""
        with self._condition:
            self._pending = facts
            self._condition.notify_all()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="lbgen-last-known", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what is not written yet, and end."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread:
            thread.join(self._pause)
        self._write()

    def _run(self) -> None:
        while True:
            self._write()
            with self._condition:
                self._condition.wait_for(lambda: self._closed, self._pause)
                self._condition.wait_for(lambda: self._closed or self._pending is not None)
                self._condition.wait_for(lambda: self._closed, self._after)
                if self._closed:
                    return

    def _write(self) -> None:
        with self._condition:
            facts, self._pending = self._pending, None
        if facts is None:
            return
        try:
            make_directory(self.path.parent)
            write_snapshot(facts, self.path, indent=None)
        except LbgenError as error:
            self._complain(facts, str(error))
        except OSError as error:
            self._complain(facts, unwritable(self.path, error))
        else:
            self._complaint = ""

    def _complain(self, facts: Snapshot, error: str) -> None:
        """Say it once, and leave the facts to be written with the next try, unless there are newer ones."""
        with self._condition:
            said, self._complaint = self._complaint, error
            if self._pending is None:
                self._pending = facts
        if error != said:
            effect = "a restart would not know the newest facts; it is tried again"
            log.warning("last_known_unwritten", error=error, effect=effect)


def store_in(state: Path) -> Callable[[str], LastKnown]:
    """Return what gives the file of a name: of a part, or ``PART/HOST``."""
    return lambda name: LastKnown(state / DIRECTORY / f"{name}{os.extsep}json")
