"""Everything that is known to have ended lbgen or to make it raise, one after the other, under traffic.

``python -m tests.support.faults [--short] [PROXY...]`` prints a line for each fault and proxy, with the requests that
were sent and lost meanwhile, at 100 a second. It ends with 1 if any was lost, or lbgen does not follow afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support import endless
from tests.support.certificates import UNREADABLE
from tests.support.engine_answers import NINE, Answer
from tests.support.faulty import LOOK, Bench, Fault, Load, Outcome
from tests.support.real_servers import http_servers
from tests.support.wait import PATIENCE, wait_for

PROXIES = ("haproxy", "nginx", "traefik")
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
    "lbgen.daemon.kept_labels.KeptLabels.whole",
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
# The same of the stream of pushed changes.
PUSH_CALLBACKS = (
    "lbgen.source.swarmkit.watch.connect",
    "lbgen.source.swarmkit.grpc.StreamCall.messages",
    "lbgen.source.swarmkit.stream.WatchStream.received",
    "lbgen.source.swarmkit.objects.changes",
)
_ALL = dict.fromkeys(CALLBACKS + PUSH_CALLBACKS, "RuntimeError")


def run(proxy: str, faults: Iterable[Fault], directory: Path) -> Iterator[Outcome]:
    """Yield what each fault costs; raise AssertionError where lbgen does not notice it, or follow afterwards."""
    with http_servers() as servers, contextlib.closing(Bench(proxy, directory, servers.port)) as bench:
        try:
            bench.start(raising=_ALL)
            bench.follows()
            with contextlib.closing(Load(bench)) as load:
                for fault in faults:
                    yield load.during(fault)
            assert bench.end() == 0
        except BaseException:
            print(bench.log.read_text()[-20_000:] if bench.log.exists() else "not started", file=sys.stderr)
            raise


def _answer(name: str, answer: Answer) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        kind = answer.path[1:]
        good = bench.engine.replies[kind]
        with bench.noticing("source_failed", name):
            bench.engine.replies[kind] = answer.body
            bench.engine.end_streams()
        yield
        bench.engine.replies[kind] = good

    return Fault(f"GET {answer.path}: {name}", put)


def _raw(name: str, path: str, reply: endless.Reply) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        with bench.noticing("source_failed", name):
            bench.engine.raw = {path: reply}
            bench.engine.end_streams()
        yield
        bench.engine.raw = {}

    return Fault(f"GET {path}: {name}", put)


def _event(name: str, line: bytes) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        wait_for(bench.has_its_stream, "a stream", interval=LOOK)
        with bench.noticing("stream_lost", name):
            bench.engine.send(line)
        yield

    return Fault(f"an event: {name}", put)


def _certificate(kind: str) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        file = bench.certificates / "bad.pem"
        with bench.noticing("problem", kind):
            UNREADABLE[kind](file)
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


def _pushed(fault: Fault) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        with bench.pushing(), fault.put(bench):
            yield

    return Fault(fault.name, put)


def _swarm(name: str, answer: Answer) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        good = bench.engine.replies["swarm"]
        with bench.pushing() as manager:
            wait_for(lambda: manager.streams, "a stream")
            bench.engine.replies["swarm"] = answer.body
            manager.end()
            wait_for(lambda: answer.place in bench.status("/api/v1/status")[1], f"{name} to be noticed", interval=LOOK)
            yield
        bench.engine.replies["swarm"] = good

    return Fault(f"GET /swarm: {name}", put)


def _at_random(number: int) -> Fault:
    @contextlib.contextmanager
    def put(bench: Bench) -> Iterator[None]:
        before = len(bench.raised())
        bench.faults(*_ALL, odds=0.2)
        bench.until(lambda: len(bench.raised()) >= before + number, f"{number} mistakes")
        yield
        bench.faults()

    return Fault(f"RuntimeError: {number} of all, at random", put)


@contextlib.contextmanager
def _killed(bench: Bench) -> Iterator[None]:
    assert bench.process is not None
    bench.process.kill()
    bench.process.wait(PATIENCE)
    with bench.noticing("proxy_taken_over", "the proxy that runs"):
        bench.start(raising=_ALL)
    yield


@contextlib.contextmanager
def _ended(bench: Bench) -> Iterator[None]:
    assert bench.process is not None
    bench.raising = {**bench.raising, "lbgen.daemon.loop.Loop.round": "SystemExit"}
    bench.faults("lbgen.daemon.loop.Loop.round")
    bench.until(lambda: bench.process is not None and bench.process.poll() is not None, "lbgen to end")
    with bench.noticing("proxy_taken_over", "the proxy that runs"):
        bench.start(raising=_ALL)
    yield


ANSWERS = tuple(_answer(name, answer) for name, answer in NINE.items() if answer.path != "/swarm")
SWARM = tuple(_swarm(name, answer) for name, answer in NINE.items() if answer.path == "/swarm")
SIZES = (
    _raw("an endless body", "/tasks", endless.endless()),
    _raw("a bomb of gzip", "/services", endless.bomb()),
    _raw("an endless error", "/info", endless.endless(500)),
    _event("without an end", b"x" * (2 << 20)),
)
EVENTS = (_event("nested deeply", b'{"Type":' + b"[" * 200_000 + b"\n"), _event("not one", b"[1]\n"))
CERTIFICATES = tuple(map(_certificate, sorted(UNREADABLE)))
ENDS = (Fault("lbgen: SIGKILL", _killed), Fault("lbgen: ends by an error", _ended))
MISTAKES = (*map(_raising, CALLBACKS), *(_pushed(_raising(name)) for name in PUSH_CALLBACKS))
LONG = (*ANSWERS, *SWARM, *SIZES, *EVENTS, *CERTIFICATES, *MISTAKES, _at_random(100), *ENDS)
SHORT = (ANSWERS[0], ANSWERS[2], SIZES[1], EVENTS[0], CERTIFICATES[0], _at_random(10), *ENDS)


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
