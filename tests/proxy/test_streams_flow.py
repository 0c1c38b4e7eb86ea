"""Streams flow through every proxy: each event arrives before the application, which waits for that, sends another."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import queue
import socket
import threading
import zlib
from collections.abc import Iterator

import pytest

from tests.support.builders import app
from tests.support.running import PROXIES, serving
from tests.support.wait import PATIENCE

pytestmark = pytest.mark.timeout(600)
every_proxy = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
EVENTS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]
ENOUGH = 10  # seconds that the application waits before it takes an event for held back, and hangs up
WAYS = ["chunked", "closed", "http10"]  # how the application says where its answer ends
TYPES = ["text/event-stream", "application/json", "text/plain"]
# By HAProxy before 3.0, until the next event: the last bytes of what it compresses.
HELD = set(itertools.product(("packed.org",), ("chunked",), TYPES[1:], ("",)))


class Application:
    """Answers every request with EVENTS, and sends each only after the one before it was acknowledged.

    The path says how: /NUMBER/WAY/TYPE, with ?gzip compressed by the application itself, with ?no-transform so marked.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.arrived: dict[str, queue.Queue[bytes]] = {}

    def serve(self) -> None:
        """Answer each client on a thread of its own, until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as said, contextlib.suppress(ConnectionError, queue.Empty):
            words = said.readline().decode().split()
            if words:  # and no check of a server
                http.client.parse_headers(said)
                for data in self._answer(*words[1].split("/", 3)[1:]):
                    connection.sendall(data)

    def _answer(self, number: str, way: str, kind: str) -> Iterator[bytes]:
        kind, _, query = kind.partition("?")
        head = [f"HTTP/1.{0 if way == 'http10' else 1} 200 OK", f"Content-Type: {kind}", "Connection: close"]
        head += ["Content-Encoding: gzip"] if query == "gzip" else []
        head += ["Transfer-Encoding: chunked"] if way == "chunked" else []
        head += ["Cache-Control: no-transform"] if query == "no-transform" else []
        yield "\r\n".join([*head, "", ""]).encode()
        packer = zlib.compressobj(wbits=31)
        for event in EVENTS:
            data = packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) if query == "gzip" else event
            yield b"%x\r\n%s\r\n" % (len(data), data) if way == "chunked" else data
            self.arrived[number].get(timeout=ENOUGH)
        if way == "chunked":
            yield b"0\r\n\r\n"


@pytest.fixture
def application() -> Iterator[Application]:
    """One that runs at 127.1.0.1."""
    with socket.create_server(("127.1.0.1", 0)) as listener:
        made = Application(listener)
        thread = threading.Thread(target=made.serve, daemon=True)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


@every_proxy
def test_streams(proxy, application, short_dir):
    """However an answer ends, of whatever type it is, compressed by the proxy, by the application or not at all."""
    keys = {"health-check": "off"}
    facts = [
        *app("plain", {"host": "plain.org", **keys}, application.port, "127.1.0.1"),
        *app("packed", {"host": "packed.org", "compress": "true", **keys}, application.port, "127.1.0.1"),
    ]
    asked = list(itertools.product(("plain.org", "packed.org"), WAYS, TYPES, ("", "?gzip", "?no-transform")))
    with serving(proxy, short_dir, *facts) as port:
        answers = {question: arrived(application, port, *question) for question in asked}
    held = {question for question, (_, all_of_it) in answers.items() if not all_of_it}
    assert held <= (HELD if proxy == "haproxy" else set())
    marked = {encoding for (*_, query), (encoding, _) in answers.items() if query == "?no-transform"}
    assert marked == ({""} if proxy == "haproxy" else {"", "gzip"})  # which lint tells


def arrived(application: Application, port: int, host: str, way: str, kind: str, query: str) -> tuple[str, bool]:
    """Ask for a stream, and acknowledge each event: its encoding, and whether all arrived before the next was sent."""
    number = str(len(application.arrived))
    acknowledged = application.arrived.setdefault(number, queue.Queue())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", f"/{number}/{way}/{kind}{query}", headers={"Host": host, "Accept-Encoding": "gzip"})
    response = connection.getresponse()
    encoding = response.headers.get("Content-Encoding", "")
    unpack = zlib.decompressobj(wbits=31).decompress if encoding else bytes
    seen = b""
    with contextlib.closing(connection):
        for event in EVENTS:
            while event not in seen:
                try:
                    data = response.read1(65536)
                except http.client.IncompleteRead:
                    data = b""
                if not data:
                    return encoding, False
                seen += unpack(data)
            acknowledged.put(event)
        return encoding, seen == b"".join(EVENTS)
