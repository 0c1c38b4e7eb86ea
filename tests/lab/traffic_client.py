"""The client behind `traffic`: one thread, non-blocking sockets, one outcome for each request.

A request is counted as sent when its turn comes, before anything is tried, and ends in exactly one of `_good`
and `_fail`. Nothing is retried: a retry would hide the loss that a test looks for.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import select
import selectors
import signal
import socket
import statistics
import sys
import time
import urllib.parse
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tests.lab.traffic import FAILURES_KEPT, Result
from tests.lab.traffic_answer import Answer, Malformed

BURST = 0.1  # seconds of schedule that are caught up with after a stall; more is given up
REFUSALS = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, and where to."""

    address: str
    port: int
    method: str
    head: bytes  # without the Connection header and the final empty line
    body: bytes

    @classmethod
    def of(cls, url: str, host: str, path: str, method: str, headers: Iterable[str], body_bytes: int) -> Request:
        parts = urllib.parse.urlsplit(url)
        address = parts.hostname or ""
        if parts.scheme != "http" or ipaddress.ip_address(address).is_global:
            raise SystemExit(f"{url}: only http:// to an address of this machine's own, given as a literal")
        target = path or urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host or parts.netloc}", *headers]
        lines += [f"Content-Length: {body_bytes}"] if body_bytes else []
        head = "".join(f"{line}\r\n" for line in lines).encode()
        return cls(address, parts.port or 80, method, head, b"x" * body_bytes)

    def bytes(self, keepalive: bool) -> bytes:
        return self.head + (b"\r\n" if keepalive else b"Connection: close\r\n\r\n") + self.body


class Connection:
    """A connection and the request on it, if any."""

    __slots__ = ("answer", "begun", "connected", "socket", "unsent", "used")

    def __init__(self, raw: socket.socket) -> None:
        self.socket = raw
        self.connected = False
        self.used = 0  # requests so far
        self.begun = 0.0  # time.monotonic() of the present request; 0: idle
        self.unsent = b""
        self.answer = Answer()


class Client:
    """Sends requests at a steady rate and keeps the account."""

    def __init__(
        self,
        request: Request,
        *,
        rate: float,
        connections: int,
        keepalive: bool,
        timeout: float,
        good: range,
        most_seconds: float,
        most_requests: int,
    ) -> None:
        self.request, self.bytes = request, request.bytes(keepalive)
        self.interval, self.slots, self.keepalive, self.timeout = 1 / rate, connections, keepalive, timeout
        self.good, self.most_seconds, self.most_requests = good, most_seconds, most_requests
        self.selector = selectors.DefaultSelector()
        self.idle: deque[Connection] = deque()
        self.open = 0  # connections, busy and idle
        self.busy: deque[Connection] = deque()  # the oldest request first; some may have ended
        self.result = Result()
        self.statuses: Counter[str] = Counter()
        self.responders: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.underway = 0
        self.stopping = False

    def run(self) -> None:
        """Send until standard input ends, a signal arrives or a cap is reached; then print the account."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with contextlib.suppress(PermissionError):  # a file or /dev/null: run until a cap is reached
            self.selector.register(0, selectors.EVENT_READ, None)
        began = due = time.monotonic()
        while True:
            now = time.monotonic()
            if now - began > self.most_seconds:
                self.stopping = True
            if self.stopping and not self.underway:
                break
            due = max(due, now - BURST)
            while due <= now and self.underway < self.slots and not self.stopping:
                due += self.interval
                self._send()
                self.stopping = self.stopping or self.result.sent >= self.most_requests
            self._expire(now)
            self.await_events(due)
        self.result.seconds = time.monotonic() - began
        self._print(final=True)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def await_events(self, due: float) -> None:
        until = self.busy[0].begun + self.timeout if self.busy else due + 0.5
        if not self.stopping and self.underway < self.slots:
            until = min(until, due)
        for key, events in self.selector.select(min(max(until - time.monotonic(), 0), 0.5)):
            if key.data is None:
                self._control()
            elif key.data.begun:
                self._progress(key.data, events)
            else:
                self._forget(key.data)  # closed by the server while idle: that is its right

    def _control(self) -> None:
        """A line on standard input asks for the account so far, its end for the end."""
        asked = os.read(0, 4096)
        for _ in range(asked.count(b"\n")):
            self._print(final=False)
        if not asked:
            self.selector.unregister(0)
            self.stopping = True

    # -- one request -----------------------------------------------------------------------------------------

    def _send(self) -> None:
        self.result.sent += 1
        self.underway += 1
        # All connections are opened before one is used again, and then they take turns.
        connection = (self._usable() if self.open >= self.slots else None) or self._connect()
        if connection is None:
            return
        connection.begun, connection.answer, connection.unsent = time.monotonic(), Answer(), self.bytes
        self.busy.append(connection)
        if connection.connected:
            self._write(connection)

    def _usable(self) -> Connection | None:
        """An idle connection that the server has not closed. It may do so a moment later: that is a loss."""
        while self.idle:
            connection = self.idle.popleft()
            try:
                connection.socket.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return connection
            except OSError:
                pass
            self._forget(connection)
        return None

    def _connect(self) -> Connection | None:
        family = socket.AF_INET6 if ":" in self.request.address else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM)
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(raw)
        self.result.connections += 1
        self.open += 1
        self.selector.register(raw, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        problem = raw.connect_ex((self.request.address, self.request.port))
        if problem not in (0, errno.EINPROGRESS):
            self.count_failure(connection, REFUSALS.get(problem, "unreachable"), os.strerror(problem))
            return None
        return connection

    def _progress(self, connection: Connection, events: int) -> None:
        if not connection.connected:
            problem = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if problem:
                self.count_failure(connection, REFUSALS.get(problem, "reset"), os.strerror(problem))
                return
            connection.connected = True
            self._write(connection)
        elif events & selectors.EVENT_READ:
            self._read(connection)
        elif events & selectors.EVENT_WRITE:
            self._write(connection)

    def _write(self, connection: Connection) -> None:
        try:
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        except BlockingIOError:
            pass
        except OSError as problem:
            # The server may have answered before it closed; that answer counts.
            if not self._read(connection):
                self.count_failure(connection, "reset", f"{problem} while sending")
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self.selector.get_key(connection.socket).events != wanted:
            self.selector.modify(connection.socket, wanted, connection)

    def _read(self, connection: Connection) -> bool:
        """Take what has arrived; True if the request has its outcome now."""
        answer = connection.answer
        try:
            data = connection.socket.recv(65536)
            complete = answer.end() if not data else answer.feed(data, self.request.method == "HEAD")
        except BlockingIOError:
            return False
        except OSError as problem:
            self.count_failure(connection, "reset", f"{problem} after {answer.received} bytes")
        except Malformed as problem:
            self.count_failure(connection, "malformed", str(problem))
        else:
            if not complete and data:
                return False
            if complete:
                self.count_good(connection)
            else:
                self.count_failure(connection, "truncated" if answer.received else "closed_without_answer", "FIN")
        return True

    def _expire(self, now: float) -> None:
        while self.busy and (not self.busy[0].begun or self.busy[0].begun + self.timeout <= now):
            connection = self.busy.popleft()
            if connection.begun and connection.begun + self.timeout <= now:
                state = "waiting for the answer" if connection.connected else "connecting"
                self.count_failure(connection, "timeout", f"{self.timeout:g} s, {state}")

    # -- its outcome -----------------------------------------------------------------------------------------

    def count_good(self, connection: Connection) -> None:
        """A complete answer: the connection can be used again, and the status decides how it counts."""
        answer, now = connection.answer, time.time()
        self.latencies.append(time.monotonic() - connection.begun)
        self.statuses[str(answer.status)] += 1
        responder = answer.headers.get("x-app", "")
        if responder:
            self.responders[responder] += 1
            self.result.first_seen.setdefault(responder, now)
            self.result.last_seen[responder] = now
        if version := answer.headers.get("x-version"):
            self.versions[version] += 1
        if answer.status not in self.good:
            self._count_failure("bad_status", f"{answer.status} from {responder or 'a proxy'}")
        else:
            self.result.ok += 1
        self._over(connection)
        if self.keepalive and answer.reusable and not connection.unsent:
            self.idle.append(connection)
        else:
            self._forget(connection)

    def count_failure(self, connection: Connection, kind: str, detail: str) -> None:
        reused = f", request {connection.used + 1} of its connection" if connection.used else ""
        self._count_failure(kind, detail + reused)
        self._over(connection)
        self._forget(connection)

    def _count_failure(self, kind: str, detail: str) -> None:
        self.failures[kind] += 1
        if len(self.result.failed_first) < FAILURES_KEPT:
            self.result.failed_first.append({"time": time.time(), "kind": kind, "detail": detail})

    def _over(self, connection: Connection) -> None:
        connection.begun = 0.0
        connection.used += 1
        self.underway -= 1
        if self.busy and self.busy[0] is connection:
            self.busy.popleft()

    def _forget(self, connection: Connection) -> None:
        self.open -= 1
        self.selector.unregister(connection.socket)
        connection.socket.close()
        if connection in self.idle:
            self.idle.remove(connection)

    def _print(self, final: bool) -> None:
        result = self.result
        result.statuses, result.responders = dict(self.statuses), dict(self.responders)
        result.versions, result.failures = dict(self.versions), dict(self.failures)
        if final and self.latencies:
            ordered = sorted(self.latencies)
            p99 = ordered[int(len(ordered) * 0.99)]
            result.latency = {"median": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
        select.select([], [sys.stdout], [], 5)
        print(json.dumps(asdict(result)), flush=True)
