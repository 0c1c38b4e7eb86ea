"""The processor time that a proxy takes for requests: the same on a busy machine as on an idle one, about."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.support.wait import PATIENCE


def seconds(pid: int) -> float:
    """The processor time of a process and its children, threads included, as far as they still run."""
    # /proc/PID/stat has hundredths of a second only.
    own = sum(int(_read(path).split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    return own + sum(map(seconds, children(pid)))


def seconds_of_children() -> float:
    """The processor seconds of all that this process has started and that still runs, and of theirs."""
    return sum(map(seconds, children(os.getpid())))


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in found for child in _read(path, "").split()]


def _read(path: Path, gone: str = "0") -> str:
    try:
        return path.read_text()
    except OSError:
        return gone


def per_request(pid: int, port: int, request: bytes, number: int) -> tuple[float, bytes]:
    """Send a request so many times, over as few connections as the proxy lets; return the seconds of processor time
    that each took, and the status line of the last answer."""
    before, status = seconds(pid), b""
    connection = None
    for _ in range(number):
        connection = connection or socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        connection.sendall(request)
        status, keeps = _answer(connection)
        if not keeps:
            connection.close()
            connection = None
    if connection:
        connection.close()
    return (seconds(pid) - before) / number, status


def _answer(connection: socket.socket) -> tuple[bytes, bool]:
    """Read one answer; return its status line and whether the connection stays open."""
    received = b""
    while b"\r\n\r\n" not in received:
        some = connection.recv(65536)
        if not some:
            return received.partition(b"\r\n")[0], False
        received += some
    head, _, body = received.partition(b"\r\n\r\n")
    lower = head.lower()
    length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
    while len(body) < length:
        some = connection.recv(65536)
        if not some:
            return head.partition(b"\r\n")[0], False
        body += some
    return head.partition(b"\r\n")[0], b"connection: close" not in lower
