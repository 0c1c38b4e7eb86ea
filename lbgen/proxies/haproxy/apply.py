"""Makes HAProxy run new files, and asks it which generation it serves.

Facts (observed on 2.6, 3.0 and 3.2): since 2.7 the master answers ``reload`` when the new worker runs
(``Success=1``) or was refused (``Success=0``, then the log); before, the reply is empty at once and only ``show proc``
and the worker itself tell. A worker that is replaced keeps its connections until they end.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lbgen.base.errors import ApplyFailed, ProxyUnreachable, VerifyFailed
from lbgen.proxies import disk
from lbgen.proxies.haproxy import plan as haproxy_plan
from lbgen.proxies.haproxy.configuration import NotPlain, Section, ServerLine, binds, sections
from lbgen.proxies.haproxy.plan import Commands
from lbgen.proxies.haproxy.runtime_api import GENERATION, OLDEST, Runtime, down_rows
from lbgen.proxies.plan import Live, Plan
from lbgen.proxies.proxy import Proxy
from lbgen.render.files import Files

REPLY_TIMEOUT = 30.0  # seconds; a reload of 10,000 servers takes 0.4 s, one that waits for a port 2.7 s
VERIFY_TIMEOUT = 15.0
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
        ProxyUnreachable: nobody listens there.
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
        """Have the master load the files; raise ApplyFailed with its own words if it would not."""
        failures = self._patiently(self._failures, PATIENCE)
        reply = ask(self.path, "reload")
        if reply.startswith("Success=0"):
            raise ApplyFailed(f"HAProxy did not take the new configuration:\n{reply.partition('--')[2].strip()}")
        if not reply.strip():  # before 2.7: the outcome is known when the master has executed itself again
            self._await_outcome(failures)

    def _await_outcome(self, failures: int) -> None:
        time.sleep(0.02)
        if self._patiently(self._failures, VERIFY_TIMEOUT) > failures:
            raise ApplyFailed("HAProxy did not take the new configuration; its log on standard error says why")

    def _patiently(self, question: Callable[[], int], patience: float) -> int:
        """Ask until there is an answer: the socket refuses connections while the master starts or executes itself."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return question()
            except ProxyUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _failures(self) -> int:
        found = _FAILED.search(ask(self.path, "show proc"))
        return int(found[1]) if found else 0


class HAProxy(Proxy):
    """One HAProxy: change it, reload it, and ask what it serves."""

    def __init__(self, stats_socket: Path, reload: Callable[[], None], state_file: Path) -> None:
        """
        Args:
            stats_socket: as in the rendered configuration.
            reload: has HAProxy load the files from disk.
            state_file: what the configuration loads server states from.
        """
        self.stats_socket, self._reload, self._state_file = stats_socket, reload, state_file
        self._runtime = Runtime(lambda line: ask(stats_socket, line, half_close=False))

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return the least that brings it from one to the other."""
        return haproxy_plan.between(running, desired)

    def meanwhile(self, running: Files, desired: Files) -> Files:
        """Return what can be had without the reload that ``desired`` has to wait for."""
        return haproxy_plan.meanwhile(running, desired)

    def change(self, live: Live, generation: str) -> None:
        """Carry a change out by the runtime API and prove it; raise ApplyFailed where only a reload will help."""
        assert isinstance(live, Commands)  # as `plan` gave it
        if live.added and self.version() < OLDEST:
            raise ApplyFailed("this HAProxy cannot add servers while it runs (2.6 and later can)")
        self._runtime.change(live, generation)

    def tidy(self) -> bool:
        """Finish what earlier changes left to do; return whether something is still left."""
        return bool(self._runtime.leftovers) and self._runtime.tidy()

    def ready(self, output: Path) -> None:
        """Have what the configuration refers to besides the rendered files."""
        if not self._state_file.exists():
            disk.write(output, {self._state_file.name: NO_STATE})

    def reload(self, running: Files | None, desired: Files) -> None:
        """Have HAProxy load the files from disk.

        Raises:
            ApplyFailed: it would not, or a new listener's port is in use (HAProxy would refuse every new connection
                for two seconds before it noticed).
            ProxyUnreachable: it does not run.
        """
        if running:
            _try_binds(_binds(desired) - _binds(running))
        self._keep_health(desired)
        self._reload()
        self._runtime.leftovers.clear()

    def version(self) -> tuple[int, ...]:
        """Return the running version, (2, 6) say."""
        found = re.search(r"^Version: (\d+)\.(\d+)", ask(self.stats_socket, "show info"), re.MULTILINE)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def generation(self) -> str:
        """Return the generation that new connections are served by; empty if it is not one of lbgen's.

        Raises:
            ProxyUnreachable: HAProxy does not run or has another stats socket.
        """
        # A live change moves the variable; the description stays what the process was started with.
        found = re.search(r"value=<([0-9a-f]+)>", ask(self.stats_socket, f"get var {GENERATION}"))
        found = found or _DESCRIPTION.search(ask(self.stats_socket, "show info"))
        return found[1] if found else ""

    def verify(self, generation: str) -> None:
        """Wait until HAProxy serves this generation.

        Raises:
            VerifyFailed: it still serves another one after VERIFY_TIMEOUT.
        """
        deadline = time.monotonic() + VERIFY_TIMEOUT
        served = ""
        while True:
            try:
                served = self.generation()
            except ProxyUnreachable as error:  # for a moment while workers change
                served = str(error)
            if served == generation:
                return
            if time.monotonic() > deadline:
                raise VerifyFailed(f"HAProxy does not serve generation {generation} (found: {served or 'none'})")
            time.sleep(0.01)

    def _keep_health(self, desired: Files) -> None:
        """Write down which servers are down, since a new worker takes every server for well until it has checked it."""
        with contextlib.suppress(ProxyUnreachable):  # then there is nothing to keep
            rows = down_rows(ask(self.stats_socket, "show servers state"), _servers(desired))
            disk.write(self._state_file.parent, {self._state_file.name: "\n".join(rows) + "\n" if rows else NO_STATE})


def _parts(files: Files) -> list[Section]:
    return [part for name in files.texts if name.endswith(".cfg") for part in sections(files, name)]


def _servers(files: Files) -> list[ServerLine]:
    found = []
    for part in _parts(files):
        for name in part.servers:
            with contextlib.suppress(NotPlain):
                found.append(part.server(name))
    return found


def _binds(files: Files) -> set[str]:
    return binds(_parts(files))


def _try_binds(wanted: Iterable[str]) -> None:
    """Raise ApplyFailed if another process has one of these ADDRESS:PORT."""
    for where in sorted(wanted):
        address, _, port = where.rpartition(":")
        address = address.strip("[]").replace("*", "")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, int(port)))
            except OSError as error:
                # Anything else (no right to bind, an address of another namespace) says nothing about HAProxy.
                if error.errno == errno.EADDRINUSE:
                    raise ApplyFailed(
                        f"bind {where}: another process has this port; free it, or give the listener another"
                    ) from error
