"""Starts a proxy and keeps it running, for targets with ``apply: {run: true}``.

A proxy that an earlier lbgen started and left behind (it was killed) is taken over, never started twice: two
processes on one port would share its connections.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

from lbgen.base.backoff import Backoff
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.proxies.wait import looks

EXIT_STATUS = "exit status"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two starts of a proxy that does not stay
STEADY = 10.0  # seconds after which a proxy counts as having stayed
INSIST = 2.0  # seconds between SIGTERM and SIGKILL for one that does not end by itself
STOP_GRACE = 10.0  # seconds its connections have to end when lbgen stops
STAYS = 1.0  # seconds after which a proxy that was started counts as running
WORDS, LONGEST_WORD = 10, 500  # lines, and characters of each, that it said last before it ended
FIRST_REMINDER = 0.2  # seconds until a process that was told to end is told again

# What runs of what this process has started, by its command: one that was left a moment ago may not be found yet by
# what it does (HAProxy's master has no socket before it has read its configuration). One at a time looks and starts.
_started: dict[tuple[str, ...], int] = {}
_starting = threading.Lock()


class Supervisor:
    """Keeps one process running, in a thread of its own."""

    def __init__(
        self,
        words: Sequence[str],
        name: str,
        find: Callable[[], int | None],
        graceful: int,
        *,
        backoff: Backoff | None = None,
        steady: float = STEADY,
        insist: float = INSIST,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """
        Args:
            words: the command.
            find: returns the pid of an instance that already runs, or None.
            graceful: the signal that lets it finish its connections and end.
            backoff: the pauses between two starts of a proxy that does not stay.
            steady: seconds after which a proxy counts as having stayed.
            insist: seconds between SIGTERM and SIGKILL for one that does not end by itself.
        """
        self.words, self.name, self._find, self._graceful = list(words), name, find, graceful
        self._backoff = backoff or Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._steady, self._insist = steady, insist
        self._guard = unexpected.guard(Part.PROXY, name)
        self.starts = 0  # how often an instance was started or taken over
        self.pid = 0  # of the instance that runs; 0 between two attempts
        self._began = 0.0  # when it was started, or taken over
        self.ended_at = 0.0  # when the last one ended, in seconds since 1970
        self._ended = ""  # how the last one ended; empty: none has since it was to be started
        self._stopping, self._wake, self._left = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs now, as opposed to being between two attempts or never started."""
        return self.pid != 0

    @property
    def down(self) -> str:
        """Why it does not run, in its own words if it said any; empty if it runs, or if that is not known yet."""
        stays = self.pid != 0 and time.monotonic() - self._began >= STAYS
        return "" if stays else self._ended

    def start(self) -> None:
        """Take over the instance that runs, or start one; if it waits for its next attempt, make that one now."""
        self._ended = ""
        self._wake.set()
        if not self._thread:
            self._thread = threading.Thread(target=self._keep, name=f"supervise-{self.name}", daemon=True)
            self._thread.start()

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Let it finish its connections for ``grace`` seconds, then end it."""
        self._stopping.set()
        self._wake.set()
        ways = ((self._graceful, grace), (signal.SIGTERM, self._insist), (signal.SIGKILL, self._insist))
        for number, patience in ways:
            if not self._thread or self._end(self._thread, number, patience):
                return

    def leave(self) -> None:
        """Let it run on, and start no other: the next lbgen takes it over."""
        self._left.set()
        self._stopping.set()
        self._wake.set()

    def restart(self, timeout: float) -> None:
        """End the instance that runs, gently, and start another one without a pause; wait until it has ended."""
        with _starting:  # one that is being started just now has its pid then
            pid = self.pid
        self._signal(self._graceful)
        self.start()
        for last in looks(timeout):
            if self.pid != pid or last:
                return

    def _signal(self, number: int) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _end(self, keeping: threading.Thread, number: int, patience: float) -> bool:
        """Signal the process until it has ended, for at most so many seconds; return whether it has."""
        # More than once: a process may be starting just now, and HAProxy's master loses a signal that comes between
        # "Loading success" and its own handlers (2.6); one that is ending already makes nothing of another.
        deadline, reminders = time.monotonic() + patience, Backoff(FIRST_REMINDER, patience)
        while keeping.is_alive() and (left := deadline - time.monotonic()) > 0:
            self._signal(number)
            keeping.join(min(reminders.pause(), left))
        return not keeping.is_alive()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            began = time.monotonic()
            ended = self._attempt()
            if self._stopping.is_set():
                return
            if not self._wake.is_set():  # else it is to be started again, so its end was meant
                self._ended, self.ended_at = ended, time.time()
            if time.monotonic() - began > self._steady:
                self._backoff.reset()
            pause = self._backoff.pause()
            log.error("proxy_ended", proxy=self.name, reason=ended, restart_in_s=pause)
            self._wake.wait(pause)

    def _attempt(self) -> str:
        """Run or follow one instance; what nobody expected is a reason like any other to look for it again."""
        try:
            ended = self._once()
            if self._asks_why(ended):
                ended = self._once(hear=True)
        except Exception as error:
            self._guard.failed(error)
            return f"unexpected error: {error}"
        self._guard.worked()
        return ended

    def _asks_why(self, ended: str) -> bool:
        """Tell whether to start it once more, only to hear why it does not stay."""
        # Its words otherwise go where lbgen's go, so that nothing of them is lost when lbgen is killed.
        quick = time.monotonic() - self._began < self._steady  # a busy machine may take seconds to refuse a start
        failed = ended.startswith(EXIT_STATUS) and ended != f"{EXIT_STATUS} 0"
        return quick and failed and not self._stopping.is_set()

    def _once(self, *, hear: bool = False) -> str:
        """Run or follow one instance to its end; return how it ended.

        Args:
            hear: say also what it said last.
        """
        command = tuple(self.words)
        with _starting:
            pid = self._find() or _started.get(command)
            self.starts += 1
            if not pid and self._stopping.is_set():
                return "not started any more"
            try:
                process = None if pid else self._popen(hear=hear)
            except OSError as error:
                return f"{self.words[0]} cannot be started: {error.strerror}"
            self.pid, self._began = process.pid if process else pid or 0, time.monotonic()
            if process:
                _started[command] = process.pid
        log.info("proxy_started" if process else "proxy_taken_over", proxy=self.name, pid=self.pid)
        try:
            return _exit_of(process) if process else _gone(self.pid, self._left)
        finally:
            self.pid = 0
            if process:
                _started.pop(command, None)

    def _popen(self, *, hear: bool) -> subprocess.Popen[bytes]:
        words = subprocess.PIPE if hear else None
        return subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stderr=words, start_new_session=True)


def _exit_of(process: subprocess.Popen[bytes]) -> str:
    """Wait for a child to end; return how it did, and what it said last if that is heard."""
    said: deque[bytes] = deque(maxlen=WORDS)
    # Beside the waiting: its children may outlive it, and hold its standard error open.
    hearing = threading.Thread(target=_pass_on, args=(process.stderr, said), daemon=True)
    hearing.start()
    status = process.wait()
    hearing.join(STAYS)
    words = "\n".join(line.decode(errors="replace").strip()[:LONGEST_WORD] for line in said)
    how = f"{EXIT_STATUS} {status}" if status >= 0 else f"signal {-status}"
    return f"{how}: {words}" if words else how


def _pass_on(words: IO[bytes] | None, said: deque[bytes]) -> None:
    """Remember what a child says, and say it where it would have been said."""
    for line in words or ():
        said.append(line)
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


def _gone(pid: int, left: threading.Event) -> str:
    """Wait for a process that is nobody's child here to end, or to be left."""
    while not left.wait(0.2):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return "gone"
    return "left running"


def reap_orphans(stopping: threading.Event) -> None:
    """As process 1, reap the zombies that nobody else waits for: a dead proxy master's workers, say.

    The kernel is asked which processes are dead without reaping them: those that a parent waits for are left to it.
    """
    seen = 0
    while not stopping.wait(5.0):
        with contextlib.suppress(ChildProcessError):
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if dead and dead.si_pid == seen:  # dead at the last look as well: nobody waits for it
                os.waitpid(dead.si_pid, os.WNOHANG)
            seen = dead.si_pid if dead else 0
