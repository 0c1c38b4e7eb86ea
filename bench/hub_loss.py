"""A hub and an edge with a long way between them that loses packets: ``python -m bench.hub --loss 100``.

From an engine's event to the edge's HAProxy, beside what bare TCP needs for as many bytes over the same way at the same
moments; the same while other edges have stopped to read; and how long a change takes that falls into the moment in
which the edge's hub is killed, with another hub on the same side.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from bench.hub import rss, spread
from bench.hub_fleet import TASKS, Fleet, Seat, a_fleet
from bench.hub_way import ADDRESSES, FAR, NEAR, Impossible, a_way, inside
from lbgen.source.hub.identity import Identity
from lbgen.source.hub.messages import Hello, written
from tests.support.ports import free_port
from tests.support.wait import wait_for

DELAY, LOSS = 0.05, 0.01  # seconds, and of all packets; each way
PAUSE = 0.4  # seconds between two changes: what was lost last is not made up for by what is sent next
STUCK = 3  # edges that stop to read
SIZE = 700  # bytes: a change as it is sent
KILLS = 10  # at most; one for ten changes
WINDOW = 4096  # bytes that the kernel takes for an edge that does not read


def loss(rounds: int, services: int) -> dict[str, object]:
    """Measure so many changes; `skipped` says why not."""
    try:
        return _measured(rounds, services)
    except Impossible as error:
        return {"skipped": f"the long way that loses packets: {error}"}


def _measured(rounds: int, services: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as place, a_way(DELAY, LOSS) as way, a_fleet(Path(place), services) as fleet:
        started = [fleet.hub(ADDRESSES[NEAR], NEAR) for _ in range(2)]
        hubs = dict(zip(fleet.urls, started, strict=True))
        edge = fleet.edge("edge", FAR)
        edge.wait("applied")
        time.sleep(3)  # the first snapshot is on disk, the first reports are made
        alone, bare = _changes(fleet, edge, range(rounds))
        with stuck_edges(fleet):
            beside, _ = _changes(fleet, edge, range(rounds, 2 * rounds))
            unread = _unread()
            memory = max(rss(hub.daemon.process.pid) for hub in started if hub.daemon.process)
        kills = [_kill(fleet, edge, hubs, 2 * rounds + number) for number in range(min(KILLS, rounds // 10))]
    return {
        "way": f"{way.delay * 1000:g} ms and {way.loss:.0%} loss in each direction, by {way.kind}", "changes": rounds,
        "tasks": services * TASKS, "live_ms": tail(alone), "bare_tcp_ms": tail(bare), "edges_that_do_not_read": STUCK,
        "live_beside_them_ms": tail(beside),
        "unread_kb": round(unread / 1024, 1), "hub_rss_mb": round(memory, 1),
        "hubs_killed": len(kills),
        "connected_again_ms": spread([connected for connected, _ in kills]),
        "live_after_kill_ms": spread([live for _, live in kills]),
    }  # fmt: skip


def tail(values: list[float]) -> str:
    """Median, 99th percentile and worst."""
    ranked = sorted(values)
    return f"{statistics.median(ranked):.0f}, p99 {ranked[-(len(ranked) // 100) - 1]:.0f}, worst {ranked[-1]:.0f}"


def _changes(fleet: Fleet, edge: Seat, numbers: range) -> tuple[list[float], list[float]]:
    """Return the milliseconds until changes were live, and those that bare TCP needed for their bytes."""
    live, bare = [], []
    with ExitStack() as ends:
        tcp = Bare(ends)
        for number in numbers:
            at = fleet.engine.change(number)
            tcp.send()
            live.append((edge.wait("applied", at) - at) * 1000)
            bare.append(tcp.seconds() * 1000)
            time.sleep(PAUSE)
    return live, bare


def _kill(fleet: Fleet, edge: Seat, hubs: dict[str, Seat], number: int) -> tuple[float, float]:
    """Kill the edge's hub and change something; return the milliseconds to another hub, and until that is live."""
    hub = hubs[edge.newest("hub_connected")["hub"]]
    at = hub.kill()
    fleet.engine.change(number)
    times = (edge.wait("hub_connected", at) - at) * 1000, (edge.wait("applied", at) - at) * 1000
    since = time.time()
    hub.start()
    hub.wait("hub_listening", since)
    time.sleep(3)  # its first listing is over
    return times


def _unread() -> int:
    """Return the bytes that wait in the hubs' kernel for edges that do not read them."""
    listed = subprocess.run(["ip", "netns", "exec", NEAR, "ss", "-tnH"], capture_output=True, text=True, check=True)
    return sum(int(line.split()[2]) for line in listed.stdout.splitlines())  # state, Recv-Q, Send-Q, ...


class Bare:
    """One TCP connection over the way, in the direction of changes."""

    def __init__(self, ends: ExitStack) -> None:
        with inside(NEAR):
            listening = ends.enter_context(socket.create_server((ADDRESSES[NEAR], free_port())))
        with inside(FAR):
            self._far = ends.enter_context(socket.create_connection(listening.getsockname()))
        self._near, _ = listening.accept()
        ends.callback(self._near.close)
        self._near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._came = threading.Event()
        self._sent = self._received = 0.0
        threading.Thread(target=self._receive, daemon=True).start()

    def send(self) -> None:
        """Send as much as a change is."""
        self._came.clear()
        self._sent = time.monotonic()
        self._near.sendall(bytes(SIZE))

    def seconds(self) -> float:
        """Return how long the last ones were under way."""
        assert self._came.wait(60)
        return self._received - self._sent

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while self._far.recv(SIZE, socket.MSG_WAITALL):
                self._received = time.monotonic()
                self._came.set()


@contextmanager
def stuck_edges(fleet: Fleet) -> Iterator[None]:
    """Have edges that greet both hubs, and then read nothing, while the block runs."""
    contexts = [Identity(fleet.join(f"stuck{number}", FAR)).client_context() for number in range(STUCK)]
    over, greeted = threading.Event(), []

    def stop_reading(url: str, context: ssl.SSLContext) -> None:
        while not over.is_set():  # a hub lets it go after a while
            with contextlib.suppress(OSError, WebSocketException):
                connection = connect(
                    f"wss://{url.removeprefix('https://')}/v1/edge", sock=_narrow(url), ssl=context, max_queue=1,
                    compression=None, ping_interval=None, close_timeout=0,
                )  # fmt: skip
                connection.send(written(Hello("1.0")))
                greeted.append(url)
                over.wait(25)
                connection.socket.close()

    threads = [
        threading.Thread(target=stop_reading, args=[url, context], daemon=True)
        for url in fleet.urls
        for context in contexts
    ]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(greeted) >= len(threads), "edges that do not read")
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def _narrow(url: str) -> socket.socket:
    """Return a connection for which the kernel takes next to nothing that is not read."""
    host, _, port = url.removeprefix("https://").partition(":")
    with inside(FAR):
        made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
    made.connect((host, int(port)))
    return made
