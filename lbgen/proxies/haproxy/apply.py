"""Makes HAProxy run new files, and asks it which generation it serves.

Facts (observed on 2.6, 3.0 and 3.2): since 2.7 the master answers ``reload`` when the new worker runs
(``Success=1``) or was refused (``Success=0``, then the log); before, the reply is empty at once and only ``show proc``
and the worker itself tell. A worker that is replaced keeps its connections until they end.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from lbgen.base.errors import ApplyFailed, ProxyUnreachable, VerifyFailed
from lbgen.proxies import disk, sockets
from lbgen.proxies.haproxy import plan, switch
from lbgen.proxies.haproxy.configuration import NotPlain, Section, ServerLine, binds, sections
from lbgen.proxies.haproxy.runtime_api import GENERATION, OLDEST, Runtime, down_rows
from lbgen.proxies.plan import Live, Plan
from lbgen.proxies.proxy import ByServer, Proxy, Seen, Workers
from lbgen.proxies.sockets import Socket
from lbgen.proxies.wait import PAUSE, looks, patiently
from lbgen.render.renderer import Files

REPLY_TIMEOUT = 30.0  # seconds; a reload of 10,000 servers takes 0.4 s, one that waits for a port 2.7 s
VERIFY_TIMEOUT = 15.0
WORKERS_TIMEOUT = 2.0
SEEN_TIMEOUT = 2.0
SERVER_ROW = "2"  # of column "type" in ``show stat``
PATIENCE = 2.0  # with a master that has just been started
NO_STATE = "1\n"  # a state file that says nothing
_DESCRIPTION = re.compile(r"^[Dd]escription: lbgen-([0-9a-f]+)$", re.MULTILINE)
_FAILED = re.compile(r"\[failed: (\d+)\]")


def ask(path: Path, command: str, timeout: float = REPLY_TIMEOUT, *, half_close: bool = True) -> str:
    """Send one command to a stats socket or a master CLI and return the whole reply.

    Args:
        half_close: close the sending side. A master ends its reply only then (seen on 2.6); a worker ends it anyway,
            and might take it for the end of a long list of commands.

    Raises:
        ProxyUnreachable: nothing listens there.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(command.encode() + b"\n")
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
    except OSError as error:
        raise ProxyUnreachable(f"{path}: HAProxy does not answer there: {error.strerror or error}") from error
    return b"".join(parts).decode(errors="replace")


class Master:
    """Reloads through the master CLI (``haproxy -W -S PATH``)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def reload(self) -> None:
        """Load the files; raise ApplyFailed with the master's own words if it refuses them."""
        failures = patiently(self._failures, PATIENCE)
        reply = ask(self.path, "reload")
        if reply.startswith("Success=0"):
            raise ApplyFailed(f"HAProxy did not take the new configuration:\n{reply.partition('--')[2].strip()}")
        if reply.strip():
            return
        # Before 2.7 the outcome is known when the master has executed itself again; until then the socket refuses.
        time.sleep(PAUSE)
        if patiently(self._failures, VERIFY_TIMEOUT) > failures:
            raise ApplyFailed("HAProxy did not take the new configuration; its log on standard error says why")

    def workers(self) -> Workers:
        """Return how many workers there are; raise ProxyUnreachable if the master does not answer."""
        return workers_of(ask(self.path, "show proc", WORKERS_TIMEOUT))

    def _failures(self) -> int:
        match = _FAILED.search(ask(self.path, "show proc"))
        return int(match[1]) if match else 0


def workers_of(processes: str) -> Workers:
    """Count the workers in a reply to ``show proc``."""
    section, counts = "", Counter[str]()
    for line in processes.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
        elif "worker" in line.split()[1:2]:
            counts[section] += 1
    serving, old = counts["workers"], counts["old workers"]
    # After a reload that failed, 3.2 lists the worker that goes on serving among the old ones, and no other.
    return Workers(serving, old) if serving or not old else Workers(1, old - 1)


class HAProxy(Proxy):
    """One HAProxy: change it, reload it, and ask what it serves."""

    def __init__(
        self,
        stats_socket: Path,
        reload: Callable[[], None],
        state_file: Path,
        workers: Callable[[], Workers | None] = lambda: None,
        master: Path | None = None,
    ) -> None:
        """
        Args:
            stats_socket: as in the rendered configuration.
            reload: has HAProxy load the files from disk.
            state_file: what the configuration loads server states from.
            workers: counts them; raises ProxyUnreachable.
            master: socket of a master that lbgen started.
        """
        self._master = master
        self.stats_socket, self._reload, self._state_file, self._workers = stats_socket, reload, state_file, workers
        self._runtime = Runtime(lambda line: ask(stats_socket, line, half_close=False))

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return the smallest change from one set of files to the other."""
        return plan.between(running, desired)

    def meanwhile(self, running: Files, desired: Files) -> Files:
        """Return the running files with what needs no reload already as in ``desired``."""
        return plan.meanwhile(running, desired)

    def change(self, live: Live, generation: str) -> None:
        """Make a change by the runtime API and prove it; raise ApplyFailed where only a reload will help."""
        assert isinstance(live, plan.Commands)  # as `plan` gave it
        if live.added and self.version() < OLDEST:
            raise ApplyFailed("this HAProxy cannot add servers while it runs (2.6 and later can)")
        self._runtime.change(live, generation)

    def tidy(self) -> bool:
        """Delete removed servers whose connections have ended; return whether some still have any."""
        return self._runtime.tidy()

    def write(self, output: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Replace files in the output directory, all at once for a HAProxy that is started meanwhile."""
        switch.write(output, texts, remove)

    def ready(self, output: Path) -> None:
        """Make the state file that the configuration refers to."""
        if not self._state_file.exists():
            disk.write(output, {self._state_file.name: NO_STATE})

    def cut_off(self) -> list[str]:
        """Return which of its sockets are missing."""
        return [str(path) for path in (self.stats_socket, self._master) if path and not path.exists()]

    def reconnect(self, pid: int, output: Path, texts: Mapping[str, str]) -> None:
        """Have it make its sockets again, by two reloads, in which no connection is lost.

        By SIGUSR2 the master makes its own one anew. A worker takes over the stats socket of the one before by its
        path, without a look whether that is still there; spelt differently it is another one, which is made.
        """
        spelt = f"{self.stats_socket.parent}//{self.stats_socket.name}"
        disk.write(output, {switch.CONF: texts[switch.CONF].replace(str(self.stats_socket), spelt)})
        try:
            os.kill(pid, signal.SIGUSR2)
            for last in looks(VERIFY_TIMEOUT):
                if not self.cut_off():
                    break
                if last:
                    raise ApplyFailed(f"HAProxy does not make {', '.join(self.cut_off())} again")
        except ProcessLookupError as error:
            raise ProxyUnreachable(f"HAProxy's master {pid} has ended") from error
        finally:
            disk.write(output, {switch.CONF: texts[switch.CONF]})
        patiently(self.version, VERIFY_TIMEOUT)
        self._reload()
        self._runtime.forget()

    def reload(self, running: Files | None, desired: Files) -> None:
        """Make HAProxy load the files from disk.

        Raises:
            ApplyFailed: it refused them, or a new listener's port is in use (HAProxy would refuse every new connection
                for two seconds before it noticed).
            ProxyUnreachable: it does not run.
        """
        if running:
            taken = sockets.taken(self.sockets(desired) - self.sockets(running))
            if taken:
                raise ApplyFailed("; ".join(taken))
        self._keep_health(desired)
        self._reload()
        self._runtime.forget()

    def version(self) -> tuple[int, ...]:
        """Return the running version, (2, 6) say."""
        match = re.search(r"^Version: (\d+)\.(\d+)", ask(self.stats_socket, "show info"), re.MULTILINE)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    def sockets(self, files: Files) -> frozenset[Socket]:
        """Return where its bind lines say."""
        return frozenset(filter(None, (Socket.of(where, udp=udp) for where, udp in binds(_sections(files)))))

    def workers(self) -> Workers | None:
        """Return how many workers its master has; None: nobody can say."""
        with contextlib.suppress(ProxyUnreachable):
            return self._workers()
        return None

    def seen(self) -> ByServer:
        """Return how it sees its servers."""
        with contextlib.suppress(ProxyUnreachable):
            return seen_in(ask(self.stats_socket, "show stat -1 4 -1", SEEN_TIMEOUT, half_close=False))
        return {}

    def generation(self) -> str:
        """Return the generation that new connections are served by; empty if it is not one of lbgen's.

        Raises:
            ProxyUnreachable: HAProxy does not run or has another stats socket.
        """
        # A live change moves the variable; the description stays what the process was started with.
        match = re.search(r"value=<([0-9a-f]+)>", ask(self.stats_socket, f"get var {GENERATION}"))
        match = match or _DESCRIPTION.search(ask(self.stats_socket, "show info"))
        return match[1] if match else ""

    def verify(self, generation: str) -> None:
        """Wait until HAProxy serves this generation.

        Raises:
            VerifyFailed: it still serves another one after VERIFY_TIMEOUT.
            ApplyFailed: it has ended.
        """
        for last in looks(VERIFY_TIMEOUT, 0.01):
            served = self.served()
            if served == generation:
                return
            self.check_up()
            if last:
                raise VerifyFailed(f"HAProxy does not serve generation {generation} (found: {served})")

    def _keep_health(self, desired: Files) -> None:
        """Record which servers are down: a new worker takes every server for up until it has checked it."""
        with contextlib.suppress(ProxyUnreachable):  # then there is nothing to keep
            rows = down_rows(ask(self.stats_socket, "show servers state"), list(_servers(desired)))
            disk.write(self._state_file.parent, {self._state_file.name: "\n".join(rows) + "\n" if rows else NO_STATE})


def seen_in(stat_csv: str) -> dict[tuple[str, str], Seen]:
    """Read states and current sessions of servers out of a ``show stat`` reply.

    Source: HAProxy 2.6 management guide, section 9.1: a "# " header line, then a line for each server.
    """
    rows = csv.DictReader(stat_csv.removeprefix("# ").splitlines())
    found = {}
    for row in rows:
        backend, server, status = row.get("pxname"), row.get("svname"), row.get("status")
        if backend and server and status and row.get("type") == SERVER_ROW:
            state = "up" if status == "no check" else status.lower()
            sessions = row.get("scur") or ""
            found[backend, server] = Seen(state, int(sessions) if sessions.isdecimal() else None)
    return found


def _sections(files: Files) -> list[Section]:
    return [section for name in files.texts if name.endswith(".cfg") for section in sections(files, name)]


def _servers(files: Files) -> Iterator[ServerLine]:
    for section in _sections(files):
        for name in section.servers:
            with contextlib.suppress(NotPlain):
                yield section.server(name)
