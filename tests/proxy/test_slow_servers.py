"""What a slow answer, and a server that is gone, cost the clients of others: with every proxy, nothing but a retry."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.builders import app
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_servers import Servers, http_servers
from tests.support.running import PROXIES, serving
from tests.support.wait import PATIENCE

pytestmark = pytest.mark.timeout(600)
every_proxy = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])


@pytest.fixture
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as made:
        yield made


@every_proxy
def test_one_slow_url(proxy, servers, short_dir):
    """Clients that ask for a URL until it times out take no server from anybody else, and each asks one server once."""
    keys = {"timeout.response": "3s", "health-check": "tcp"}
    with serving(proxy, short_dir, *app("web", keys, servers.port, "127.1.0.1", "127.1.0.2")) as port:
        slow, others, done = Counter[int](), Counter[int](), threading.Event()

        def ask_slowly() -> None:
            slow[Client(port).ask("/slow", headers={"X-Hold": "1"}).status] += 1

        def ask_on() -> None:
            client = Client(port)
            while not done.is_set():
                others[client.ask("/fast").status] += 1

        askers = [threading.Thread(target=ask_slowly) for _ in range(8)]
        other = threading.Thread(target=ask_on)
        for thread in (*askers, other):
            thread.start()
        for thread in askers:
            thread.join(PATIENCE)
        client = Client(port)
        after = Counter(client.ask("/fast").server for _ in range(20))
        done.set()
        other.join(PATIENCE)
    assert slow == {504: 8}
    assert sum(servers.asked(path="/slow").values()) == 8
    assert set(others) == {200}
    assert set(after) == {"127.1.0.1", "127.1.0.2"}


@every_proxy
@pytest.mark.parametrize("how", ["refused", "swallowed"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_server_that_is_gone(proxy, how, method, short_dir):
    """Where one of two servers refuses connections, or swallows them, every request is answered by the other one."""
    port = free_port()
    keys = {"health-check": "off", "timeout.connect": "500ms"}
    with (
        a_server("127.1.0.1", port),
        swallowing("127.1.0.2", port) if how == "swallowed" else contextlib.nullcontext(),
        serving(proxy, short_dir, *app("web", keys, port, "127.1.0.1", "127.1.0.2")) as listener,
    ):
        statuses = Counter(Client(listener).ask(method=method, body="x").status for _ in range(6))
    assert statuses == {200: 6}


@contextlib.contextmanager
def a_server(address: str, port: int) -> Iterator[None]:
    """Run an HTTP server at one address only, which takes one request from each connection."""
    with socket.create_server((address, port), backlog=64) as listener:
        listener.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rb") as said:
                        said.readline()
                        said.read(int(http.client.parse_headers(said).get("Content-Length", 0)))
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def swallowing(address: str, port: int) -> Iterator[None]:
    """Have an address whose port answers no packet: its queue of connections is full, and nobody takes them."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((address, port))
        probe = stack.enter_context(socket.socket())
        probe.settimeout(0.3)
        with pytest.raises(TimeoutError):
            probe.connect((address, port))
        yield
