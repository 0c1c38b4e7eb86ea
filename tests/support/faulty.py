"""Where faults are put: an lbgen that can be made to raise, a proxy, an engine and servers, under traffic."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lbgen.source import decode
from tests.lab.traffic import Traffic
from tests.support.builders import a_snapshot, cluster
from tests.support.certificates import certificate
from tests.support.daemon import Daemon
from tests.support.fake_engine import FakeEngine
from tests.support.fake_manager import FakeManager
from tests.support.ports import free_port
from tests.support.tls import Authority
from tests.support.wait import PATIENCE, wait_for

RATE = 100  # requests a second
LEAST = 50  # requests for each fault
MOST_SECONDS = 300.0  # of traffic in one go
LOOK = 0.05  # seconds between two looks at the log
ADDRESSES = ("127.1.0.1", "127.1.0.2")
_PAGES = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/status",
    "/api/v1/model",
    "/api/v1/problems",
    "/api/v1/explain/web",
)


class Bench(Daemon):
    """An lbgen with mistakes in it, an engine that can be made to answer anything, a proxy, and servers behind it."""

    def __init__(self, proxy: str, directory: Path, server_port: int) -> None:
        super().__init__(directory, server_port)
        self.proxy, self.at, self.number = proxy, 0, 0
        self.engine = FakeEngine(directory / "engine.sock")
        self.certificates = directory / "certs"
        certificate(self.certificates / "good.pem", "web.test")
        self.settings["source"] = {
            "docker": {"endpoints": [self.engine.endpoint], "control_socket": str(directory / "control.sock")}
        }
        self.authority = Authority(directory / "ca")
        self.engine.replies["swarm"] = {"TLSInfo": {"TrustRoot": self.authority.ca.read_text()}}
        self.settings["certificates"] = str(self.certificates)
        target = self.settings["targets"]["edge"]
        target |= {"templates": [str(self.templates), proxy], "binary": shutil.which(proxy) or proxy}
        if proxy != "haproxy":
            target["probe"] = f"127.0.0.1:{free_port()}"
        self.save()
        self.move()

    def move(self) -> str:
        """Have the service's only task elsewhere; return where."""
        self.at = 1 - self.at
        document = decode.document(a_snapshot(*cluster(self.server_port, ADDRESSES[self.at])))
        self.engine.replies |= {kind: document[kind] for kind in ("nodes", "services", "tasks", "networks")}
        self.engine.tell("service")
        return ADDRESSES[self.at]

    @contextlib.contextmanager
    def pushing(self) -> Iterator[FakeManager]:
        """Have a control socket during the block, which else is not there."""
        manager = FakeManager(self.directory / "control.sock", self.authority, self.engine.requests)
        try:
            yield manager
        finally:
            manager.stop()

    def follows(self) -> None:
        """Wait until a change is live."""
        self.answers(self.move())

    def stir(self) -> None:
        """Have every part of lbgen do something."""
        self.number += 1
        self.engine.label("web", str(self.number))
        if self.number % 4 == 0:
            self.engine.end_streams()
        (self.templates / "extra.j2").write_text(f"{{# {self.number} #}}")
        self.settings["min_reload_interval"] = f"{self.number % 2}ms"
        self.save()
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        for page in _PAGES:
            self.status(page)

    def has_its_stream(self) -> bool:
        """Whether events are followed, and their next loss is told: one that breaks at once again is told once."""
        said = [entry for entry in self.events() if entry["event"] in {"stream_lost", "stream_back"}]
        last = [entry["event"] for entry in said if entry["stream"] == "events"][-1:]
        return self.engine.streams > 0 and last != ["stream_lost"]

    def until(self, reached: Callable[[], object], what: str) -> None:
        """Stir until it is so."""

        def stirred() -> object:
            self.stir()
            return reached()

        wait_for(stirred, what, interval=0.2)

    @contextlib.contextmanager
    def noticing(self, event: str, what: str) -> Iterator[None]:
        """Wait after the block until the log has this event once more than before it."""
        before = len(self.said(event))
        yield
        wait_for(lambda: len(self.said(event)) > before, f"{what} to be noticed", interval=LOOK)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End lbgen; return its exit status. Only HAProxy loses a signal in the moment of its start."""
        if self.proxy == "haproxy":
            return super().end(number)
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End everything."""
        self.faults()
        if self.process and self.process.poll() is None:
            self.end()
        self.engine.stop()


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong for as long as the block runs; lbgen has noticed it when the block begins."""

    name: str
    put: Callable[[Bench], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Outcome:
    """What a fault cost."""

    proxy: str
    fault: str
    sent: int
    lost: int
    seconds: float
    why: Sequence[object] = field(default=())

    def __str__(self) -> str:
        return f"{self.proxy:8} {self.fault:62} {self.sent:6} sent {self.lost:4} lost {self.seconds:5.1f} s"


class Load:
    """Traffic through the proxy of a bench, without a gap between two faults as far as possible."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._traffic, self._began = self._start(), time.monotonic()

    def during(self, fault: Fault) -> Outcome:
        """Return what the fault costs."""
        if time.monotonic() - self._began > MOST_SECONDS / 2:
            self._traffic.stop()
            self._traffic, self._began = self._start(), time.monotonic()
        began, before = time.monotonic(), self._traffic.result
        with fault.put(self._bench):
            enough = self._traffic.result.sent + LEAST
            self._traffic.wait_for(lambda account: account.sent >= enough, PATIENCE)
        self._bench.follows()
        after = self._traffic.result
        sent, lost = after.sent - before.sent, after.failed - before.failed
        lost += after.sent == before.sent  # it has ended
        why = after.failed_first[before.failed :]
        return Outcome(self._bench.proxy, fault.name, sent, lost, time.monotonic() - began, why)

    def close(self) -> None:
        """End it."""
        self._traffic.stop()

    def _start(self) -> Traffic:
        # Nginx before 1.27.4 resets connections that are idle at a reload: docs/operations.md.
        url, keepalive = f"http://127.0.0.1:{self._bench.port}/", self._bench.proxy != "nginx"
        return Traffic(url, RATE, keepalive=keepalive, most_seconds=MOST_SECONDS).__enter__()
