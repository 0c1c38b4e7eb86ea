"""The status port while clients hold connections, are slow, send too much or ask too often."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.proxies.traefik.feed import Document, Feed
from lbgen.status.connections import Patience
from lbgen.status.pace import COST, CREDIT, LONGEST, MOST_ADDRESSES, SHARE, SPEED, Budget
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.clock import Clock
from tests.support.wait import PATIENCE, wait_for
from tests.support.watched import FakeLoop

HELD = 70
ENDLESS = 10_000.0
PATIENT = Patience(request=ENDLESS, answer=ENDLESS)
HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Large(View):
    """A view with more to tell than a socket holds."""

    def status(self):
        return {"text": "a" * (32 << 20)}


@contextlib.contextmanager
def serving(patience: Patience, feed: Feed | None = None, view: type[View] = View) -> Iterator[int]:
    """Serve, give the port."""
    feeds = {"edge": feed} if feed else {}
    with serve_status(("127.0.0.1", 0), view(FakeLoop(), []), feeds, patience) as port:
        yield port


@contextlib.contextmanager
def holding(port: int, sent: bytes, number: int = HELD, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Hold as many connections, with this sent on each."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(number):
            connection = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
            held.append(stack.enter_context(connection))
            with contextlib.suppress(OSError):  # it may have been the one to go
                connection.sendall(sent)
        yield held


def get(port: int, path: str, source: str = "127.0.0.1") -> int:
    """Ask on a new connection, return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("sent", [b"", HALF, WHOLE, b"GET /traefik/edge HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_held_connections_keep_nobody_out(sent):
    """Neither those who ask from another address, nor from the same: idle, half-sent, used and held ones."""
    feed = Feed(hold=ENDLESS)
    with serving(PATIENT, feed) as port, holding(port, sent), holding(port, sent, source="127.0.0.2"):
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            assert get(port, "/healthz", source) == get(port, "/metrics", source) == 200
        feed.publish(Document("1" * 12, b"# 1\n"))
        assert get(port, "/traefik/edge") == 200


def test_held_question_of_traefik_stays():
    """Others, from its own address too, may open as many connections as they like: it is told of a change at once."""
    feed = Feed(hold=ENDLESS)
    with serving(PATIENT, feed) as port:
        traefik = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        traefik.request("GET", "/traefik/edge")
        wait_for(lambda: feed.waiting == 1)
        with holding(port, b""), holding(port, HALF, source="127.0.0.2"), holding(port, WHOLE):
            feed.publish(Document("1" * 12, b"# 1\n"))
            assert traefik.getresponse().read() == b"# 1\n"
        traefik.close()


def test_number_of_connections():
    """However many are opened, no more stay than their limit."""
    before = descriptors()
    with serving(PATIENT) as port, holding(port, HALF, 200) as held:
        assert get(port, "/healthz") == 200
        # All ends of one's own are in this process as well.
        wait_for(lambda: descriptors() - before - len(held) <= PATIENT.most + 10)


@pytest.mark.parametrize(
    "sent", [b"", HALF, WHOLE + HALF, b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"]
)
def test_slow_requests(sent):
    """They are hung up on, though they go on sending: before the first request and after one, in head and body."""
    with serving(Patience(request=0.2)) as port, holding(port, sent, 1) as [connection]:
        connection.settimeout(0.05)
        with contextlib.suppress(ConnectionError):

            def ended() -> bool:
                connection.sendall(b"a" if sent else b"")
                with contextlib.suppress(TimeoutError):
                    return connection.recv(4096) == b""
                return False

            wait_for(ended)


def test_answer_that_is_not_taken():
    """It is dropped, and its memory with it."""
    sent = b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(Patience(answer=0.2), view=Large) as port, holding(port, sent, 1) as [connection]:
        assert connection.recv(1000)
        before = descriptors()
        wait_for(lambda: descriptors() < before, "the server's end to be closed")


def test_answers_that_nobody_takes():
    """Together they are bounded: the one that has waited longest goes, the newest is sent."""
    sent = b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    patience = Patience(request=ENDLESS, answer=ENDLESS, unsent=100 << 20)
    with serving(patience, view=Large) as port, holding(port, sent, 1) as [first]:
        assert first.recv(1000)
        with holding(port, sent, 2) as others:
            for other in others:
                assert other.recv(1000)
            before = descriptors()
            with holding(port, sent, 1) as [last]:
                assert last.recv(1000)
                wait_for(lambda: descriptors() == before + 1, "the first one's end to be closed")
            assert _length(first) < 32 << 20


def _length(connection: socket.socket) -> int:
    length = 0
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 20):
            length += len(piece)
    return length


def test_held_question_is_not_slow():
    """While it waits for news, the time for a request does not count; nor does it between two questions."""
    feed = Feed(hold=3.0)
    with serving(Patience(request=1.5), feed) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/traefik/edge")
        assert connection.getresponse().read()
        used = connection.sock
        threading.Event().wait(3.0)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        assert connection.sock is used
        connection.close()


def test_large_head():
    """Of a head that does not end, 16 KiB are read."""
    with serving(PATIENT) as port, holding(port, HALF, 1) as [connection]:
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"a" * 10_000)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_many_questions_cost_a_share_of_the_processor():
    """Beyond its credit an address waits, others do not; what is not asked for comes back."""
    clock = Clock()
    began, budget = clock.now, Budget(clock)
    for _ in range(100_000):
        clock.now += budget.wait("192.0.2.1")
        budget.spend("192.0.2.1", COST)
    assert clock.now - began == pytest.approx((100_000 * COST - CREDIT) / SHARE, rel=0.01)
    assert budget.wait("192.0.2.2") == 0.0
    clock.now += CREDIT / SHARE
    assert budget.wait("192.0.2.1") == 0.0


def test_longest_wait():
    """Even one that has asked for gigabytes is answered; who has a network of IPv6 has one budget."""
    budget = Budget(Clock())
    budget.spend("2001:db8::1", 1000.0)
    assert budget.wait("2001:db8::ffff") == LONGEST
    assert budget.wait("2001:db8:0:1::1") == 0.0


def test_addresses_are_forgotten():
    """Their number is bounded."""
    budget = Budget(Clock())
    for number in range(MOST_ADDRESSES + 1):
        budget.spend(f"192.0.{number // 256}.{number % 256}", 1000.0)
    assert budget.wait("192.0.0.0") == 0.0
    assert budget.wait("192.0.0.1") == LONGEST


def test_answers_wait_for_the_budget():
    """Its question and the bytes of its answer are what a client pays for."""
    with serving(PATIENT, view=Large) as port:
        began = time.monotonic()
        for _ in range(5):
            assert get(port, "/api/v1/status") == 200
        assert time.monotonic() - began > (4 * (32 << 20) / SPEED - CREDIT) / SHARE
