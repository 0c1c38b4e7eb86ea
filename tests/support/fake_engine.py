"""A small Engine API on a unix socket, for what a real engine cannot be made to do at will.

Its replies are those recorded in ``engine-20.10``. Copied from the real engine (20.10.24):

- every path with and without a version prefix; ``/version`` names ``ApiVersion`` and ``MinAPIVersion``;
- ``/events`` sends its headers at once, then one chunk per event, and nothing while nothing happens;
- lists of a node that is not a manager: status 503, ``{"message": "This node is not a swarm manager. ..."}``;
- ``/info`` always answers: ``Swarm.LocalNodeState``, ``Swarm.ControlAvailable``, ``Swarm.Cluster.ID``;
- connections are kept open between requests; every reply has a ``Date``;
- a stopped daemon (SIGSTOP): the kernel still accepts connections, nobody answers.
"""

from __future__ import annotations

import contextlib
import copy
import json
import queue
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from tests.support.paths import FIXTURES

NOT_A_MANAGER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)
_END, _CUT = object(), object()


def recorded(kind: str, engine: str = "20.10") -> Any:
    """A recorded reply, to be changed at will."""
    return json.loads((FIXTURES / f"engine-{engine}" / f"{kind}.json").read_text())


class FakeEngine:
    """One engine. Its attributes may be changed at any time, from the test's thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.endpoint = f"unix://{path}"
        self.replies = {name: recorded(name) for name in ("nodes", "services", "tasks", "networks", "info", "version")}
        self.failures: dict[str, tuple[int, str]] = {}  # path -> status, message
        self.requests: list[tuple[str, str]] = []  # method, path without version and query
        self.queries: list[tuple[str, dict[str, list[str]]]] = []
        self.versions: set[str] = set()  # asked for in paths
        self.raw: dict[str, Callable[[BinaryIO], None]] = {}  # path -> writes the whole reply, its head too
        self.on_headers: Any = None  # called with the request's headers
        self.before_reply: Any = None  # called with the path before each reply is made
        self.silent = False  # events that happen are not sent
        self.opened = 0  # event streams so far
        self._hanging: set[str] = set()
        self._released = threading.Condition()
        self._streams: list[queue.Queue[Any]] = []
        self.connections: set[socket.socket] = set()
        self._server: _Server | None = None
        self.start()

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, again if it was stopped."""
        self.path.unlink(missing_ok=True)
        self._server = _Server(str(self.path), self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be gone, as a stopped daemon: no socket, all connections cut."""
        self.path.unlink(missing_ok=True)
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self.resume()
        self.end_streams(cut=True)
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def hang(self, *paths: str) -> None:
        """Accept requests for these paths (all, if none is given) and never answer, until `resume`."""
        with self._released:
            self._hanging = set(paths) or {"*"}

    def resume(self) -> None:
        with self._released:
            self._hanging = set()
            self._released.notify_all()

    # -- the cluster ---------------------------------------------------------------------------------------------

    def demote(self) -> None:
        """Become a worker."""
        self.replies["info"]["Swarm"] |= {"ControlAvailable": False, "Cluster": None}
        for path in ("/services", "/tasks", "/nodes"):
            self.failures[path] = (503, NOT_A_MANAGER)

    def service(self, name: str) -> dict[str, Any]:
        """The named service's object, for changes."""
        return next(item for item in self.replies["services"] if item["Spec"]["Name"] == name)

    def tasks_of(self, name: str, state: str = "running") -> list[dict[str, Any]]:
        """The tasks of a service that are in a state, for changes."""
        id_ = self.service(name)["ID"]
        return [t for t in self.replies["tasks"] if t.get("ServiceID") == id_ and t["Status"]["State"] == state]

    def label(self, name: str, value: str, tell: bool = True) -> None:
        """Set the label "test" of a service."""
        service = copy.deepcopy(self.service(name))
        service["Spec"]["Labels"]["test"] = value
        self.replies["services"] = [service if s["ID"] == service["ID"] else s for s in self.replies["services"]]
        if tell:
            self.tell("service", service["ID"])

    def tell(self, kind: str, id_: str = "x", action: str = "update") -> None:
        """Send an event to all streams."""
        event = {"Type": kind, "Action": action, "Actor": {"ID": id_, "Attributes": {}}, "scope": "swarm"}
        event |= {"time": int(time.time()), "timeNano": time.time_ns()}
        if not self.silent:
            self.send(json.dumps(event).encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Send bytes to all streams, as one chunk."""
        for stream in list(self._streams):
            stream.put(data)

    def end_streams(self, cut: bool = False) -> None:
        """End all event streams, properly or by cutting their connections."""
        for stream in list(self._streams):
            stream.put(_CUT if cut else _END)

    @property
    def streams(self) -> int:
        """How many event streams are open."""
        return len(self._streams)

    def answer(self, path: str, query: Mapping[str, list[str]]) -> Any:  # noqa: ARG002 - for those that filter
        """What stands at a path, None for nothing."""
        return self.replies.get(path[1:])

    def count(self, path: str) -> int:
        """How many requests there were for a path."""
        return sum(asked == path for _, asked in self.requests)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 50

    def __init__(self, path: str, engine: FakeEngine) -> None:
        self.engine = engine
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.engine: FakeEngine = self.server.engine  # type: ignore[attr-defined]
        self.engine.connections.add(self.connection)

    def finish(self) -> None:
        self.engine.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """No log."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        versioned = re.fullmatch(r"(?:/v([0-9.]+))?(/.*)", url.path)
        assert versioned is not None
        path = versioned[2]
        if versioned[1]:
            self.engine.versions.add(versioned[1])
        self.engine.requests.append((self.command, path))
        self.engine.queries.append((path, parse_qs(url.query)))
        if self.engine.on_headers:
            self.engine.on_headers(dict(self.headers))
        self._hang(path)
        if self.engine.before_reply:
            self.engine.before_reply(path)
        if path in self.engine.raw:
            self.close_connection = True
            self.engine.raw[path](self.wfile)
        elif path in self.engine.failures:
            status, message = self.engine.failures[path]
            self._reply(status, {"message": message})
        elif path == "/events":
            self._events()
        else:
            found = self.engine.answer(path, parse_qs(url.query))
            self._reply(404 if found is None else 200, {"message": "page not found"} if found is None else found)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def _hang(self, path: str) -> None:
        with self.engine._released:
            self.engine._released.wait_for(lambda: not {"*", path} & self.engine._hanging)

    def _reply(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        stream: queue.Queue[Any] = queue.Queue()
        self.engine._streams.append(stream)
        self.engine.opened += 1
        try:
            while (item := self._next(stream)) not in (_END, _CUT):
                self.wfile.write(f"{len(item):x}\r\n".encode() + item + b"\r\n")
            if item is _END:
                self.wfile.write(b"0\r\n\r\n")
        finally:
            self.engine._streams.remove(stream)
            self.close_connection = True

    def _next(self, stream: queue.Queue[Any]) -> Any:
        """What to send next; the engine notices at once when a client is gone."""
        while True:
            with contextlib.suppress(queue.Empty):
                return stream.get(timeout=0.02)
            with contextlib.suppress(BlockingIOError):
                if not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    return _CUT
