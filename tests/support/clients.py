"""Clients that talk to a proxy: HTTP on one connection, raw bytes, a line over TCP or TLS."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.wait import PATIENCE


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


@dataclass(frozen=True)
class Reply:
    """What came back, as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for each, value in self.headers if each.lower() == name.lower()]


class Client:
    """An HTTP client on one connection, opened anew where the proxy closes it."""

    def __init__(self, port: int, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.connection = (
            http.client.HTTPSConnection(address, port, context=tls, timeout=PATIENCE)
            if tls
            else http.client.HTTPConnection(address, port, timeout=PATIENCE)
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
        self.connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **(headers or {})}.items():
            self.connection.putheader(name, value)
        if body:
            self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body.encode() or None)
        with self.connection.getresponse() as response:
            text = response.read()
            return Answer(response.status, json.loads(text) if text.startswith(b"{") else {})

    def fetch(self, method: str, path: str, host: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send one request, and return the answer as it came."""
        self.connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **headers}.items():
            self.connection.putheader(name, value)
        if body:
            self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body or None)
        with self.connection.getresponse() as response:
            return Reply(response.status, tuple(response.getheaders()), response.read())

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def raw(port: int, text: str, address: str = "127.0.0.1") -> bytes:
    """Send these very bytes and return all that comes back."""
    with socket.create_connection((address, port), timeout=PATIENCE) as connection:
        connection.sendall(text.encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def line(port: int, name: str | None = None, *, tls: bool = False, say: bytes = b"hello\n") -> str:
    """Open a TCP connection, with TLS for this server name if asked for, and return the line that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        connection = anybody().wrap_socket(plain, server_hostname=name) if tls else plain
        connection.sendall(say)
        return connection.makefile("r").readline().strip()


def anybody() -> ssl.SSLContext:
    """A client's context that takes every certificate.

    Without the system's authorities: to load them takes 20 ms, and nobody asks them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
