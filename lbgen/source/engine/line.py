"""The connections of one client, so that another thread can hang up while a request is under way.

A request that never ends, because its answer drips for ever say, holds a thread and a connection. Time-outs do not end
it, since each counts the silence between two bytes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import requests
from docker.transport.basehttpadapter import BaseHTTPAdapter
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Line:
    """Every connection that is open now. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._cut = False

    def cut(self) -> None:
        """Hang up for good: whatever is under way fails soon, and what begins later at once."""
        with self._lock:
            self._cut = True
            sockets = list(self._sockets)
        for connection in sockets:
            with contextlib.suppress(OSError):
                # Not that of SSLSocket, which would take its TLS away from under the reader.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def watch(self, kind: type[HTTPConnection]) -> type[Any]:
        """Return this kind of connection, of which each belongs to the line once it is connected."""
        line = self

        class Connection(kind):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                try:
                    line._add(self.sock)
                except ConnectionAbortedError:
                    self.close()
                    raise

        return Connection

    def _add(self, connection: socket.socket) -> None:
        with self._lock:
            if self._cut:
                raise ConnectionAbortedError("given up meanwhile")
            self._sockets.add(connection)


class OnePool(BaseHTTPAdapter):
    """A requests adapter for what has no address in URLs: a unix socket, a command."""

    def __init__(self, connection: Callable[[], HTTPConnection], timeout: float) -> None:
        self._pool = _Pool(connection, timeout)
        super().__init__()

    def get_connection(self, url: str | bytes, proxies: object = None) -> HTTPConnectionPool:  # noqa: ARG002
        """Return the one pool there is; called by docker-py's base class for every request."""
        return self._pool

    def request_url(self, request: Any, proxies: object) -> str:  # noqa: ARG002 -- the signature is requests' own
        return str(request.path_url)

    def close(self) -> None:
        super().close()
        self._pool.close()


class _Pool(HTTPConnectionPool):
    def __init__(self, connection: Callable[[], HTTPConnection], timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=4)
        self._connection = connection

    def _new_conn(self) -> HTTPConnection:
        return self._connection()


class TcpAdapter(HTTPAdapter):
    """requests' own adapter, also through a proxy, with all connections on the line."""

    def __init__(self, line: Line) -> None:
        self._pools = {
            "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": line.watch(HTTPConnection)}),
            "https": type("_TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": line.watch(HTTPSConnection)}),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def mount(session: requests.Session, line: Line) -> None:
    """Have all requests to TCP addresses go over the line."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, TcpAdapter(line))
