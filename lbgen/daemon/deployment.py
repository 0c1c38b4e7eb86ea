"""What one proxy runs, what of that is on disk, and what its checker has refused."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from lbgen.base.directories import make_directory
from lbgen.base.errors import ApplyFailed, CheckFailed, CheckUnavailable, ProxyUnreachable
from lbgen.daemon.counters import Counters
from lbgen.daemon.history import Failure
from lbgen.proxies import check_command, disk
from lbgen.proxies.check_command import clear_stages
from lbgen.proxies.plan import Live, Method
from lbgen.proxies.proxy import Proxy
from lbgen.proxies.supervisor import Supervisor
from lbgen.proxies.wait import looks
from lbgen.proxies.written_files import WrittenFiles
from lbgen.render.renderer import Files

Check = Callable[[Files], None]
SHORTEST_PATIENCE = 10.0  # seconds that a check may take at least
START_TIMEOUT = 5.0  # seconds; HAProxy and Nginx with 10,000 servers start in one


class Deployment:
    """The files of one proxy on their way: checked, put on disk, loaded, verified; put back if that fails.

    Args that are called ``fixed`` are names of files that are the same whatever there is in the cluster.
    """

    def __init__(
        self,
        output: Path,
        check: Check,
        proxy: Proxy,
        counters: Counters,
        supervisor: Supervisor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.output, self.proxy = output, proxy
        self.running: Files | None = None  # what the proxy was last proven to serve
        self.refused = ""  # generation that the checker refused: asking again would give the same answer
        self._check, self._counters, self._supervisor = check, counters, supervisor
        if supervisor:
            proxy.down = lambda: supervisor.down
        self._accepted: set[str] = set()  # generations that need no verdict in this attempt
        self._saved = ""  # generation on disk
        self._clock, self._took = clock, 0.0  # seconds of the last check that accepted
        self._starts = 0  # of the supervised process, when it was last looked at
        self._reached = 0  # the same, when it last answered
        self._on_disk = WrittenFiles(output)

    @property
    def down(self) -> Failure | None:
        """Why the proxy does not run, where it is ours to start; None if it does."""
        supervisor = self._supervisor
        if supervisor and (why := supervisor.down):
            return Failure(supervisor.ended_at, "proxy_ended", why)
        return None

    @property
    def generation(self) -> str:
        """The generation that the proxy serves, empty if that is not known."""
        return self.running.generation if self.running else ""

    def start(self, fixed: Collection[str]) -> int:
        """Find out what the proxy runs, start it on its last good files if it is supervised; return how many there are.

        Raises:
            OSError: the output directory cannot be used.
        """
        make_directory(self.output)
        clear_stages(self.output)
        disk.clear(self.output)
        self.proxy.ready(self.output)
        texts = disk.read(self.output, disk.names(self.output, fixed))
        disk.close_to_others(self.output, texts)
        if self._supervisor and texts:
            self._supervisor.start()
        self._discover(fixed)
        return len(texts)

    def stop(self) -> None:
        """End the proxy if it is supervised."""
        if self._supervisor:
            self._supervisor.stop()

    def leave(self) -> None:
        """Leave the proxy running if it is supervised: the next lbgen takes it over."""
        if self._supervisor:
            self._supervisor.leave()

    def revise(self, check: Check) -> None:
        """Ask this checker from now on, also about what the one before refused."""
        self._check, self.refused = check, ""

    def begin(self) -> None:
        """Start an attempt: what was accepted in the one before needs a verdict again."""
        self._accepted = set()

    def refresh(self, fixed: Collection[str]) -> None:
        """Find out what the proxy runs, if that may be something else than before."""
        supervisor = self._supervisor
        if supervisor and supervisor.starts != self._starts:  # started again, it runs what is on disk
            self._starts = supervisor.starts
            self._discover_started(supervisor, fixed)
        elif self.running is None:
            self._discover(fixed)

    @property
    def knows_sockets(self) -> bool:
        """Whether each socket that can be opened is free for the proxy, or its own by what it runs."""
        # What somebody else runs may be elsewhere, with other rights, and has files of its own at first.
        return self._supervisor is not None and (self.running is not None or not self._supervisor.alive)

    def check(self, files: Files) -> None:
        """Have the files checked, and remember if they are refused; raise CheckFailed or CheckUnavailable."""
        try:
            self._ask(files)
        except CheckFailed as error:
            self.refused = "" if error.in_haste else files.generation
            raise

    def judge(self, files: Files) -> None:
        """Have files checked that are only thought of; raise CheckFailed or CheckUnavailable.

        They are one of many, in a search for culprits, so each has less time than what is to be loaded.
        """
        with check_command.within(max(SHORTEST_PATIENCE, 3 * self._took)):
            self._ask(files)

    def _ask(self, files: Files) -> None:
        if files.generation in self._accepted:
            return
        began = self._clock()
        try:
            self._check(files)
        except (CheckFailed, CheckUnavailable) as error:
            self._counters.count("checks", "refused" if isinstance(error, CheckFailed) else "unavailable")
            raise
        self._took = self._clock() - began
        self._accepted.add(files.generation)
        self._counters.count("checks", "accepted")

    def change(self, live: Live, desired: Files) -> str:
        """Change the running proxy, with the files to follow; return why only a reload helps, empty if it is done.

        Raises:
            ProxyUnreachable: it is not known what runs now.
        """
        try:
            self.proxy.change(live, desired.generation)
        except ProxyUnreachable:
            self.running = None
            raise
        except ApplyFailed as error:
            return str(error)
        except Exception:  # nobody knows how far it came
            self.running = None
            raise
        self.running = desired
        return ""

    def place(self, desired: Files, fixed: Collection[str]) -> dict[str, str]:
        """Put the files on disk; return those of before, by name. Raises ApplyFailed with all as it was."""
        names = {*desired.texts, *(self.running.texts if self.running else ()), *disk.names(self.output, fixed)}
        before = disk.read(self.output, names)
        disk.note(self.output, names - set(fixed))
        self._write(desired.texts, names - set(desired.texts))
        return before

    def load(self, desired: Files, before: dict[str, str], fixed: Collection[str]) -> Method:
        """Have the proxy serve the files on disk; return how. Those of before are put back if it does not.

        Raises:
            ApplyFailed: the proxy runs what it ran before.
            ProxyUnreachable: it does not run; the new files stay, for its next start.
        """
        try:
            method = self._load(desired)
        except ProxyUnreachable:
            self.running = None
            raise
        except ApplyFailed:
            self._put_back(before, set(desired.texts) - set(before))
            raise
        except Exception:  # nobody knows how far it came
            self.running = None
            raise
        self.running, self._saved = desired, desired.generation
        self._reached = self._supervisor.starts if self._supervisor else 0
        disk.note(self.output, set(desired.texts) - set(fixed))
        return method

    @property
    def unsaved(self) -> bool:
        """Whether live changes are not on disk yet, and the checker has not refused them."""
        return self.running is not None and self.running.generation not in (self._saved, self.refused)

    def save(self) -> None:
        """Have on disk what the proxy runs, so that it comes up the same when it is started again."""
        if self.running:
            self.check(self.running)
            self._write(self.running.texts)
            self._saved = self.running.generation

    def serves(self, files: Files) -> bool:
        """Return whether the proxy serves these files."""
        return self.generation == files.generation

    def holds(self, files: Files) -> bool:
        """Return whether the proxy serves these files, and will after a restart."""
        return self.generation == files.generation == self._saved

    def altered(self) -> list[str]:
        """Return the files on disk that are missing, or not as lbgen wrote or found them."""
        return self._on_disk.altered()

    def cut_off(self) -> list[str]:
        """Return the sockets and pid files of the proxy that lbgen runs which have disappeared."""
        if self._supervisor and self._supervisor.alive and self._reached == self._supervisor.starts:
            return self.proxy.cut_off()
        return []  # it is starting, or it is not ours to mend

    def mend(self, fixed: Collection[str]) -> None:
        """Write missing and changed files again, and have the proxy create its sockets anew.

        Raises:
            ApplyFailed: it cannot be done.
        """
        texts, altered = self._on_disk.texts, self._on_disk.altered()
        cut_off = self.cut_off()  # first: a directory that is made again may get the number that it had
        try:
            make_directory(self.output)
            self.proxy.ready(self.output)
        except OSError as error:
            raise ApplyFailed(f"{self.output}: cannot be made again: {error.strerror}") from error
        self._write({name: texts[name] for name in altered})
        disk.note(self.output, set(texts) - set(fixed))
        if self._supervisor and cut_off:
            self._counters.count("repairs", "connection")
            self.proxy.reconnect(self._supervisor.pid, self.output, self._on_disk.texts)
            self._discover(fixed)
        if altered:
            self._counters.count("repairs", "files")

    def tidy(self) -> bool:
        """Finish what earlier changes left to do in the proxy; return whether something is still left."""
        with contextlib.suppress(ProxyUnreachable):
            return self.proxy.tidy()
        return False

    def _discover_started(self, supervisor: Supervisor, fixed: Collection[str]) -> None:
        """Wait for the answer of one that is just starting: while nobody knows what it runs, only a reload would do."""
        for last in looks(START_TIMEOUT):
            self._discover(fixed)
            if last or not supervisor.alive or self._reached == supervisor.starts:
                return

    def _discover(self, fixed: Collection[str]) -> None:
        texts = disk.read(self.output, disk.names(self.output, fixed))
        self._on_disk.found(texts)
        try:
            self.running = disk.generation_on_disk(texts, self.proxy.generation())
            self._reached = self._supervisor.starts if self._supervisor else 0
        except ProxyUnreachable:
            self.running = None
        self._saved = self.generation

    def _write(self, texts: Mapping[str, str], remove: Collection[str] = ()) -> None:
        self.proxy.write(self.output, texts, remove)
        self._on_disk.wrote(texts, remove)

    def _load(self, desired: Files) -> Method:
        start = self._supervisor is not None and not self._supervisor.alive
        if self._supervisor and start:
            self._supervisor.start()
        else:
            self.proxy.reload(self.running, desired)
        self.proxy.verify(desired.generation)
        return Method.START if start else self.proxy.takes

    def _put_back(self, before: dict[str, str], new: set[str]) -> None:
        """Restore the files on disk; reload only if the proxy has left what it ran before."""
        if not before:
            return
        self._write(before, new)
        if self.running and self.proxy.generation() != self.running.generation:
            # What ran may be ahead of the files by live changes; they are made again from there.
            self.running = disk.generation_on_disk(before, self._saved)
            if self.running:
                self.proxy.reload(None, self.running)
                self.proxy.verify(self.running.generation)
