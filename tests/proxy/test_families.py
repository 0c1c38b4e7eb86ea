"""Clients of IPv4 and IPv6: a listener on all addresses takes both, and each is known by its own address."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.daemon import assembly
from lbgen.model import build
from lbgen.proxies import sockets
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.real_udp import udp_servers
from tests.support.running import PROXIES, changing, ports_of, running
from tests.support.steady import Traffic, steady
from tests.support.wait import PATIENCE, wait_for

LOOPBACK = ("127.0.0.1", "::1")
every_proxy = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])


def settings_of(proxy: str, directory: Path, bind: str, protocols: tuple[str, ...] = ("http",)) -> Settings:
    """A listener for each protocol, and one proxy that lbgen runs.

    Args:
        bind: with %d in place of the port.
    """
    return Settings.model_validate(
        {
            "listeners": {name: {"bind": bind % free_port(), "protocol": name} for name in protocols},
            "default_listeners": list(protocols),
            "status": {"bind": ""},
            "targets": {
                "edge": {
                    "templates": [proxy],
                    "output": str(directory / "out"),
                    "probe": f"127.0.0.1:{free_port()}",
                    "apply": {"run": True},
                }
            },
        }
    )


def cluster(port: int, *addresses: str, **keys: str) -> Snapshot:
    """One service for every host, with a task at each address."""
    named = {name.replace("_", "-"): value for name, value in keys.items()}
    return a_snapshot(a_node(), a_network("edge"), *app("web", named, port, *addresses))


@every_proxy
@pytest.mark.parametrize("bind", [":%d", "[::]:%d"])
def test_both(proxy, bind, short_dir):
    """Whichever way all addresses are written, both are served, and servers are told IPv4 clients' plain addresses."""
    settings = settings_of(proxy, short_dir, bind)
    with http_servers() as servers, running(settings, cluster(servers.port, "127.1.0.1")) as ports:
        for address in LOOPBACK:
            answer = Client(ports["http"], address).ask()
            assert (answer.status, answer.header("X-Forwarded-For")) == (200, [address])
            assert answer.header("X-Real-IP") == [address]


@every_proxy
@pytest.mark.parametrize(
    ("keys", "statuses"),
    [
        ({"allow_ip": "127.0.0.0/8"}, (200, 403)),
        ({"allow_ip": "::1"}, (403, 200)),
        ({"deny_ip": "127.0.0.1"}, (403, 200)),
        ({"client_ip": "127.0.0.1"}, (200, 404)),
        ({"client_ip": "::/0"}, (404, 200)),
    ],
)
def test_guards(proxy, keys, statuses, short_dir):
    """IPv4 clients are found in networks of IPv4, and in none of IPv6."""
    settings = settings_of(proxy, short_dir, ":%d")
    with http_servers() as servers, running(settings, cluster(servers.port, "127.1.0.1", **keys)) as ports:
        assert tuple(Client(ports["http"], address).ask().status for address in LOOPBACK) == statuses


@every_proxy
def test_addresses_as_hosts(proxy, short_dir):
    """Who asks for an address of IPv6 is redirected to it, and not to the part before its first colon."""
    settings = settings_of(proxy, short_dir, ":%d")
    with running(settings, cluster(80, "127.1.0.1", redirect_https="true")) as ports:
        for host in ("[::1]", f"[::1]:{ports['http']}"):
            client = Client(ports["http"], "::1")
            client.connection.request("POST", "/a?b", headers={"Host": host, "Content-Length": "0"})
            answer = client.connection.getresponse()
            assert (answer.status, answer.headers["Location"]) == (308, "https://[::1]/a?b")


@every_proxy
def test_rates(proxy, short_dir):
    """A client of IPv4 is another one than its neighbour, and than one of IPv6."""
    settings = settings_of(proxy, short_dir, ":%d")
    keys = {"rate-limit": "1/h", "rate-limit.burst": "0"}
    with http_servers() as servers, running(settings, cluster(servers.port, "127.1.0.1", **keys)) as ports:

        def asked(family: int, source: str) -> int:
            client = Client(ports["http"], "::1" if family == socket.AF_INET6 else "127.0.0.1")
            client.connection.source_address = (source, 0)
            return client.ask().status

        clients = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")]
        assert [asked(*client) for client in clients] == [200, 200, 200]
        assert [asked(*client) for client in clients] == [429, 429, 429]


@every_proxy
def test_streams(proxy, short_dir):
    """TCP and UDP listeners take both, too."""
    protocols = ("tcp",) if proxy == "haproxy" else ("tcp", "udp")
    settings = settings_of(proxy, short_dir, ":%d", protocols)
    with tcp_servers() as tcp, udp_servers() as udp:
        keys = {"tcp.a.port": tcp.port} | ({"udp.b.port": udp.port} if "udp" in protocols else {})
        facts = app("web", keys, tcp.port, "127.1.0.1")
        with running(settings, a_snapshot(a_node(), a_network("edge"), *facts)) as ports:
            for address in LOOPBACK:
                with socket.create_connection((address, ports["tcp"]), PATIENCE) as connection:
                    connection.sendall(b"hello\n")
                    assert connection.makefile("r").readline().strip() == "127.1.0.1"
                if "udp" in protocols:
                    assert wait_for(lambda where=address: datagram(where, ports["udp"]), "a datagram") == "127.1.0.1"


def datagram(address: str, port: int) -> str:
    """Send one and return what comes back; empty if nothing does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.settimeout(0.5)
        sender.connect((address, port))
        sender.send(b"hello")
        return sender.recv(1024).decode()
    return ""


@contextlib.contextmanager
def traffic(port: int, *addresses: str) -> Iterator[list[Traffic]]:
    """Steady traffic to each of these addresses of the proxy, each request on a connection of its own."""

    def asks(address: str) -> str:
        client = Client(port, address)
        with contextlib.closing(client.connection):
            status = client.ask().status
        return "" if status == 200 else f"status {status}"

    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(steady(lambda where=address: asks(where))) for address in addresses]


@every_proxy
def test_reloads(proxy, short_dir):
    """A reload finds the sockets of both."""
    settings = settings_of(proxy, short_dir, ":%d")
    with http_servers() as servers, changing(settings, cluster(servers.port, "127.1.0.1")) as bring_to:
        with traffic(ports_of(settings)["http"], *LOOPBACK) as asked:
            for number in range(5):
                bring_to(cluster(servers.port, "127.1.0.1", add_prefix=f"/{number}"))
                asked[-1].more()
        assert [each.failed for each in asked] == [[], []]


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")])
def test_one_becomes_two(proxy, short_dir):
    """A proxy that has the socket of IPv4 gets the other one by a reload, which refuses nobody."""
    both = settings_of(proxy, short_dir, ":%d")
    port = ports_of(both)["http"]
    narrow = both.listeners["http"].model_copy(update={"bind": f"0.0.0.0:{port}"})
    old = both.model_copy(update={"listeners": {"http": narrow}})
    target = assembly.Assembly("edge", old.targets["edge"], old).target()
    with http_servers() as servers:
        snapshot = cluster(servers.port, "127.1.0.1")
        target.start()
        try:
            wait_for(lambda: target.bring_to(build(snapshot, old.rules()), snapshot), "the proxy to start")
            with pytest.raises(ConnectionRefusedError):
                Client(port, "::1").ask()
            with traffic(port, "127.0.0.1") as asked:
                target.revise(*assembly.Assembly("edge", both.targets["edge"], both).revision(), 0.0)
                wait_for(lambda: target.bring_to(build(snapshot, both.rules()), snapshot), "the reload")
                assert Client(port, "::1").ask().status == 200
                asked[0].more()
            assert asked[0].failed == []
            assert target.history.changes[-1].method == "reload"
            assert target.failure is None
        finally:
            target.stop()


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")])
def test_without(proxy, short_dir, monkeypatch):
    """On a kernel that knows no IPv6 the proxy starts with what there is."""
    monkeypatch.setattr(sockets.Socket, "error", without_ipv6(sockets.Socket.error))
    sockets.has_ipv6.cache_clear()
    settings = settings_of(proxy, short_dir, ":%d")
    try:
        with http_servers() as servers, running(settings, cluster(servers.port, "127.1.0.1")) as ports:
            assert Client(ports["http"]).ask().status == 200
            with pytest.raises(ConnectionRefusedError):
                Client(ports["http"], "::1").ask()
    finally:
        sockets.has_ipv6.cache_clear()


def without_ipv6(error):
    """`Socket.error` on such a kernel."""

    def found(where):
        if ":" in where.address:
            return OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return error(where)

    return found
