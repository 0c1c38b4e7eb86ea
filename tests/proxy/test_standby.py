"""A standby gets requests while no other server is up: by what Swarm says, and by what the proxy itself finds out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.clients import Client
from tests.support.conformance_traffic import stream
from tests.support.ports import free_port
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.running import PROXIES, changing, ports_of
from tests.support.wait import wait_for

MAIN, RESERVE = "127.1.1.1", ("127.1.2.1", "127.1.2.2")
EACH = [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES]

# How the proxy takes a change; the same files as before are none, and the last method stays.
METHODS = {"haproxy": ("runtime-api",), "nginx": ("reload",), "traefik": ("publish",)}


class Application:
    """An HTTP server at one address that can be stopped, and started again where it was."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer((MAIN, self.port), _Main)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None


class _Main(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Say which server this is, and hang up: a connection that is kept would outlive the server."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"address": "%s"}' % MAIN.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def application() -> Iterator[Application]:
    """Run the application until the block ends."""
    made = Application(free_port())
    made.start()
    try:
        yield made
    finally:
        made.stop()


def settings(proxy: str, directory, protocol: str = "http") -> Settings:
    """One listener, and a proxy that lbgen runs."""
    target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
    return Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}", "protocol": protocol}},
            "default_listeners": ["web"],
            "status": {"bind": ""},
            "certificates": str(directory / "certs"),
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )


def cluster(port: int, reserve_port: int, *, main: str = "running", prefix: str = "", **keys: str) -> Snapshot:
    """A group of one main server and two standbys.

    Args:
        main: what Swarm wants of the main server's task; empty: there is none.
    """
    group = {"group": "web", **{key.replace("_", "-"): value for key, value in keys.items()}}
    if not prefix:
        group["health-check.interval"] = "100ms"
    named = {f"{prefix}{key}": value for key, value in group.items()}
    facts = [
        a_node(),
        a_network("edge"),
        a_service("main", {**named, f"{prefix}port": port}, networks=("edge-id",), created_at="2026-11-22T10:00:00Z"),
        a_service(
            "reserve", {**named, f"{prefix}port": reserve_port, f"{prefix}backup": "true"}, networks=("edge-id",)
        ),
        *(a_task("reserve", slot, addresses={"edge-id": address}) for slot, address in enumerate(RESERVE, 1)),
    ]
    return a_snapshot(*facts, *([a_task("main", addresses={"edge-id": MAIN}, desired_state=main)] if main else []))


def answering(port: int) -> set[str]:
    """Who answers twenty requests, on a connection of their own: Nginx's reloads end idle ones."""
    client = Client(port)
    return {client.ask().server for _ in range(20)}


@pytest.mark.parametrize("check", ["http", "tcp"])
@pytest.mark.parametrize("proxy", EACH)
def test_standby_by_swarm(proxy, check, short_dir):
    """The main server alone; the standbys, all of them, while it leaves and when it is gone; the main one again."""
    made = settings(proxy, short_dir)
    with application() as main, http_servers() as reserve:
        up, leaving, gone = (
            cluster(main.port, reserve.port, main=wanted, health_check=check) for wanted in ("running", "shutdown", "")
        )
        port = ports_of(made)["web"]
        with changing(made, up) as bring_to:
            assert answering(port) == {MAIN}
            for snapshot in (leaving, gone):
                assert bring_to(snapshot) in METHODS[proxy]
                assert answering(port) == {*RESERVE}
            assert bring_to(up) in METHODS[proxy]
            wait_for(lambda: Client(port).ask().server == MAIN, "the main server to get requests again")
            assert answering(port) == {MAIN}


# Traefik asks no HTTP server whether it takes connections: lint tells.
@pytest.mark.parametrize(
    ("proxy", "check"),
    [
        pytest.param(name, check, marks=pytest.mark.proxy(name))
        for name in PROXIES
        for check in ("http", "tcp")
        if (name, check) != ("traefik", "tcp")
    ],
)
def test_standby_by_check(proxy, check, short_dir):
    """Swarm says that the main server runs, and it refuses connections: the standbys, until it answers again."""
    made = settings(proxy, short_dir)
    with (
        application() as main,
        http_servers() as reserve,
        changing(made, cluster(main.port, reserve.port, health_check=check)),
    ):
        port = ports_of(made)["web"]
        assert answering(port) == {MAIN}
        main.stop()
        wait_for(lambda: Client(port).ask().status == 200, "a standby to answer")
        assert answering(port) == {*RESERVE}
        main.start()
        wait_for(lambda: Client(port).ask().server == MAIN, "the main server to get requests again")


@pytest.mark.parametrize("proxy", [each for each in EACH if each.values != ("traefik",)])
def test_standby_of_tcp(proxy, short_dir):
    """TCP routes have standbys, too: by Swarm, and where the main server refuses connections."""
    made = settings(proxy, short_dir, "tcp")
    closed = free_port()
    with tcp_servers() as servers:
        port = ports_of(made)["web"]
        up, dead = (cluster(main, servers.port, prefix="tcp.db.") for main in (servers.port, closed))
        with changing(made, up) as bring_to:
            assert {stream(port, None) for _ in range(10)} == {MAIN}
            bring_to(dead)
            wait_for(lambda: stream(port, None) in RESERVE, "a standby to answer")
            assert {stream(port, None) for _ in range(10)} == {*RESERVE}
            bring_to(up)
            wait_for(lambda: stream(port, None) == MAIN, "the main server to get connections again")
