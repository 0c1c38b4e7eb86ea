"""Time-outs and streams, with real traffic: what lasts longer than a time-out and is busy is not cut off."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, ResponseReceived, StreamEnded, StreamReset

from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import PROXIES, running
from tests.support.wait import PATIENCE

PAUSE = 0.25  # seconds between two pieces of what is busy
PIECES = 8  # so it lasts longer than the time-out of 1 s
GRPC = ("haproxy", "traefik")
every_proxy = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])


def settings_of(proxy: str, directory: Path, **options: str) -> Settings:
    """One listener, and one proxy that lbgen runs."""
    return Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": ""},
            "targets": {
                "edge": {
                    "templates": [proxy],
                    "output": str(directory / "out"),
                    "probe": f"127.0.0.1:{free_port()}",
                    "apply": {"run": True},
                    "options": options,
                }
            },
        }
    )


def cluster(port: int, **keys: str) -> Snapshot:
    """One service for every host, with one task."""
    named = {name.replace("_", "."): value for name, value in keys.items()}
    return a_snapshot(a_node(), a_network("edge"), *app("web", named, port, "127.1.0.1"))


def upload(port: int) -> int:
    """Send a body piece by piece; return the status, 0 if the connection ends before there is one."""
    head = f"POST / HTTP/1.1\r\nHost: a.org\r\nContent-Length: {PIECES}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client, suppress(ConnectionError):
        client.sendall(head.encode())
        for _ in range(PIECES):
            threading.Event().wait(PAUSE)
            client.sendall(b"x")
        words = client.makefile("rb").readline().split()
        return int(words[1]) if words else 0
    return 0


@every_proxy
def test_long_upload(proxy, short_dir):
    """An upload takes longer than the server may to begin its answer."""
    with (
        http_servers() as servers,
        running(settings_of(proxy, short_dir), cluster(servers.port, timeout_response="1s")) as ports,
    ):
        assert upload(ports["web"]) == 200


@pytest.mark.proxy("traefik")
def test_read_timeout(short_dir):
    """Traefik's own time-out for requests cuts it off: so there is none, unless somebody sets it."""
    settings = settings_of("traefik", short_dir, read_timeout="1s")
    with http_servers() as servers, running(settings, cluster(servers.port)) as ports:
        assert upload(ports["web"]) != 200


@every_proxy
def test_late_answer(proxy, short_dir):
    """A server that does not begin its answer in time is given up, with 504."""
    with http_servers() as servers:
        snapshot = cluster(servers.port, timeout_response="1s", retries="0")
        with running(settings_of(proxy, short_dir), snapshot) as ports:
            servers.moods["127.1.0.1"] = "slow"
            assert Client(ports["web"]).ask().status == 504
            servers.release.set()
            assert Client(ports["web"]).ask().status == 200


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in GRPC])
def test_busy_stream(proxy, short_dir):
    """A call of gRPC in which both sides send goes on, whatever the time-outs are while it does."""
    with echoes() as port:
        snapshot = cluster(port, scheme="h2c", timeout_response="1s", timeout_idle="1s")
        with running(settings_of(proxy, short_dir), snapshot) as ports:
            assert call(ports["web"]) == [b"%d" % number for number in range(PIECES)]


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in GRPC])
def test_idle_call(proxy, short_dir):
    """A call of gRPC in which nobody says anything has the time that its label gives."""
    options = {"client_timeout": "1s"} if proxy == "haproxy" else {}
    with echoes() as port:
        snapshot = cluster(port, scheme="h2c", timeout_response="1h")
        with running(settings_of(proxy, short_dir, **options), snapshot) as ports:
            assert call(ports["web"], 2, 3.0) == [b"0", b"1"]


@every_proxy
def test_pause(proxy, short_dir):
    """HAProxy and Nginx end an answer in which the server pauses too long, Traefik waits: docs/proxies.md says so."""
    release = threading.Event()
    ask = b"GET / HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n"
    with (
        pausing(release) as port,
        running(settings_of(proxy, short_dir), cluster(port, timeout_response="1s")) as ports,
    ):
        with socket.create_connection(("127.0.0.1", ports["web"]), PATIENCE) as client:
            client.sendall(ask)
            if proxy == "traefik":
                release.wait(2 * PAUSE * PIECES)
                release.set()
            text = b"".join(iter(lambda: client.recv(65536), b""))
        assert (b"second" in text) == (proxy == "traefik")


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("nginx", "traefik")])
def test_idle_servers(proxy, short_dir):
    """A proxy closes a connection to a server that has nothing to do, before the server does."""
    options = {"server_keep_alive": "1s"}
    closed = threading.Event()
    with keeping(closed) as port, running(settings_of(proxy, short_dir, **options), cluster(port)) as ports:
        assert Client(ports["web"]).ask().status == 200
        assert closed.wait(PATIENCE)


def read_head(file: BinaryIO) -> bool:
    """Read the head of a request; return whether there was one."""
    line = b""
    with suppress(ConnectionError):
        while (line := file.readline()) not in (b"\r\n", b""):
            pass
    return line != b""


@contextmanager
def keeping(closed: threading.Event) -> Iterator[int]:
    """Servers that keep connections, and tell when the peer has closed one."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while read_head(self.rfile):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            closed.set()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Server(("", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextmanager
def pausing(release: threading.Event) -> Iterator[int]:
    """Servers that begin an answer, and go on with it when they are told to."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            read_head(self.rfile)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst\n")
            release.wait(PATIENCE)
            with suppress(ConnectionError):
                self.wfile.write(b"second")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Server(("", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            release.set()
            server.shutdown()


def call(port: int, pieces: int = PIECES, pause: float = PAUSE) -> list[bytes]:
    """Send pieces on a stream of HTTP/2, one each time that the one before came back; return what did."""
    h2 = H2Connection(H2Configuration(client_side=True))
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        h2.initiate_connection()
        headers = [(":method", "POST"), (":path", "/echo"), (":scheme", "http"), (":authority", "a.org")]
        h2.send_headers(1, [*headers, ("content-type", "application/grpc"), ("te", "trailers")])
        client.sendall(h2.data_to_send())
        back: list[bytes] = []
        for number in range(pieces):
            threading.Event().wait(pause)
            h2.send_data(1, b"%d" % number, end_stream=number == pieces - 1)
            client.sendall(h2.data_to_send())
            while len(back) <= number:
                for event in h2.receive_data(client.recv(65536)):
                    if isinstance(event, ResponseReceived):
                        assert dict(event.headers)[b":status"] == b"200"
                    if isinstance(event, StreamReset | StreamEnded) and len(back) < pieces:
                        return back
                    if isinstance(event, DataReceived) and event.data:
                        back.append(event.data)
                client.sendall(h2.data_to_send())
    return back


@contextmanager
def echoes() -> Iterator[int]:
    """Servers of HTTP/2 without TLS that send all they get back."""
    with socket.create_server(("", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def echo(connection: socket.socket) -> None:
    """Serve one connection."""
    h2 = H2Connection(H2Configuration(client_side=False))
    with closing(connection), suppress(ConnectionError):
        h2.initiate_connection()
        connection.sendall(h2.data_to_send())
        while data := connection.recv(65536):
            for event in h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    h2.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                if isinstance(event, DataReceived):
                    h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    h2.send_data(event.stream_id, event.data)
                if isinstance(event, StreamEnded):
                    h2.end_stream(event.stream_id)
            connection.sendall(h2.data_to_send())
