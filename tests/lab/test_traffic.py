"""The accounting of `traffic`, proven against a server that is broken in known ways. Needs no root."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.traffic import Result, Traffic
from tests.lab.traffic_answer import Answer, Malformed

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-App: tiny\r\n\r\nok"


class BrokenServer:
    """Answers by path: each path is a way to be broken. Counts the requests that it has read."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.seen = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while head := connection.recv(65536):
                self.seen += 1
                if not self._answer(connection, head.split()[1].decode()):
                    return

    def _answer(self, connection: socket.socket, path: str) -> bool:
        """True if the connection stays open."""
        if path == "/mixed":
            path = ("/ok", "/reset", "/fin", "/503")[self.seen % 4]
        answers = {
            "/truncate": b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nbut",
            "/nonsense": b"SSH-2.0-OpenSSH\r\n\r\n",
            "/503": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "/to-the-end": b"HTTP/1.0 200 OK\r\n\r\nno length",
            "/ok": GOOD,
        }
        if path == "/hang":
            time.sleep(2)
        elif path == "/reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif path == "/ok-then-fin":
            # Held back until the end comes as well: between the two a polite client would send its next request.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            connection.sendall(GOOD)
        elif path in answers:
            connection.sendall(answers[path])
        return path in ("/503", "/chunked", "/ok")

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def server() -> Iterator[BrokenServer]:
    made = BrokenServer()
    yield made
    made.close()


def send(port: int, path: str, requests: int = 20, **options: object) -> Result:
    """Send that many requests and return the account, which must add up."""
    arguments: dict[str, object] = {"rate": 200, "connections": 4, "most_requests": requests, "timeout": 15}
    with Traffic(f"http://127.0.0.1:{port}{path}", **arguments | options) as traffic:  # type: ignore[arg-type]
        result = traffic.finish()
    assert result.sent == result.ok + result.failed == requests
    assert len(result.failed_first) == min(result.failed, 50)
    return result


@pytest.mark.parametrize("keepalive", [True, False])
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/reset", "reset"),
        ("/fin", "closed_without_answer"),
        ("/truncate", "truncated"),
        ("/nonsense", "malformed"),
        ("/503", "bad_status"),
        ("/hang", "timeout"),
    ],
)
def test_failure_is_counted_under_its_kind(server: BrokenServer, path: str, kind: str, keepalive: bool) -> None:
    """Every request fails, each once, all for the reason that is the server's."""
    began = time.time()
    patience = {"timeout": 0.5} if path == "/hang" else {}
    result = send(server.port, path, keepalive=keepalive, **patience)
    assert result.failures == {kind: 20}
    assert {item["kind"] for item in result.failed_first} == {kind}
    assert all(began <= item["time"] <= time.time() for item in result.failed_first)
    assert server.seen == 20


def test_refused_is_counted() -> None:
    """Where nobody listens every request is refused."""
    with socket.socket() as bound:  # but not listening, so that nobody else can have the port
        bound.bind(("127.0.0.1", 0))
        assert send(bound.getsockname()[1], "/").failures == {"refused": 20}


@pytest.mark.parametrize("path", ["/ok", "/ok-then-fin", "/chunked", "/to-the-end"])
def test_good_answers_are_good(server: BrokenServer, path: str) -> None:
    """Also when the server closes idle connections: a polite client sees that before it sends."""
    result = send(server.port, path)
    assert (result.ok, result.statuses) == (20, {"200": 20})
    assert (result.connections <= 4) == (path in ("/ok", "/chunked"))
    assert 0 < result.latency["median"] <= result.latency["p99"] <= result.latency["max"]


def test_mixture_adds_up(server: BrokenServer) -> None:
    """Different outcomes in one run are told apart exactly."""
    result = send(server.port, "/mixed", 400, rate=800)
    assert result.ok == 100
    assert result.failures == {"reset": 100, "closed_without_answer": 100, "bad_status": 100}
    assert (result.statuses, result.responders) == ({"200": 100, "503": 100}, {"tiny": 100})


def test_account_while_traffic_flows(server: BrokenServer) -> None:
    """The account can be read at any time; the rate is kept; the end is the caller's."""
    with Traffic(f"http://127.0.0.1:{server.port}/ok", rate=500) as traffic:
        traffic.wait_for(lambda result: result.ok >= 500, 10)
        assert traffic.result.in_flight <= 8
    result = traffic.result
    assert result.sent == result.ok == server.seen
    assert result.seconds > 0
    assert result.first_seen["tiny"] < result.last_seen["tiny"]


def test_head_has_no_body() -> None:
    """The length that an answer to HEAD announces is not waited for."""
    assert Answer().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", no_body=True)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_answer_in_pieces(size: int) -> None:
    """An answer is complete with its last byte, however it arrives."""
    for whole in (GOOD, b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD, CHUNKED):
        answer = Answer()
        pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
        assert [answer.feed(piece, no_body=False) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n2\r\n!!\r\n0\r\n\r\n"


def test_surplus_bytes_are_malformed() -> None:
    """Bytes behind the announced length are the server's mistake, not the next answer."""
    with pytest.raises(Malformed):
        Answer().feed(GOOD + b"more", no_body=False)
