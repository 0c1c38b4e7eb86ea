"""Nginx's processes, found in /proc: masters, their workers, and workers that a killed master left behind.

Facts (observed on 1.22 and 1.26): each process says in its command line what it is: "nginx: master process nginx -c
PATH", "nginx: worker process", and "nginx: worker process is shutting down" from just before the moment on in which it
accepts no more connections. A master takes its title after it has learned to handle signals. Workers outlive a master
that is killed, go on serving, and keep a new one from its ports.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.kind import Setup
from lbgen.proxies.proxy import Workers
from lbgen.proxies.reload_command import pid_in
from lbgen.proxies.wait import looks

PATIENCE = 2.0  # seconds for orphans to let go of their ports
_PROC = Path("/proc")
_LONGEST = 8192  # bytes of a command line: Nginx's own has one path, or a few


@dataclass(frozen=True, slots=True)
class Process:
    """One of Nginx's processes."""

    pid: int
    parent: int
    title: str  # its command line

    @property
    def is_master(self) -> bool:
        return self.title.startswith("nginx: master process")

    @property
    def accepts(self) -> bool:
        """Whether it is a worker that takes new connections."""
        return self.title.startswith("nginx: worker process") and "shutting down" not in self.title

    @property
    def is_leaving(self) -> bool:
        """Whether it is a worker that only finishes the connections it has."""
        return self.title.startswith("nginx: worker process is shutting down")

    def reads(self, conf: Path) -> bool:
        """Tell whether its command line names this configuration."""
        return f" -c {conf} " in f"{self.title} "


def find(pid: int) -> Process | None:
    """Return the process of this number if it is one of Nginx's."""
    try:
        line = _command_line(pid)
        if not line.startswith(b"nginx: "):
            return None
        title = line.replace(b"\0", b" ").decode(errors="replace").strip()
        parent = int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None  # gone, or not ours to see
    return Process(pid, parent, title)


def _command_line(pid: int) -> bytes:
    """Read it without a file object: that of every process on the machine is asked for at each look."""
    file = os.open(f"{_PROC}/{pid}/cmdline", os.O_RDONLY)
    try:
        return os.read(file, _LONGEST)
    finally:
        os.close(file)


def everyone() -> list[Process]:
    """Return all that can be seen, by pid."""
    with os.scandir(_PROC) as entries:
        pids = sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
    return [process for process in map(find, pids) if process]


def pid_file(setup: Setup) -> str:
    """Return where Nginx writes its pid: as set, or beside the files if lbgen runs it; empty: where it always does."""
    apply = setup.target.apply
    if apply.pid_file:
        return str(apply.pid_file.absolute())
    return "" if apply.command or apply.process else str(setup.output / "nginx.pid")


def master_by_file(path: Path) -> int:
    """Return the number in a pid file; raise ProxyUnreachable unless it is that of a running Nginx."""
    pid = pid_in(path)
    process = find(pid)
    if not process or not process.is_master:
        raise ProxyUnreachable(
            f"{path}: process {pid} is not an Nginx master: a leftover of one that was killed; it is written anew when "
            "Nginx starts (lbgen has to see Nginx's processes: share their pid namespace)"
        )
    return pid


def master_by_name(conf: Path) -> int:
    """Return the master whose command line names this configuration, else the only one there is.

    Raises:
        ProxyUnreachable: there is none, or more than one.
    """
    masters = [process for process in everyone() if process.is_master]
    chosen = [process for process in masters if process.reads(conf)] or masters
    if len(chosen) == 1:
        return chosen[0].pid
    if not chosen:
        raise ProxyUnreachable(f"no Nginx master among the processes that lbgen sees; start it with: nginx -c {conf}")
    listed = ", ".join(f"{process.pid} ({process.title})" for process in chosen)
    raise ProxyUnreachable(f"several Nginx masters: {listed}; name the right one's with apply.pid_file")


def workers(master: int) -> frozenset[int]:
    """Return the pids of a master's workers that take new connections."""
    return frozenset(process.pid for process in everyone() if process.parent == master and process.accepts)


def counted(master: int) -> Workers:
    """Return how many workers a master has."""
    children = [process for process in everyone() if process.parent == master]
    return Workers(sum(each.accepts for each in children), sum(each.is_leaving for each in children))


def accepting(pids: Iterable[int]) -> bool:
    """Tell whether one of these processes still takes new connections."""
    return any(process.accepts for process in map(find, pids) if process)


def end_orphans(log: Path) -> list[int]:
    """Make workers without a master that write to this log finish what they have, and wait for their ports."""
    everybody = everyone()
    masters = {process.pid for process in everybody if process.is_master}
    left = [each.pid for each in everybody if each.accepts and each.parent not in masters and _has_open(each.pid, log)]
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGQUIT)
    for _ in looks(PATIENCE):
        if not accepting(left):
            break
    return left


def _has_open(pid: int, path: Path) -> bool:
    try:
        wanted = path.stat()
        return any(os.path.samestat(wanted, link.stat()) for link in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
