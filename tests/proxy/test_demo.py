"""`make demo` does what it says: renders, checks, serves, and follows the example file."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, wait_for

pytestmark = pytest.mark.proxy("haproxy")

SHOP = {f"200 shop on 127.0.0.{number}" for number in (11, 12, 13)}


class Demo:
    """The demo on ports of its own, and on a copy of its file."""

    def __init__(self, directory: Path) -> None:
        self.snapshot, self._said = directory / "snapshot.yml", directory / "said"
        self.ports = [free_port() for _ in range(3)]
        text = (ROOT / "examples/snapshot.yml").read_text()
        for written, port in zip(("8081", "8082"), self.ports[1:], strict=True):
            text = text.replace(f"PublishedPort: {written}", f"PublishedPort: {port}")
        self.snapshot.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LBGEN_")}
        words = ["--snapshot", str(self.snapshot), "--ports", *map(str, self.ports)]
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "examples/demo.py"), *words], stdout=said, stderr=said, env=environment
            )

    def said(self) -> str:
        """What it has written so far."""
        return self._said.read_text()

    def end(self, number: int) -> int:
        """End it with a signal; return its exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def answer(self, path: str = "/") -> str:
        """Status and body of a request through its proxy; the error if there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Host": "shop.example.org"})
            reply = connection.getresponse()
            return f"{reply.status} {reply.read().decode().strip()}"
        except OSError as error:
            return str(error)
        finally:
            connection.close()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo that is not started yet."""
    made = Demo(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.end(signal.SIGTERM)


def test_demo(demo: Demo) -> None:
    """The applications answer through HAProxy; an edit of the file is live; the output says what to look at next."""
    demo.start()
    wait_for(lambda: {demo.answer() for _ in range(6)} == SHOP, "all of shop to answer")
    assert demo.answer("/api/x").startswith("200 api on")
    demo.snapshot.write_text(demo.snapshot.read_text().replace("lbgen.path: /api", "lbgen.path: /v2"))
    wait_for(lambda: demo.answer("/v2").startswith("200 api on"), "the edit to be live")
    assert demo.answer("/api").startswith("200 shop on")
    wait_for(lambda: "What to look at next" in demo.said(), "the demo to say what is next")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_clients_that_hang_up(demo: Demo, ending: signal.Signals) -> None:
    """Clients that hang up, as HAProxy's checks do, and the signals that end the demo print no traceback."""
    demo.start()
    wait_for(lambda: "What to look at next" in demo.said(), "the demo to say what is next")
    for _ in range(5):
        with socket.create_connection(("127.0.0.11", demo.ports[1]), timeout=PATIENCE) as client:
            reset(client)
            client.sendall(b"GET / HTTP/1.1\r\n")
    assert demo.answer().startswith("200 shop on")
    assert demo.end(ending) == 0
    assert "Traceback" not in demo.said()
    assert "Exception" not in demo.said()


def reset(client: socket.socket) -> None:
    """Have its end be a reset, which a server that reads or writes meets as an error."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_ends_before_it_serves(demo: Demo) -> None:
    """A Ctrl-C at any moment ends it without a traceback."""
    demo.start()
    wait_for(lambda: "rendered from" in demo.said(), "the demo to begin")
    assert demo.end(signal.SIGINT) == 0
    assert "Traceback" not in demo.said()


def test_port_in_use(demo: Demo) -> None:
    """A port that somebody else has is named, with the way round it."""
    with socket.create_server(("127.0.0.12", demo.ports[2])):
        demo.start()
        assert demo.process
        assert demo.process.wait(PATIENCE) == 1
    assert f"cannot listen on 127.0.0.12:{demo.ports[2]}" in demo.said()
    assert "Traceback" not in demo.said()
