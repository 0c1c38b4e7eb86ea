"""A real HAProxy on rendered files, servers for it to talk to, and clients to talk to it. For tests marked ``proxy``.

``TEST_HAPROXY=/path/to/haproxy pytest -m proxy`` asks another version than the one in PATH.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbgen.proxies.haproxy import apply as haproxy

T = TypeVar("T")
BINARY = os.environ.get("TEST_HAPROXY", "haproxy")
DEADLINE = 60.0  # seconds until a test that waits for something gives up


def eventually(found: Callable[[], T], what: str = "") -> T:
    """Ask until the answer is true, and return it; fail after DEADLINE with the last one."""
    deadline = time.monotonic() + DEADLINE
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited in vain for {what or found}: {answer!r}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a TCP port that nobody uses on 127.0.0.1, nor will soon: none of those that clients are given."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def certificate(path: Path, *names: str) -> Path:
    """Write a self-signed certificate for these names, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


# ------------------------------------------------------------------------------------------------ servers


@dataclass
class Servers:
    """One process's worth of servers: every address in 127.0.0.0/8 is a server of its own on `port`.

    An HTTP server answers with its address and what it was asked. ``moods`` gives single addresses another
    behaviour: "empty" (hangs up without an answer), "ill" (503), "slow" (answers when `release` is set). A request with
    the header X-Hold is answered then, too.
    """

    port: int = 0
    moods: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)  # address, method, path
    connected: list[str] = field(default_factory=list)  # TCP: address, for each connection
    release: threading.Event = field(default_factory=threading.Event)

    def asked(self, method: str = "", path: str = "") -> Counter[str]:
        """Count the requests by address."""
        return Counter(where for where, how, what in list(self.seen) if method in ("", how) and path in ("", what))


@contextlib.contextmanager
def http_servers(tls: ssl.SSLContext | None = None) -> Iterator[Servers]:
    """Run HTTP servers, with TLS if there is a context. A request says in X-Answer which headers it wants back."""
    servers = Servers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            where = self.connection.getsockname()[0]
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            servers.seen.append((where, self.command, self.path))
            mood = servers.moods.get(where, "")
            if mood == "empty":
                self.close_connection = True
                return
            if mood == "slow" or "X-Hold" in self.headers:
                servers.release.wait(DEADLINE)
            headers = {name.lower(): self.headers.get_all(name) for name in self.headers}
            said = {"address": where, "method": self.command, "path": self.path, "headers": headers}
            text = json.dumps({**said, "body": body.decode("latin-1")}).encode()
            self.send_response(503 if mood == "ill" else 200)
            self.send_header("Content-Length", str(len(text)))
            for wished in self.headers.get_all("X-Answer", []):
                self.send_header(*wished.split(": ", 1))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def finish_request(self, request: Any, client_address: Any) -> None:
            """In the connection's own thread: a check that says nothing must not hold others."""
            with contextlib.suppress(OSError):
                super().finish_request(tls.wrap_socket(request, server_side=True) if tls else request, client_address)

        def handle_error(self, *_: object) -> None:
            """A checker or client that hangs up is no error."""

    with Server(("0.0.0.0", 0), Handler) as server:
        servers.port = server.server_port
        with _serving(server):
            yield servers
        servers.release.set()


@contextlib.contextmanager
def tcp_servers(tls: ssl.SSLContext | None = None, *, first: bool = False) -> Iterator[Servers]:
    """Run TCP servers that answer one line with their address, or say it `first`; with TLS if there is a context."""
    servers = Servers()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            where = self.connection.getsockname()[0]
            servers.connected.append(where)
            if first or self.rfile.readline():
                servers.seen.append((where, "", ""))
                self.wfile.write(f"{where}\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            """In the connection's own thread, unlike `get_request`: a check that says nothing must not hold others."""
            with contextlib.suppress(OSError):
                super().finish_request(tls.wrap_socket(request, server_side=True) if tls else request, client_address)

        def handle_error(self, *_: object) -> None:
            """A checker or client that hangs up is no error."""

    with Server(("0.0.0.0", 0), Handler) as server:
        servers.port = server.server_address[1]
        with _serving(server):
            yield servers


@contextlib.contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


# ------------------------------------------------------------------------------------------------ haproxy


def check(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run ``haproxy -c`` on the file in a directory."""
    words = [BINARY, "-c", "-f", str(directory / "haproxy.cfg")]
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Process:
    """A HAProxy master on the files of a directory, with ``master.sock`` and ``haproxy.sock`` in it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.log = directory, directory / "haproxy.log"
        words = [BINARY, "-W", "-S", f"{directory}/master.sock", "-f", f"{directory}/haproxy.cfg"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self._is_up, "haproxy to start")

    @property
    def pid(self) -> int:
        """The master's."""
        return self._process.pid

    def ask(self, command: str) -> str:
        """Ask the worker through its stats socket."""
        return haproxy.ask(self.directory / "haproxy.sock", command)

    def status(self, backend: str) -> dict[str, str]:
        """Return the status of each server of a backend, as ``show stat`` spells it."""
        rows = [line.split(",") for line in self.ask("show stat").splitlines() if line.startswith(f"{backend},")]
        return {row[1]: row[17] for row in rows if row[1] not in ("FRONTEND", "BACKEND")}

    def stop(self) -> None:
        """End it, and its workers."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return "Pid" in self.ask("show info")
        except haproxy.ProxyUnreachable:
            return False


# ------------------------------------------------------------------------------------------------ clients


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    said: Mapping[str, Any]  # what a server of `http_servers` told; empty if HAProxy answered itself

    @property
    def server(self) -> str:
        """The address of the server that answered."""
        return str(self.said.get("address", ""))

    def header(self, name: str) -> list[str]:
        """What the server got as this header."""
        return list(self.said["headers"].get(name.lower(), []))


class Client:
    """An HTTP client on one connection, opened anew where the proxy closes it."""

    def __init__(self, port: int, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._connection = (
            http.client.HTTPSConnection(address, port, context=tls, timeout=DEADLINE)
            if tls
            else http.client.HTTPConnection(address, port, timeout=DEADLINE)
        )

    def ask(
        self,
        path: str = "/",
        host: str = "a.org",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str = "",
    ) -> Answer:
        """Send one request."""
        self._connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **(headers or {})}.items():
            self._connection.putheader(name, value)
        if body:
            self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body.encode() or None)
        with self._connection.getresponse() as response:
            text = response.read()
            return Answer(response.status, json.loads(text) if text.startswith(b"{") else {})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def raw(port: int, text: str, address: str = "127.0.0.1") -> bytes:
    """Send these very bytes and return all that comes back."""
    with socket.create_connection((address, port), timeout=DEADLINE) as connection:
        connection.sendall(text.encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def line(port: int, name: str | None = None, *, tls: bool = False, say: bytes = b"hello\n") -> str:
    """Open a TCP connection, with TLS for this server name if asked for, and return the line that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain:
        connection = anybody().wrap_socket(plain, server_hostname=name) if tls else plain
        connection.sendall(say)
        return connection.makefile("r").readline().strip()


def anybody() -> ssl.SSLContext:
    """A client's context that takes every certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
