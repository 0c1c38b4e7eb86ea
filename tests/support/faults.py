"""Everything that is known to have ended lbgen or to make it raise, one after the other, under traffic.

``python -m tests.support.faults [--short] [PROXY...]`` prints a line for each fault and proxy, with the requests that
were sent and lost meanwhile, at 100 a second. It ends with 1 if any was lost, or lbgen does not follow afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lbgen.source import decode
from tests.lab.traffic import Traffic
from tests.support import endless
from tests.support.builders import a_snapshot, cluster
from tests.support.certificates import UNREADABLE, certificate
from tests.support.daemon import Daemon
from tests.support.engine_answers import NINE, Answer
from tests.support.fake_engine import FakeEngine
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.wait import PATIENCE, wait_for

PROXIES = ("haproxy", "nginx", "traefik")
RATE = 100  # requests a second
LEAST = 50  # requests for each fault
MOST_SECONDS = 120.0  # of traffic for each fault
ADDRESSES = ("127.1.0.1", "127.1.0.2")
# What lbgen calls from each of its threads and callbacks, and what a mistake in it is counted under.
CALLBACKS = (
    "lbgen.source.engine.api.Engine.cluster",
    "lbgen.source.engine.listing.Lister.list",
    "lbgen.source.engine.listing.Round.list",
    "lbgen.source.engine.subscription.Subscription.ensure",
    "lbgen.source.engine.schedule.Schedule.done",
    "lbgen.source.engine.events.EventStream.received",
    "lbgen.daemon.loop.Inbox.wait",
    "lbgen.daemon.loop.Loop.round",
    "lbgen.daemon.drain_clock.DrainClock.due",
    "lbgen.daemon.shrink_guard.ShrinkGuard.vanished",
    "lbgen.model.build.Builder.build",
    "lbgen.render.credentials.CredentialReader.read",
    "lbgen.daemon.worker.Worker.bring_to",
    "lbgen.daemon.target.Target.bring_to",
    "lbgen.daemon.target.Target.due",
    "lbgen.daemon.deployment.Deployment.refresh",
    "lbgen.daemon.deployment.Deployment.holds",
    "lbgen.render.renderer.Renderer.render",
    "lbgen.daemon.live_reload.LiveReload.paths",
    "lbgen.daemon.live_reload.LiveReload.saved",
    "lbgen.daemon.loop.Loop.between_rounds",
    "lbgen.base.file_watch.FileWatch.ask",
    "lbgen.status.view.View.unhealthy",
    "lbgen.status.view.View.status",
    "lbgen.status.view.View.servers",
)
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
        self.settings["source"] = {"docker": {"endpoints": [self.engine.endpoint], "control_socket": "off"}}
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

    def until(self, reached: Callable[[], object], what: str) -> None:
        """Stir until it is so."""

        def stirred() -> object:
            self.stir()
            return reached()

        wait_for(stirred, what, interval=0.2)

    def told(self, event: str) -> Callable[[], bool]:
        """Return what tells whether the log has this event once more than now."""
        before = len(self.said(event))
        return lambda: len(self.said(event)) > before

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
    why: Sequence[object] = field(default=())

    def __str__(self) -> str:
        return f"{self.proxy:8} {self.fault:62} {self.sent:6} sent {self.lost:4} lost"


def run(proxy: str, faults: Iterable[Fault], directory: Path) -> Iterator[Outcome]:
    """Yield what each fault costs; raise AssertionError where lbgen does not notice it, or follow afterwards."""
    with http_servers() as servers, contextlib.closing(Bench(proxy, directory, servers.port)) as bench:
        try:
            bench.start(raising=dict.fromkeys(CALLBACKS, "RuntimeError"))
            bench.follows()
            for fault in faults:
                yield _outcome(bench, fault)
            assert bench.end() == 0
        except BaseException:
            print(bench.log.read_text()[-20_000:] if bench.log.exists() else "not started", file=sys.stderr)
            raise


def _traffic(bench: Bench) -> Traffic:
    # Nginx before 1.27.4 resets connections that are idle at a reload: docs/operations.md.
    url = f"http://127.0.0.1:{bench.port}/"
    return Traffic(url, RATE, keepalive=bench.proxy != "nginx", most_seconds=MOST_SECONDS)


def _outcome(bench: Bench, fault: Fault) -> Outcome:
    with _traffic(bench) as traffic:
        with fault.put(bench):
            traffic.wait_for(lambda account: account.sent >= LEAST, PATIENCE)
        bench.follows()
    account = traffic.result
    return Outcome(bench.proxy, fault.name, account.sent, account.failed, account.failed_first)


def _answer(name: str, answer: Answer) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        noticed, kind = bench.told("source_failed"), answer.path[1:]
        good, bench.engine.replies[kind] = bench.engine.replies[kind], answer.body
        bench.engine.end_streams()
        wait_for(noticed, f"{name} to be noticed")
        yield
        bench.engine.replies[kind] = good

    return Fault(f"GET {answer.path}: {name}", put)


def _raw(name: str, path: str, reply: endless.Reply) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        noticed = bench.told("source_failed")
        bench.engine.raw = {path: reply}
        bench.engine.end_streams()
        wait_for(noticed, f"{name} to be noticed")
        yield
        bench.engine.raw = {}

    return Fault(f"GET {path}: {name}", put)


def _event(name: str, line: bytes) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        noticed = bench.told("stream_lost")
        wait_for(lambda: bench.engine.streams, "a stream")
        bench.engine.send(line)
        wait_for(noticed, f"{name} to be noticed")
        yield

    return Fault(f"an event: {name}", put)


def _certificate(kind: str) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        noticed, file = bench.told("problem"), bench.certificates / "bad.pem"
        UNREADABLE[kind](file)
        wait_for(noticed, f"{kind} to be noticed")
        yield
        file.unlink()

    return Fault(f"a certificate: {kind}", put)


def _raising(name: str) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        before = len(bench.raised())
        bench.faults(name)
        bench.until(lambda: len(bench.raised()) > before, f"{name} to be called")
        yield
        bench.faults()

    return Fault(f"RuntimeError: {name.removeprefix('lbgen.')}", put)


def _at_random(number: int) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        before = len(bench.raised())
        bench.faults(*CALLBACKS, odds=0.2)
        bench.until(lambda: len(bench.raised()) >= before + number, f"{number} mistakes")
        yield
        bench.faults()

    return Fault(f"RuntimeError: {number} of all, at random", put)


@contextlib.contextmanager
def _killed(bench: Bench) -> Iterator[None]:
    noticed = bench.told("proxy_taken_over")
    assert bench.process is not None
    bench.process.kill()
    bench.process.wait(PATIENCE)
    bench.start(raising=dict.fromkeys(CALLBACKS, "RuntimeError"))
    wait_for(noticed, "the proxy to be taken over")
    yield


@contextlib.contextmanager
def _ended(bench: Bench) -> Iterator[None]:
    noticed = bench.told("proxy_taken_over")
    assert bench.process is not None
    bench.raising = {**bench.raising, "lbgen.daemon.loop.Loop.round": "SystemExit"}
    bench.faults("lbgen.daemon.loop.Loop.round")
    bench.until(lambda: bench.process is not None and bench.process.poll() is not None, "lbgen to end")
    bench.start(raising=dict.fromkeys(CALLBACKS, "RuntimeError"))
    wait_for(noticed, "the proxy to be taken over")
    yield


ANSWERS = tuple(_answer(name, answer) for name, answer in NINE.items() if answer.path != "/swarm")
SIZES = (
    _raw("an endless body", "/tasks", endless.endless()),
    _raw("a bomb of gzip", "/services", endless.bomb()),
    _raw("an endless error", "/info", endless.endless(500)),
    _event("without an end", b"x" * (2 << 20)),
)
EVENTS = (_event("nested deeply", b'{"Type":' + b"[" * 200_000 + b"\n"), _event("not one", b"[1]\n"))
CERTIFICATES = tuple(map(_certificate, sorted(UNREADABLE)))
ENDS = (Fault("lbgen: SIGKILL", _killed), Fault("lbgen: ends by an error", _ended))
MISTAKES = tuple(map(_raising, CALLBACKS))
LONG = (*ANSWERS, *SIZES, *EVENTS, *CERTIFICATES, *MISTAKES, _at_random(100), *ENDS)
SHORT = (ANSWERS[0], ANSWERS[2], SIZES[1], EVENTS[0], CERTIFICATES[0], _at_random(20), *ENDS)


def main() -> None:
    """Run the faults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("proxies", nargs="*", default=PROXIES)
    options = parser.parse_args()
    os.environ["PATH"] += os.pathsep + str(Path(sys.executable).parent)  # Traefik's package puts it beside Python
    lost = 0
    for proxy in options.proxies:
        with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as directory:
            for outcome in run(proxy, SHORT if options.short else LONG, Path(directory)):
                print(outcome, *outcome.why, sep="\n    ", flush=True)
                lost += outcome.lost
    print(f"{lost} requests lost")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
