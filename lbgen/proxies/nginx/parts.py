"""What an Nginx consists of that files are applied to, and how it is told of them."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from lbgen.base.errors import ProxyUnreachable
from lbgen.base.logs import log
from lbgen.proxies.kind import Parts, Setup
from lbgen.proxies.nginx import error_log, processes
from lbgen.proxies.nginx.apply import PATIENCE, Nginx
from lbgen.proxies.nginx.check import checker
from lbgen.proxies.nginx.kind import build_of, option, probe, unservable
from lbgen.proxies.reload_command import Command, Signal
from lbgen.proxies.supervisor import Supervisor


def parts(setup: Setup) -> Parts:
    """Return the proxy, its checker, and what keeps it running."""
    apply = setup.target.apply
    conf = setup.output / "nginx.conf"
    supervisor, own_pid = None, None
    master = partial(processes.master_by_name, conf)
    if apply.pid_file:
        master = partial(processes.master_by_file, apply.pid_file.absolute())
    elif not apply.command and not apply.process:
        setup.needs_run("Nginx takes run, pid_file, process or command")
        own_pid = Path(processes.pid_file(setup))
        master = partial(processes.master_by_file, own_pid)
        words = [setup.binary, "-c", str(conf), "-g", "daemon off;"]
        supervisor = Supervisor(words, "nginx", partial(_left_running, setup, conf), signal.SIGQUIT)
    way = Command(apply.command) if apply.command else Signal(master, signal.SIGHUP, PATIENCE)
    proxy = Nginx(probe(setup)[1], setup.output / error_log.NAME, way.reload, master, own_pid, _account(setup))
    return Parts(proxy, checker(setup, setup.output), supervisor, unservable(setup))


def _account(setup: Setup) -> str:
    """Return whom workers run as; empty: Nginx's default."""
    return str(option(setup, "user") or build_of(setup.binary).account)


def _left_running(setup: Setup, conf: Path) -> int | None:
    """Return the pid of an Nginx that an earlier lbgen left running; workers of one that was killed are ended."""
    try:
        master = processes.find(processes.master_by_file(Path(processes.pid_file(setup))))
    except ProxyUnreachable:
        master = None
    if master and master.reads(conf):
        return master.pid
    if ended := processes.end_orphans(setup.output / error_log.NAME):
        log.warning("orphans_ended", proxy="nginx", pids=ended, reason="their master was killed")
    return None
