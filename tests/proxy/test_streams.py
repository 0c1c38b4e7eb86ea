"""TCP and UDP in the corners: who speaks first, who ends first, who is gone; with real traffic."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.ports import free_port
from tests.support.real_udp import udp_servers
from tests.support.running import PROXIES, changing, ports_of, running
from tests.support.wait import PATIENCE, wait_for

every_proxy = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
UDP = ("nginx", "traefik")


def settings_of(proxy: str, directory: Path, protocol: str = "tcp", **listener: str) -> Settings:
    """One listener, and one proxy that lbgen runs."""
    return Settings.model_validate(
        {
            "listeners": {"line": {"bind": f"127.0.0.1:{free_port()}", "protocol": protocol, **listener}},
            "default_listeners": ["line"],
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


def cluster(*services: tuple[dict[str, object], str], port: int) -> Snapshot:
    """Services with a task each."""
    facts = [app(f"s{number}", keys, port, address) for number, (keys, address) in enumerate(services)]
    return a_snapshot(a_node(), a_network("edge"), *(fact for own in facts for fact in own))


@contextmanager
def servers(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """TCP servers on all addresses."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Server(("", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def read(connection: socket.socket) -> bytes:
    """All that the peer sends until it ends."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def connected(proxy: str, directory: Path, port: int) -> Iterator[socket.socket]:
    """A client of a proxy that has one server, on this port."""
    snapshot = cluster(({"tcp.a.port": port}, "127.1.0.1"), port=port)
    with (
        running(settings_of(proxy, directory), snapshot) as ports,
        socket.create_connection(("127.0.0.1", ports["line"]), PATIENCE) as client,
    ):
        yield client


@every_proxy
def test_client_ends_first(proxy, short_dir):
    """A client that has sent all it has gets the whole answer, also where the server takes its time."""

    def answer(connection: socket.socket) -> None:
        asked = read(connection)
        threading.Event().wait(0.5)
        connection.sendall(asked.upper())
        threading.Event().wait(0.5)
        connection.sendall(b"!")

    with servers(answer) as port, connected(proxy, short_dir, port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read(client) == b"HELLO!"


@every_proxy
def test_server_ends_first(proxy, short_dir):
    """A server that has said all it has is still told what the client has to say."""
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        connection.sendall(b"go on")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read(connection))

    with servers(listen) as port, connected(proxy, short_dir, port) as client:
        assert read(client) == b"go on"
        for word in (b"one ", b"two ", b"three"):
            threading.Event().wait(0.25)
            client.sendall(word)
        client.shutdown(socket.SHUT_WR)
        assert wait_for(lambda: heard, "the server") == [b"one two three"]


def greet(connection: socket.socket) -> None:
    """Speak first."""
    connection.sendall(b"220 welcome\r\n")
    read(connection)


def greeting(port: int) -> bytes:
    """What a client gets that says nothing; empty if the connection ends."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        return client.makefile("rb").readline()


@every_proxy
def test_server_speaks_first(proxy, short_dir):
    """Where no route of a listener has a name nobody waits for the client, however long it may take."""
    with servers(greet) as port:
        snapshot = cluster(({"tcp.a.port": port}, "127.1.0.1"), port=port)
        with running(settings_of(proxy, short_dir, hello_timeout="1h"), snapshot) as ports:
            assert greeting(ports["line"]) == b"220 welcome\r\n"


@every_proxy
def test_server_speaks_first_beside_names(proxy, short_dir):
    """Where some have names the client has to begin: HAProxy waits as long as is set, others hang up then."""
    with servers(greet) as port:
        named = {"tcp.a.port": port, "tcp.a.sni": "a.org"}
        snapshot = cluster((named, "127.1.0.1"), ({"tcp.b.port": port}, "127.1.0.2"), port=port)
        with running(settings_of(proxy, short_dir, hello_timeout="300ms"), snapshot) as ports:
            assert greeting(ports["line"]) == (b"220 welcome\r\n" if proxy == "haproxy" else b"")


@every_proxy
def test_keep_alive(proxy, short_dir):
    """The kernel asks idle peers whether they are still there, clients and servers."""
    with servers(greet) as port, connected(proxy, short_dir, port) as client:
        client.recv(1)

        def asked(words: str) -> bool:
            command = ["ss", "-tnoH", "state", "established", *words.split()]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            return "keepalive" in said

        wait_for(lambda: asked(f"sport = :{client.getpeername()[1]}"), "the client's to be asked")
        wait_for(lambda: asked(f"dport = :{port} dst 127.1.0.1"), "the server's to be asked")


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in UDP])
def test_senders_from_one_port(proxy, short_dir):
    """A sender that never pauses is moved by Nginx when its server goes; Traefik moves it when it pauses for 3 s."""
    with udp_servers() as udp:
        settings = settings_of(proxy, short_dir, "udp")

        def on(address: str) -> Snapshot:
            return cluster(({"udp.a.port": udp.port}, address), port=udp.port)

        with changing(settings, on("127.1.0.1")) as bring_to, socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.settimeout(0.2)
            sender.connect(("127.0.0.1", ports_of(settings)["line"]))

            def server() -> str:
                with suppress(OSError):
                    sender.send(b"hello")
                    return sender.recv(1024).decode()
                return ""

            wait_for(lambda: server() == "127.1.0.1", "the first server")
            bring_to(on("127.1.0.2"))
            if proxy == "nginx":
                wait_for(lambda: server() == "127.1.0.2", "the second server")
            else:
                assert {server() for _ in range(50)} == {"127.1.0.1"}

                def after_a_pause() -> bool:
                    threading.Event().wait(4)
                    return server() == "127.1.0.2"

                wait_for(after_a_pause, "the second server")
