"""Single requests from any network namespace of the machine, answered for rather than counted.

A socket belongs to the namespace of the thread that makes it, for good. So a thread is sent into the
namespace just to open the socket, and everything else happens here: no helper process, no forked interpreter,
1 ms.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

STREAM = socket.SOCK_STREAM
CLONE_NEWNET = 0x40000000
TIMEOUT = 5.0  # seconds, for each step of a request


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: str = field(repr=False)

    @property
    def app(self) -> str:
        """The application that answered (X-App); "" if none did."""
        return self.headers.get("x-app", "")

    @property
    def version(self) -> str:
        """The --version of that application."""
        return self.headers.get("x-version", "")


def socket_in(netns: str | None, family: int = socket.AF_INET, kind: int = STREAM) -> socket.socket:
    """Open a socket in the network namespace at path `netns`; None is the present one."""
    if netns is None:
        return socket.socket(family, kind)
    made: list[socket.socket] = []
    problems: list[BaseException] = []

    def make() -> None:
        try:
            descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(descriptor, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), netns)
            finally:
                os.close(descriptor)
            made.append(socket.socket(family, kind))
        except OSError as problem:
            problems.append(problem)

    thread = threading.Thread(target=make)  # ends at once, and its namespace with it
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return made[0]


def connect(address: str, port: int, netns: str | None = None, timeout: float = TIMEOUT) -> socket.socket:
    """A connected TCP socket; `address` is an IP literal, since other namespaces have no resolver."""
    made = socket_in(netns, socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.settimeout(timeout)
    try:
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


def get(
    address: str,
    port: int,
    path: str = "/",
    *,
    host: str | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    netns: str | None = None,
    tls: bool = False,
    timeout: float = TIMEOUT,
) -> Answer:
    """Send one HTTP request on a connection of its own and return the answer.

    Args:
        host: Host header, and with `tls` (which verifies nothing) also the server name.
    Raises:
        OSError: refused, reset, timed out; also a connection closed without an answer, as a ConnectionError.
    """
    sent = {"Host": host or f"{address}:{port}", "Connection": "close", **(headers or {})}
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    raw = connect(address, port, netns, timeout)
    try:
        connection.sock = _tls(raw, host) if tls else raw
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        names = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, names, reply.read().decode(errors="replace"))
    except http.client.HTTPException as problem:
        raise ConnectionError(f"no HTTP answer from {address}:{port}: {problem!r}") from problem
    finally:
        connection.close()
        raw.close()


def _tls(raw: socket.socket, name: str | None) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(raw, server_hostname=name)


def tcp_get(address: str, port: int, *, send: bytes = b"", netns: str | None = None, timeout: float = TIMEOUT) -> str:
    """Connect to an application's --tcp port and return its first line, the host name.

    Args:
        send: written after the first line has arrived; its echo is returned instead.
    """
    with connect(address, port, netns, timeout) as connection, connection.makefile("rb") as stream:
        first = stream.readline()
        if not send:
            return first.decode().strip()
        connection.sendall(send)
        return stream.read(len(send)).decode()


def udp_get(address: str, port: int, send: bytes = b"?", *, netns: str | None = None, timeout: float = TIMEOUT) -> str:
    """Send a datagram to an application's --udp port and return the host name from its answer."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket_in(netns, family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(timeout)
        sender.sendto(send, (address, port))
        return sender.recvfrom(65536)[0].decode(errors="replace").partition("\n")[0]
