"""What a HAProxy consists of that files are applied to, and how it is told of them."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.haproxy.apply import HAProxy, Master, ask
from lbgen.proxies.haproxy.check import checker
from lbgen.proxies.haproxy.kind import stats_socket
from lbgen.proxies.kind import Parts, Setup
from lbgen.proxies.proxy import Workers
from lbgen.proxies.reload_command import Command, Signal, running_pid_in
from lbgen.proxies.supervisor import Supervisor

MASTER = "master.sock"  # of a HAProxy that lbgen runs


def parts(setup: Setup) -> Parts:
    """Return the proxy, its checker, and what keeps it running."""
    reload, supervisor, workers = _way(setup)
    master = setup.output / MASTER if supervisor else None
    proxy = HAProxy(stats_socket(setup), reload, setup.output / "servers.state", workers, master)
    return Parts(proxy, checker(setup, setup.output), supervisor)


def _way(setup: Setup) -> tuple[Callable[[], None], Supervisor | None, Callable[[], Workers | None]]:
    """Return how it is reloaded, what keeps it running if lbgen does, and who counts its workers."""
    apply = setup.target.apply
    if apply.master_socket:
        master = Master(apply.master_socket)
        return master.reload, None, master.workers
    if apply.pid_file:
        pid = partial(running_pid_in, apply.pid_file)
        return Signal(pid, signal.SIGUSR2).reload, None, lambda: _children(pid())
    if apply.command:
        return Command(apply.command).reload, None, lambda: None
    setup.needs_run("HAProxy takes run, master_socket, pid_file or command")
    path = setup.output / MASTER
    words = [setup.binary, "-W", "-S", f"{path},mode,600", "-f", str(setup.output / "haproxy.cfg")]
    supervisor = Supervisor(words, "haproxy", lambda: _master_pid(path), signal.SIGUSR1)
    master = Master(path)
    return master.reload, supervisor, master.workers


def _children(master: int) -> Workers | None:
    """Return the workers of a master that can only be signalled: its children, all but one of them old."""
    try:
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    except OSError:  # gone, or not in this pid namespace
        return None
    return Workers(1, max(0, len(children) - 1))


def _master_pid(master: Path) -> int | None:
    """Return the pid of the master that answers on this socket, if one does."""
    try:
        match = re.search(r"^(\d+)\s+master\b", ask(master, "show proc", timeout=2.0), re.MULTILINE)
    except ProxyUnreachable:
        return None
    return int(match[1]) if match else None
