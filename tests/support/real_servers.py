"""HTTP and TCP servers for a proxy to talk to: every address in 127.0.0.0/8 is one of its own."""

from __future__ import annotations

import contextlib
import json
import socketserver
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.wait import PATIENCE


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
            path = self.requestline.split(" ")[1]  # self.path has no "//" at its beginning
            servers.seen.append((where, self.command, path))
            mood = servers.moods.get(where, "")
            if mood == "empty":
                self.close_connection = True
                return
            if mood == "slow" or "X-Hold" in self.headers:
                servers.release.wait(PATIENCE)
            headers = {name.lower(): self.headers.get_all(name) for name in self.headers}
            said = {"address": where, "method": self.command, "path": path, "headers": headers}
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
            """A checker or client that hangs up is not an error."""

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
            """A checker or client that hangs up is not an error."""

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
