"""Strangers, and edges that are slow or mean harm: they learn nothing, and slow nobody down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import ClientConnection, connect

from lbgen.hub.connection import MOST_FRAMES, MOST_HEARD
from lbgen.hub.ledger import Edge, Entries
from lbgen.hub.registrar import Peer
from lbgen.hub.server import HubServer
from lbgen.hub.session import Allowance
from lbgen.snapshot import Snapshot
from lbgen.source.hub import certificates
from lbgen.source.hub.exchange import JOIN, PEER
from lbgen.source.hub.messages import (
    MOST_DOWN,
    MOST_UP,
    Bye,
    Changes,
    Hello,
    Message,
    Resend,
    Welcome,
    Whole,
    read,
    written,
)
from tests.support.bench import a_cluster
from tests.support.builders import a_service
from tests.support.hub_and_edges import Fleet, a_hub, an_edge, url_of
from tests.support.wait import wait_for

GONE = (ConnectionClosed, InvalidMessage, EOFError, OSError)  # what a client has of a hub that hangs up
QUIET = logging.getLogger("tests.hostile")
QUIET.setLevel(logging.CRITICAL + 1)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


@contextlib.contextmanager
def connected(hub: HubServer, context: ssl.SSLContext, path: str = "/v1/edge") -> Iterator[ClientConnection]:
    """A connection on which anything can be said."""
    url = f"wss://127.0.0.1:{hub.port}{path}"
    options: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 0.1, "logger": QUIET}
    with connect(url, ssl=context, max_size=MOST_DOWN, **options) as connection:
        yield connection


def last_words(connection: ClientConnection) -> list[Message | None]:
    """All that the hub still says before it hangs up."""
    said = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            said.append(read(connection.recv(timeout=60), MOST_DOWN))
    return said


def greeted(connection: ClientConnection, **more: object) -> None:
    connection.send(json.dumps({**json.loads(written(Hello("1.0"))), **more}))
    assert isinstance(read(connection.recv(timeout=60), MOST_DOWN), Welcome)


def test_stranger_learns_nothing(fleet: Fleet) -> None:
    """Without a certificate nothing is answered but joins and renewals: not even by HTTP."""
    trusted = fleet.registrar("m9")[0].authorities
    with a_hub(fleet, a_cluster(3)) as hub:
        for path in ("/v1/edge", "/v1/peer", "/", "/metrics", "/v1/join/x"):
            plain = socket.create_connection(("127.0.0.1", hub.port))
            with certificates.client_context(trusted).wrap_socket(plain) as tls:
                key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
                head = f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n"
                tls.sendall(head.encode())
                with contextlib.suppress(OSError):
                    assert tls.recv(1000) == b""
        with connected(hub, certificates.client_context(trusted), "/v1/join") as joining:
            joining.send('{"type": "authorities"}')
            assert json.loads(joining.recv(timeout=60))["type"] == "authorities"
            assert last_words(joining) == []
        with connected(hub, certificates.client_context(trusted), "/v1/join") as joining:
            joining.send("[" * 60_000)
            assert json.loads(joining.recv(timeout=60))["type"] == "refused"


def test_certificate_of_another_fleet(fleet: Fleet, tmp_path: Path) -> None:
    """An edge of another fleet does not get past TLS, whatever it says it is."""
    context = Fleet(tmp_path / "other").identity("edge1").client_context()
    context.verify_mode = ssl.CERT_NONE
    with a_hub(fleet, a_cluster(3)) as hub, socket.create_connection(("127.0.0.1", hub.port)) as plain:
        tls = context.wrap_socket(plain)
        with contextlib.suppress(OSError):  # an alert, or the end: with TLS 1.3 a client is judged after its handshake
            tls.sendall(b"GET /v1/edge HTTP/1.1\r\n\r\n")
            assert tls.recv(10) == b""
        assert hub.edges() == []


def test_edge_is_no_peer(fleet: Fleet) -> None:
    """An edge's certificate opens no way to the ledger of the hubs."""
    with a_hub(fleet) as hub, connected(hub, fleet.identity("e1").client_context(), "/v1/peer") as connection:
        with contextlib.suppress(ConnectionClosed):
            connection.send('{"type": "sync", "digest": ""}')
        assert last_words(connection) == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("garbage", "refused"),
        (zlib.compress(b'{"type": "resend"}'), "refused"),  # packed: only what a hub sends may be
        ('{"type": "report", "problems": -1}', "refused"),
        ('{"type": "offer"}', "refused"),
        ('{"type": "bomb", "needed": true}', "refused"),
        (json.dumps({"type": "report", "fleet": {"x": "y" * 100_000}}), "refused"),
    ],
)
def test_bad_messages_end_the_connection(fleet: Fleet, said: str | bytes, code: str) -> None:
    """What an edge may not say ends its connection, with a word why."""
    with a_hub(fleet) as hub, connected(hub, fleet.identity("e1").client_context()) as connection:
        greeted(connection)
        connection.send(said)
        (last,) = last_words(connection)
        assert isinstance(last, Bye)
        assert last.code == code


def test_too_large_a_message(fleet: Fleet) -> None:
    """A message that is larger than anything an edge has to say is not even read."""
    with a_hub(fleet) as hub, connected(hub, fleet.identity("e1").client_context()) as connection:
        greeted(connection)
        with contextlib.suppress(ConnectionClosed, OSError):
            connection.send(" " * (MOST_UP + 1))
        assert last_words(connection) == []


def test_flood_of_pings(fleet: Fleet) -> None:
    """An edge that sends more frames than anybody needs is let go."""
    with a_hub(fleet) as hub, connected(hub, fleet.identity("e1").client_context()) as connection:
        greeted(connection)
        with contextlib.suppress(ConnectionClosed, OSError):
            for _ in range(50 * MOST_FRAMES):
                connection.ping()
        assert last_words(connection) == []
        wait_for(lambda: not hub.edges()[0].connected)


def test_costly_messages() -> None:
    """An edge whose messages cost the hub much time has a fifth of it, however fast it sends."""
    now, work = 0.0, 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def send() -> None:
        nonlocal now, work
        allowance = Allowance(lambda: now, sleep)
        while now < 1000.0:
            await allowance.spend()
            with allowance.charged():
                now, work = now + 0.3, work + 0.3

    asyncio.run(send())
    assert 100.0 < work < 210.0


def test_newer_edge(fleet: Fleet) -> None:
    """An edge of a newer minor version is told which one is spoken, and what it says more is passed over."""
    with a_hub(fleet, a_cluster(2)) as hub, connected(hub, fleet.identity("e1").client_context()) as connection:
        connection.send('{"type": "hello", "protocol": "1.7", "facts": true, "newer": [1]}')
        welcome = read(connection.recv(timeout=60), MOST_DOWN)
        assert isinstance(welcome, Welcome)
        assert welcome.protocol == "1.0"
        connection.send('{"type": "mood", "good": true}')
        assert isinstance(read(connection.recv(timeout=60), MOST_DOWN), Whole)
        connection.send(written(Resend()))  # it is still listened to
        assert isinstance(read(connection.recv(timeout=60), MOST_DOWN), Whole)


def test_other_major_version(fleet: Fleet) -> None:
    """Another major version is refused with what to do."""
    with a_hub(fleet) as hub, connected(hub, fleet.identity("e1").client_context()) as connection:
        connection.send('{"type": "hello", "protocol": "2.0"}')
        (last,) = last_words(connection)
        assert isinstance(last, Bye)
        assert last.code == "version"
        assert "update the older one" in last.why


def test_slow_reader(fleet: Fleet) -> None:
    """An edge that does not read is sent what is new once it does, as it is then, and nobody waits for it."""

    noise = random.Random(1)

    def facts(number: int) -> Snapshot:
        base = a_cluster(3)
        labels = {f"filler{index}": noise.randbytes(10_000).hex() for index in range(30)}
        services = {**base.services, "big-id": a_service("big", labels=labels, updated_at=f"{number}")}
        return replace(base, services=services)

    with (
        a_hub(fleet, facts(0)) as hub,
        an_edge(fleet, url_of(hub), name="quick") as quick,
        connected(hub, fleet.identity("slow").client_context()) as slow,
    ):
        slow.send(written(Hello("1.0")))
        wait_for(lambda: any(each.connected for each in hub.edges() if each.name == "slow"))
        for number in range(1, 31):
            newest = facts(number)
            hub.publish(newest)
            quick.until(newest)
        record = next(each for each in hub.edges() if each.name == "slow")
        assert record.connected
        assert record.sequence < 31
        sequences = []
        while not sequences or sequences[-1] < 31:
            message = read(slow.recv(timeout=60), MOST_DOWN)
            sequences += [message.sequence] if isinstance(message, Whole | Changes) else []
        assert len(sequences) < 25
        hub.publish(facts(31))  # what it has been told is not told again
        message = read(slow.recv(timeout=60), MOST_DOWN)
        assert isinstance(message, Changes)
        assert (message.since, message.sequence) == (31, 32)


def test_address_keeps_nobody_else_out(fleet: Fleet) -> None:
    """As many connections as one address can make leave room for an edge that comes from another."""
    with a_hub(fleet, a_cluster(3), most_strangers=4, opened=60.0) as hub, contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", hub.port), 60, ("127.0.0.2", 0)))
            for _ in range(4)
        ]
        one_more = stack.enter_context(socket.create_connection(("127.0.0.1", hub.port), 60, ("127.0.0.2", 0)))
        assert one_more.recv(10) == b""
        with an_edge(fleet, url_of(hub)) as edge:
            edge.until(a_cluster(3))
        assert silent[-1].recv(10) == b""  # it made room


def test_closed_connections_do_not_count(fleet: Fleet) -> None:
    """Those who come and go, as port scanners do, keep nobody out, not even from their own address."""
    with a_hub(fleet, a_cluster(3), most_strangers=2, opened=60.0) as hub:
        for _ in range(6):
            with socket.create_connection(("127.0.0.1", hub.port), 60) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(100):
                        pass
        with an_edge(fleet, url_of(hub)) as edge:
            edge.until(a_cluster(3))


def test_strangers_are_heard_for_so_long(fleet: Fleet) -> None:
    """What somebody says who is not admitted is kept up to a limit: headers, and a request."""
    context = certificates.client_context(fleet.registrar("m9")[0].authorities)
    headers = {f"x-{number}": "y" * 5000 for number in range(100)}
    with a_hub(fleet) as hub:
        url = f"wss://127.0.0.1:{hub.port}{JOIN}"
        with pytest.raises(GONE), connect(url, ssl=context, additional_headers=headers):
            pass
        with connected(hub, context, JOIN) as stranger:
            with contextlib.suppress(*GONE):
                stranger.send("x" * 2 * MOST_HEARD)
            with pytest.raises(GONE):
                stranger.recv(timeout=60)


def test_a_large_ledger_that_comes_at_once(fleet: Fleet) -> None:
    """Another hub's ledger is read, though it comes before it is known that a hub sends it."""
    with a_hub(fleet) as hub:
        admitted, sent = hub.registrar.admitted, threading.Event()

        def slowly(certificate: bytes) -> Peer:
            assert sent.wait(60)
            return admitted(certificate)

        hub.registrar.admitted = slowly  # type: ignore[method-assign]
        other, _ = fleet.registrar("m2")
        edges = {f"e{number}": Edge("a" * 64, 1.0, labels={"key": "a" * 250}) for number in range(1000)}
        with connected(hub, other.client_context(), PEER) as connection:
            connection.send(json.dumps({"type": "entries", "ledger": Entries(edges=edges).document()}))
            sent.set()
            assert json.loads(connection.recv(timeout=60)) == {"type": "taken"}


def test_silent_strangers_are_let_go(fleet: Fleet) -> None:
    """Those who connect and say nothing are hung up on, and edges get in meanwhile or after that."""
    with a_hub(fleet, a_cluster(3), most_strangers=3, opened=0.5) as hub:
        silent = [socket.create_connection(("127.0.0.1", hub.port), timeout=60) for _ in range(3)]
        assert [each.recv(10) for each in silent] == [b"", b"", b""]
        with an_edge(fleet, url_of(hub)) as edge:
            edge.until(a_cluster(3))
        for each in silent:
            each.close()
