"""Events of a stream (SSE, a language model's words) reach the client one by one, as the application sends them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.ports import free_port
from tests.support.running import PROXIES, running
from tests.support.wait import PATIENCE

EVENTS = 12
# A kernel that is told that more will follow holds a part back for 200 ms, each one. Of a dozen one is always quicker
# than this where nothing holds them back, however busy the machine is.
PROMPT = 0.15


class Application:
    """Sends an event when the client has the one before, never earlier, and notes when."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.received = threading.Semaphore(0)
        self._socket = socket.create_server(("127.1.0.1", 0))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Answer one request."""
        thread = threading.Thread(target=self._answer)
        thread.start()
        try:
            yield
        finally:
            self._socket.close()
            thread.join()

    def _answer(self) -> None:
        with contextlib.suppress(OSError), self._socket.accept()[0] as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.settimeout(PATIENCE)
            while not client.recv(65536).endswith(b"\r\n\r\n"):
                pass
            client.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                b"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for number in range(EVENTS):
                event = f"data: {number}\n\n".encode()
                self.sent.append(time.monotonic())
                client.sendall(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                self.received.acquire(timeout=PATIENCE)
            client.sendall(b"0\r\n\r\n")


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_events_arrive_one_by_one(proxy, short_dir):
    """Each event arrives although no other one follows, and none waits for one."""
    application = Application()
    target = {"templates": [proxy], "output": str(short_dir / "out"), "probe": f"127.0.0.1:{free_port()}"}
    settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "default_listeners": ["web"],
            "status": {"bind": ""},
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )
    snapshot = a_snapshot(
        a_node(), a_network("edge"), *app("words", {"host": "words.org"}, application.port, "127.1.0.1")
    )
    with application.serving(), running(settings, snapshot) as ports:
        client = http.client.HTTPConnection("127.0.0.1", ports["web"], timeout=PATIENCE)
        client.request("GET", "/", headers={"Host": "words.org"})
        late = []
        with contextlib.closing(client), client.getresponse() as response:
            for number in range(EVENTS):
                assert response.readline() == f"data: {number}\n".encode()
                late.append(time.monotonic() - application.sent[number])
                assert response.readline() == b"\n"
                application.received.release()
            assert response.read() == b""
    assert min(late[1:]) < PROMPT, late
