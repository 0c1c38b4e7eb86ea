"""Starts a proxy and keeps it running, for targets with ``apply: {run: true}``.

A proxy that an earlier lbgen started and left behind (it was killed) is taken over, never started twice: two
processes on one port would share its connections.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from lbgen.base.backoff import Backoff
from lbgen.base.logs import log

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two starts of a proxy that will not stay
STEADY = 10.0  # seconds after which a proxy counts as having stayed
STOP_GRACE = 10.0  # seconds its connections have to end when lbgen stops
FIRST_REMINDER = 0.2  # seconds until a process that was told to end is told again


class Supervisor:
    """Keeps one process running, in a thread of its own."""

    def __init__(self, words: Sequence[str], name: str, find: Callable[[], int | None], graceful: int) -> None:
        """
        Args:
            words: the command.
            find: returns the pid of an instance that already runs, or None.
            graceful: the signal that lets it finish its connections and end.
        """
        self.words, self.name, self._find, self._graceful = list(words), name, find, graceful
        self.starts = 0  # how often an instance was started or taken over
        self._pid = 0
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs now, as opposed to being between two attempts or never started."""
        return self._pid != 0

    def start(self) -> None:
        """Take over the instance that runs, or start one; if it waits for its next attempt, make that one now."""
        self._wake.set()
        if not self._thread:
            self._thread = threading.Thread(target=self._keep, name=f"supervise-{self.name}", daemon=True)
            self._thread.start()

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Let it finish its connections for ``grace`` seconds, then end it."""
        self._stopping.set()
        self._wake.set()
        for number, patience in ((self._graceful, grace), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
            if not self._thread or self._end(self._thread, number, patience):
                return

    def _end(self, keeping: threading.Thread, number: int, patience: float) -> bool:
        """Signal the process until it has ended, for at most so many seconds; return whether it has."""
        # More than once: a process may be starting just now, and HAProxy's master loses a signal that comes between
        # "Loading success" and its own handlers (2.6); one that is ending already makes nothing of another.
        deadline, reminders = time.monotonic() + patience, Backoff(FIRST_REMINDER, patience)
        while keeping.is_alive() and (left := deadline - time.monotonic()) > 0:
            if self._pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, number)
            keeping.join(min(reminders.pause(), left))
        return not keeping.is_alive()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            self._wake.clear()
            began = time.monotonic()
            ended = self._once()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            log.error("proxy_ended", proxy=self.name, reason=ended, restart_in_s=pause)
            self._wake.wait(pause)

    def _once(self) -> str:
        """Run or follow one instance to its end; return how it ended."""
        taken_over = self._find()
        self.starts += 1
        if taken_over:
            self._pid = taken_over
            log.info("proxy_taken_over", proxy=self.name, pid=taken_over)
            return self._follow(taken_over)
        if self._stopping.is_set():
            return "not started any more"
        try:
            process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            return f"{self.words[0]} cannot be started: {error.strerror}"
        self._pid = process.pid
        log.info("proxy_started", proxy=self.name, pid=process.pid)
        try:
            status = process.wait()
        finally:
            self._pid = 0
        return f"exit status {status}" if status >= 0 else f"signal {-status}"

    def _follow(self, pid: int) -> str:
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                self._pid = 0
                return "gone"
            time.sleep(0.2)


def reap_orphans(stopping: threading.Event) -> None:
    """As process 1, bury the processes that nobody else will: a dead proxy master's workers, say.

    The kernel is asked who is dead without burying them, so that those whom a parent waits for are left to it.
    """
    own: set[int] = set()
    while not stopping.wait(5.0):
        with contextlib.suppress(ChildProcessError):
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found and found.si_pid in own:  # seen dead at the last look as well: nobody waits for it
                os.waitpid(found.si_pid, os.WNOHANG)
            own = {found.si_pid} if found else set()
