"""How servers are asked whether they are well: by HTTP/1.1 for a host that they know, or by HTTP/2.

Real proxies that check, and applications that answer 400 to everything else.
"""

from __future__ import annotations

import http.client
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lbgen.base.address import split_bind
from lbgen.model import build
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support import real_nginx
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.ports import free_port
from tests.support.running import changing, running
from tests.support.strict_servers import strict_servers
from tests.support.wait import PATIENCE, wait_for

# Nginx checks nobody.
CHECKING = pytest.mark.parametrize(
    "proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "traefik")]
)
CHECK = {"health-check.path": "/up", "health-check.interval": "100ms"}
WELL, ILL = "127.1.0.1", "127.1.0.2"


def settings_of(proxy: str, directory: Path) -> Settings:
    """One listener, and a proxy that lbgen runs."""
    target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
    return Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": ""},
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )


def cluster(port: int, keys: dict[str, object], *addresses: str) -> Snapshot:
    """A service with a server at each address."""
    facts: list[Fact] = [a_service("web", {"port": port, **CHECK, **keys}, networks=("edge-id",))]
    facts += [a_task("web", slot, addresses={"edge-id": address}) for slot, address in enumerate(addresses, 1)]
    return a_snapshot(a_node(), a_network("edge"), *facts)


def status(settings: Settings, host: str = "a.org") -> int:
    """Ask."""
    port = split_bind(settings.listeners["web"].bind)[1]
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status


@CHECKING
@pytest.mark.parametrize(
    ("keys", "host"),
    [
        ({"host": "b.org,a.org"}, "b.org"),
        ({"rule": "Host(`b.org`) || Host(`a.org`)"}, "b.org"),
        ({"host": "*.org,a.org"}, "a.org"),
        ({"host": "a.org", "host-header": "inner.org"}, "inner.org"),
        ({"host": "a.org", "host-header": "inner.org", "health-check.host": "up.org"}, "up.org"),
        ({"host": "*.org"}, "<address>"),
        ({}, "<address>"),
        ({"host": "a.org", "host-header": "server"}, "<address>"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_host_of_checks(proxy, keys, host, short_dir):
    """Servers are asked by HTTP/1.1, for the host that labels name, else the application's; also one that joins."""
    settings = settings_of(proxy, short_dir)
    known = {host}
    with strict_servers(lambda asked: asked in {*known, "a.org", "inner.org"}) as servers:
        known.update(f"{address}:{servers.port}" for address in (WELL, ILL) if host == "<address>")
        before = cluster(servers.port, keys, WELL)
        assert build(before, settings.rules()).problems == ()
        with changing(settings, before) as bring_to:
            bring_to(cluster(servers.port, keys, WELL, ILL))
            wait_for(lambda: {"/up"} <= servers.paths(WELL) & servers.paths(ILL), f"checks; {servers.refused}")
            wanted = {host} if host != "<address>" else known - {host}
            assert {asked for _, asked, path in servers.asked if path == "/up"} == wanted
            assert servers.refused == []
            assert status(settings) == 200


@CHECKING
def test_address_of_ipv6(proxy, short_dir):
    """The address of a server is a host as one writes it: in brackets."""
    settings = settings_of(proxy, short_dir)
    with strict_servers(address="::1") as servers, running(settings, cluster(servers.port, {}, "::1")):
        wait_for(lambda: len(servers.asked) >= 3, "checks")
        assert {host for _, host, _ in servers.asked} == {f"[::1]:{servers.port}"}


@CHECKING
def test_a_server_without_that_host_is_down(proxy, short_dir):
    """An application that does not know the host is not sent requests: it is the check that decides."""
    settings = settings_of(proxy, short_dir)
    keys = {"host": "a.org", "health-check.host": "c.org"}
    with (
        strict_servers(lambda host: host == "b.org") as servers,
        running(settings, cluster(servers.port, keys, WELL)),
    ):
        wait_for(lambda: status(settings) == 503, "the server to be down")
        assert all(line == "GET /up HTTP/1.1 c.org" for line in servers.refused if "/up" in line)


@CHECKING
def test_headers_and_query_of_checks(proxy, short_dir):
    """A check has the headers and the query that labels give it, as they are."""
    settings, value = settings_of(proxy, short_dir), """a%b "c" {{.}} %[src] \\ $HOME 'd' #"""
    keys = {"health-check.path": "/up?full=1&x=%25,{{.}}'$HOME", "health-check.header.x-probe": value}
    keys["health-check.header.authorization"] = "Bearer x"
    with strict_servers() as servers, running(settings, cluster(servers.port, keys, WELL)):
        wait_for(lambda: servers.asked, "checks")
        assert {path for _, _, path in servers.asked if path.startswith("/up")} in (
            {keys["health-check.path"]},
            {"/up?full=1&x=%25,{{.}}%27$HOME"},
        )
        assert [(told["X-Probe"], told["Authorization"]) for told in servers.headers[:1]] == [(value, "Bearer x")]


H2C = """\
daemon off; pid {directory}/pid; error_log {directory}/error.log;
events {{}}
http {{
    access_log {directory}/access.log;
    server {{ listen {port} http2; server_name a.org; location / {{ return 200 "$server_protocol\\n"; }} }}
    server {{ listen {port} http2 default_server; server_name other.org; location / {{ return 400 "who?\\n"; }} }}
}}
"""


@pytest.fixture
def h2c(short_dir) -> Iterator[int]:
    """The port of an application that speaks HTTP/2 without TLS and nothing else, for host a.org."""
    directory, port = short_dir / "h2c", free_port()
    directory.mkdir()
    (directory / "nginx.conf").write_text(H2C.format(directory=directory, port=f"127.1.0.1:{port}"))
    process = subprocess.Popen([real_nginx.binary("own"), "-c", str(directory / "nginx.conf")])
    try:
        wait_for((directory / "pid").exists, "the application to start")
        yield port
    finally:
        process.terminate()
        process.wait()


@CHECKING
@pytest.mark.proxy("nginx")
@pytest.mark.parametrize("checked", [{}, {"health-check.path": None, "health-check": "tcp"}], ids=["http", "tcp"])
def test_h2c(proxy, checked, h2c, short_dir):
    """Servers that speak HTTP/2 without TLS are asked like that."""
    settings = settings_of(proxy, short_dir)
    keys = {key: value for key, value in {"host": "a.org", "scheme": "h2c", **CHECK, **checked}.items() if value}
    facts = [a_service("web", {"port": h2c, **keys}, networks=("edge-id",))]
    snapshot = a_snapshot(a_node(), a_network("edge"), *facts, a_task("web", 1, addresses={"edge-id": WELL}))
    with running(settings, snapshot):
        if not checked:
            wait_for(lambda: count(short_dir / "h2c/access.log", "/up") >= 4, "checks")
            assert '"GET /up HTTP/2.0" 200' in (short_dir / "h2c/access.log").read_text()
        assert status(settings) == 200


@CHECKING
@pytest.mark.proxy("nginx")
def test_h2c_checked_by_http1(proxy, short_dir):
    """A check by HTTP/1.1 of a server that speaks HTTP/2, if labels say so."""
    settings = settings_of(proxy, short_dir)
    with strict_servers(lambda host: host == "a.org") as servers:
        keys = {"host": "a.org", "scheme": "h2c", "health-check.scheme": "http"}
        with running(settings, cluster(servers.port, keys, WELL)):
            wait_for(lambda: len(servers.asked) >= 3, f"checks by HTTP/1.1; {servers.refused}")


@pytest.mark.proxy("haproxy")
def test_proxy_header_of_checks(short_dir):
    """Checks begin with a PROXY header where requests do, also those of a server that joins."""
    settings = settings_of("haproxy", short_dir)
    begun: list[tuple[str, bytes]] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            begun.append((self.connection.getsockname()[0], self.rfile.readline()))
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("0.0.0.0", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        port, keys = server.server_address[1], {"host": "a.org", "send-proxy": "v1"}
        with changing(settings, cluster(port, keys, WELL)) as bring_to:
            assert bring_to(cluster(port, keys, WELL, ILL)) == "runtime-api"
            for address in (WELL, ILL):
                wait_for(lambda where=address: sum(who == where for who, _ in begun) >= 3, "checks")
        server.shutdown()
    assert {line[:6] for _, line in begun} == {b"PROXY "}


def count(path: Path, text: str) -> int:
    """How often a text is in a file."""
    return path.read_text().count(text) if path.exists() else 0
