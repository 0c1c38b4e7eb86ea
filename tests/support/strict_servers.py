"""HTTP servers that answer only who asks as they want it: by HTTP/1.1, for their host, over TLS for their name."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class StrictServers:
    """Every address in 127.0.0.0/8 is a server of its own on `port`."""

    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # address, Host, path; only what was answered 200
    refused: list[str] = field(default_factory=list)  # request lines with Host that were answered 400
    headers: list[Message] = field(default_factory=list)  # of what was answered 200
    names: list[tuple[str, str | None]] = field(default_factory=list)  # address, TLS name: of all handshakes

    def paths(self, address: str) -> set[str]:
        """Which paths a server was asked for."""
        return {path for where, _, path in list(self.asked) if where == address}


@dataclass(frozen=True)
class Shown:
    """The certificate of a server, and the TLS names that it accepts."""

    pair: tuple[Any, Any]  # paths of the certificate and of its key
    names: Collection[str | None]

    def context(self, told: Callable[[ssl.SSLSocket, str | None], None]) -> ssl.SSLContext:
        """A context that refuses handshakes for other names."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*self.pair)

        def choose(connection: Any, name: str | None, _: ssl.SSLContext) -> int | None:
            told(connection, name)
            return None if name in self.names else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        made.sni_callback = choose  # type: ignore[assignment]
        return made


@contextlib.contextmanager
def strict_servers(
    right: Callable[[str], bool] = lambda _: True,
    tls: Mapping[str, Shown] | None = None,
    address: str = "0.0.0.0",
) -> Iterator[StrictServers]:
    """Run them.

    Args:
        right: whether a Host header is one that they answer for.
        tls: what the server at an address shows; None: there is no TLS.
        address: one that is not of IPv4, such as ::1: the only server has it.
    """
    servers = StrictServers()

    def told(connection: Any, name: str | None) -> None:
        servers.names.append((connection.getsockname()[0], name))

    contexts = {address: shown.context(told) for address, shown in (tls or {}).items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            where, host = self.connection.getsockname()[0], self.headers.get("Host", "")
            good = self.request_version == "HTTP/1.1" and right(host)
            if good:
                servers.asked.append((where, host, self.path))
                servers.headers.append(self.headers)
            else:
                servers.refused.append(f"{self.requestline} {host}")
            text = json.dumps({"address": where, "host": host}).encode()
            self.send_response(200 if good else 400)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def finish_request(self, request: Any, client_address: Any) -> None:
            """In the connection's own thread: a check that says nothing must not hold others."""
            with contextlib.suppress(OSError):
                if contexts:
                    request = contexts[request.getsockname()[0]].wrap_socket(request, server_side=True)
                super().finish_request(request, client_address)

        def handle_error(self, *_: object) -> None:
            """A checker or client that hangs up is not an error."""

    with Server((address, 0), Handler) as server:
        servers.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield servers
        finally:
            server.shutdown()
            thread.join()
