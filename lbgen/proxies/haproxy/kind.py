"""HAProxy: what its templates are told, what it is made of, and what it cannot do."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.haproxy.apply import HAProxy, Master, ask
from lbgen.proxies.haproxy.build import build_of
from lbgen.proxies.haproxy.check import checker
from lbgen.proxies.kind import HTTP3, NO, PARTLY, Facts, Kind, Parts, Setup, Support
from lbgen.proxies.proxy import Workers
from lbgen.proxies.reload_command import Command, Signal, running_pid_in
from lbgen.proxies.sockets import has_ipv6
from lbgen.proxies.supervisor import Supervisor

MASTER = "master.sock"  # of a HAProxy that lbgen runs


def facts(setup: Setup) -> Facts:
    """Return the facts about it that templates see."""
    build = build_of(setup.binary)
    setup.tell_of_http3(build.features)
    return Facts(
        build.version,
        features=setup.own_features(build.features),
        stats_socket=str(_stats_socket(setup)),
        ipv6=not setup.binary or has_ipv6(),
    )


def parts(setup: Setup) -> Parts:
    """Return the proxy, its checker, and what keeps it running."""
    reload, supervisor, workers = _way(setup)
    master = setup.output / MASTER if supervisor else None
    proxy = HAProxy(_stats_socket(setup), reload, setup.output / "servers.state", workers, master)
    return Parts(proxy, checker(setup, setup.output), supervisor)


def _stats_socket(setup: Setup) -> Path:
    """Return where its stats socket is: as set, beside the master socket, or in the output directory."""
    if setup.target.stats_socket:
        return setup.target.stats_socket.absolute()
    master = setup.target.apply.master_socket
    return (master.absolute().parent if master else setup.output) / "haproxy.sock"


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


CAPABILITIES = {
    "UDP routes": Support(NO, "the route is left out"),
    "access log in a file": Support(NO, "lines go to HAProxy's standard output"),
    "HTTP/3": Support(NO, "clients speak HTTP/2", since="2.6", needs=HTTP3),
    "headers of client certificates": Support(
        PARTLY, "alternative names are in X-Client-Cert alone: the certificate, DER in base64"
    ),
    "streams that are compressed": Support(
        PARTLY,
        "the last bytes of an event wait for the next one, but for those of text/event-stream, which is not compressed",
        since="3.0",
    ),
    "login services": Support(
        PARTLY,
        "of an answer larger than 14 kB the client gets status and headers; HAProxy needs Lua and version 2.5, and "
        "without them every request is answered 403",
    ),
    "largest body": Support(PARTLY, "bodies that are sent in chunks, without their length, are not limited"),
    "connections that outlive a reload": Support(
        PARTLY,
        "they end when the old worker does, at the option `hard_stop_after` after the reload, whatever caused it",
        ends=("hard_stop_after",),
    ),
    "TCP servers that speak first, beside routes by server name": Support(
        PARTLY, "their clients wait for `hello_timeout` of the listener (5s), since they might be about to send a name"
    ),
    "TCP routes by server name on HTTP listeners": Support(
        PARTLY,
        "each connection to the listener counts twice towards `maxconn`; when the last such route leaves it, one that "
        "is just beginning may be cut off",
    ),
    "copies of requests": Support(NO, "nothing is copied"),
    "pages of a service in place of errors": Support(NO, "the plain answer is given, since HAProxy fetches no pages"),
    "the client's URL in that of a page": Support(NO, "no page is fetched"),
    "host header": Support(NO, "servers see the client's Host, since it is set before a server is chosen"),
    "slow start": Support(PARTLY, "only with a health check, which says when a server has come up"),
}

HAPROXY = Kind("HAProxy", facts, checker, parts, CAPABILITIES)
