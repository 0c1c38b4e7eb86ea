"""A proxy before a Docker socket that allows reading only, and that can go away, come back and hang.

It writes down every request, so that a test can say what lbgen asked for: the shape of ``docker-socket-proxy`` and its
like, which people put between lbgen and the engine.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

READ_ONLY = frozenset(
    {"/_ping", "/version", "/info", "/swarm", "/services", "/tasks", "/nodes", "/networks", "/events"}
)


class SocketProxy:
    """Forwards GET requests for `allow` from the unix socket `path` to the one at `upstream`; refuses all else.

    As a context manager it listens inside of the block.
    """

    def __init__(self, path: Path, upstream: Path, allow: Collection[str] = READ_ONLY) -> None:
        self.path, self.upstream, self.allow = path, upstream, frozenset(allow)
        self.endpoint = f"unix://{path}"
        self.requests: list[tuple[str, str]] = []  # method, path without version and query; refused ones as well
        self.refused: list[tuple[str, str]] = []
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()

    def __enter__(self) -> SocketProxy:
        self.come_back()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.go_away()

    def come_back(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.path))
        listener.listen(50)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def go_away(self) -> None:
        """Remove the socket and cut every connection."""
        self.path.unlink(missing_ok=True)
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.resume()
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            _cut(connection)

    def pause(self) -> None:
        """Accept connections and requests, but forward nothing: an engine that hangs."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self._lock:
            self._connections |= {client, server}
        try:
            server.connect(str(self.upstream))
            threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
            self._questions(client, server)
        except OSError:
            pass
        finally:
            _cut(client)
            _cut(server)
            with self._lock:
                self._connections -= {client, server}
            client.close()

    def _questions(self, client: socket.socket, server: socket.socket) -> None:
        waiting = b""
        while True:
            while b"\r\n\r\n" not in waiting:
                data = client.recv(65536)
                if not data:
                    return
                waiting += data
            head, _, waiting = waiting.partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n")[0].decode("ascii").split(" ")
            request = (method, re.sub(r"^/v[0-9.]+(?=/)", "", target.partition("?")[0]))
            self.requests.append(request)
            self._flowing.wait()
            if method != "GET" or request[1] not in self.allow:
                self.refused.append(request)
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nConnection: close\r\n\r\nforbidden")
                return
            server.sendall(head + b"\r\n\r\n")

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                self._flowing.wait()
                client.sendall(data)
        _cut(client)
        server.close()


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
