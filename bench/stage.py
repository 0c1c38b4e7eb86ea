"""The lab, the seats on it and the load on them: what all scenarios share."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import process, seats, trace
from bench.load import MODES, Client
from bench.rotation import Rotation
from bench.seats import Place, Seat
from bench.store import Story, Watch
from tests.lab.engine import EngineError
from tests.lab.host import wait_for
from tests.lab.service import Service
from tests.lab.services import Lab
from tests.lab.settings import LabError, Settings

LAB = {"prefix": "lbb-", "directory": Path("/var/lib/lbb-lab"), "subnet": "192.168.223.0/24"}
APPS = {"abrupt": ("--on-term", "exit"), "drain": ("--on-term", "drain:3")}  # {service: arguments}
SETTLE = 30.0  # seconds that the slowest seat has to catch up; two of Traefik's polls
ENOUGH = 0.92  # share of the requests that must have been answered in that time
QUIET = 1.0  # seconds without a surprise after which a seat has caught up
RATES = (200, 100, 50)  # requests/s for each seat: the first that leaves the machine some air, else the last
FULL = 0.9  # share above which nothing can be measured
BUSY = 0.5  # share of the processors' time that the load may take: the events need some, too


def lab() -> Lab:
    """The bench's own lab, beside the one that the tests use."""
    return Lab(settings=Settings(3, 1, **LAB))  # type: ignore[arg-type]


class Budget:
    """How much time is left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        return self._ends - time.monotonic()


@dataclass(slots=True)
class Event:
    """Something that happened to a service, and what Swarm wrote down about it."""

    scenario: str
    app: str
    began: float  # seconds since the epoch; requests begun from here ...
    ended: float = 0.0  # ... to here belong to it
    arriving: list[Story] = field(default_factory=list)
    leaving: list[Story] = field(default_factory=list)
    dead: list[Story] = field(default_factory=list)
    busy: float = 0.0  # share of all processors' time meanwhile
    unsettled: list[str] = field(default_factory=list)  # seats that had not caught up when it was ended
    inside: dict[str, float] = field(default_factory=dict)  # {seat: when it had the new task in its rotation}
    out: dict[str, float] = field(default_factory=dict)  # {seat: when it had the dead task out of it}


@dataclass(slots=True)
class Block:
    """Some events under one load."""

    app: str
    events: list[Event]
    requests: dict[str, dict[str, list[trace.Request]]]  # {seat: {mode: requests}}
    cpu: dict[str, dict[str, float]]  # {seat: {process name: share of one processor}}
    busy: float  # share of all processors' time
    applied: dict[str, list[seats.Applied]] = field(default_factory=dict)  # {seat: what lbgen said it changed}


class Stage:
    """Everything that runs. A context manager: at its end nothing does."""

    def __init__(self, haproxy: str, budget: Budget, say: Callable[[str], None], logs: Path | None) -> None:
        self.haproxy, self.budget, self.say, self.logs = haproxy, budget, say, logs
        self.lab = lab()
        self.seats: dict[str, Seat] = {}
        self.skipped: dict[str, str] = {}
        self.notes: list[str] = []  # what the seats had to say in the end
        self.rate = float(RATES[0])
        self.directory = Path()
        self._stack = contextlib.ExitStack()
        self._places: dict[str, contextlib.ExitStack] = {}

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            # Short: the path of a unix socket may have 107 characters.
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbb-")))
            stack.enter_context(self.lab.claim(5))
            stack.callback(self.lab.down)
            self.lab.up()
            self.lab.network(seats.NETWORK)
            stack.callback(self.close_seats)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *problem: Any) -> None:
        if isinstance(problem[1], Exception):  # not an interrupt
            self.logs = self.logs or Path(tempfile.mkdtemp(prefix="lbgen-bench-"))
            self.say(f"failed; the logs are in {self.logs}")
        if self.logs:
            self._keep_logs(self.logs)
        self._stack.close()

    def _keep_logs(self, kept: Path) -> None:
        for path in self.directory.rglob("*"):
            if path.is_file() and path.suffix != ".trace":
                target = kept / path.relative_to(self.directory)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)

    # -- seats -----------------------------------------------------------------------------------------------

    def open_seats(self, names: Sequence[str]) -> None:
        """Start the seats that can take part; remember why the others cannot."""
        for name in names:
            if reason := seats.ALL[name].missing():
                self.skipped[name] = reason
                self.say(f"{name}: skipped, {reason}")
                continue
            self.open_seat(name, seats.ALL[name])

    def open_seat(self, name: str, make: Callable[[Place], Seat]) -> Seat:
        """Start one seat."""
        stack = self._places[name] = contextlib.ExitStack()
        attached = stack.enter_context(self.lab.attached(seats.NETWORK))
        directory = self.directory / name
        directory.mkdir()
        seat = self.seats[name] = make(Place(attached, self.lab.manager, directory, list(APPS), self.haproxy))
        stack.callback(seat.stop)
        seat.start()
        return seat

    def close_seats(self, but: Sequence[str] = ()) -> None:
        """End seats and give their namespaces back."""
        for name in [name for name in self._places if name not in but]:
            if seat := self.seats.pop(name, None):
                self.notes += [f"{name}: {note}" for note in seat.notes()]
            self._places.pop(name).close()

    def push_or_fallback(self) -> str:
        """The lbgen seat to look at closely; "" if none takes part."""
        names = (seats.LbgenPush.name, seats.LbgenFallback.name)
        return next((name for name in names if name in self.seats), "")

    # -- services --------------------------------------------------------------------------------------------

    def service(self, app: str, replicas: int) -> Service:
        """Have the service of one kind of application, with that many tasks, and all seats serving it."""
        found = [item for item in self.lab.services() if item["Spec"]["Name"] == app]
        if found:
            service = Service(self.lab, found[0]["ID"], app)
            service.scale(replicas, timeout=90)
        else:
            for item in self.lab.services():
                if item["Spec"]["Name"] in APPS:
                    Service(self.lab, item["ID"], item["Spec"]["Name"]).remove()
            service = self.lab.service(
                app, replicas=replicas, networks=[seats.NETWORK], labels=seats.labels(app), args=APPS[app], timeout=90
            )
        for seat in self.seats.values():
            seat.wait_ready(app)
        return service

    def change(self, service: Service, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change a service's specification by one request: the docker command takes 0.1 s to get going."""
        for _ in range(5):
            item = service.inspect()
            edit(item["Spec"])
            try:
                self.lab.api(
                    "POST", f"/services/{service.id}/update", item["Spec"], version=str(item["Version"]["Index"])
                )
                return
            except EngineError as problem:
                if "out of sequence" not in problem.message:
                    raise
        raise LabError(f"service {service.name} changes all the time")

    # -- load ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def load(self, app: str, names: Sequence[str] | None = None) -> Iterator[dict[str, list[Client]]]:
        """Load on all seats (or some): for each a client that keeps connections alive and one that does not."""
        clients: dict[str, list[Client]] = {}
        try:
            for name in self.seats if names is None else names:
                seat = self.seats[name]
                clients[name] = [
                    Client(seat.netns, seat.url, f"{app}.test", mode, self.rate / len(MODES), seat.place.directory)
                    for mode in MODES
                ]
            flat = [client for pair in clients.values() for client in pair]
            wait_for(lambda: all(client.tail() for client in flat), 20, "the load to flow")
            yield clients
        finally:
            flat = [client for pair in clients.values() for client in pair]
            for client in flat:
                client.close()
            for client in flat:
                client.end()

    def find_rate(self, app: str) -> str:
        """Choose the rate: the highest that this machine carries for all seats at once; say what was found."""
        said, before = "", process.busy_for(3.0)
        for rate in RATES:
            self.rate = float(rate)
            with self.load(app) as clients:
                time.sleep(1.5)
                began, busy = time.time(), process.busy_for(4.0)
                ended = time.time()
                count, seconds = trace.Count(), 0.0
                for client in (client for pair in clients.values() for client in pair):
                    found = trace.within(client.requests(), began, ended)
                    count.add(trace.counted(found))
                    seconds += sum(request.seconds for request in found)
            asked = rate * len(self.seats)
            done = count.sent / (ended - began)
            said = (
                f"{rate} requests/s for each of {len(self.seats)} seats: {done:.0f} of {asked} sent a second, "
                f"mean {seconds / max(count.sent, 1) * 1000:.1f} ms, "
                f"processors {busy:.0%} busy, {before:.0%} without load"
            )
            self.say(said)
            if done > 0.97 * asked and busy - before <= BUSY and busy < FULL:
                break
        return said

    # -- events ----------------------------------------------------------------------------------------------

    def poll_interval(self) -> float:
        """The longest interval at which a seat polls: an event has to be anywhere in it."""
        return 15.0 if seats.TraefikDefault.name in self.seats else 5.0

    def phases(self, count: int) -> list[float]:
        """That many waits, spread evenly over the longest poll interval, in random order."""
        interval = self.poll_interval()
        waits = [(number + random.random()) * interval / count for number in range(count)]
        random.shuffle(waits)
        return waits

    def event(
        self,
        scenario: str,
        service: Service,
        clients: Mapping[str, Sequence[Client]],
        replicas: int,
        act: Callable[[], object],
        wait: float,
        arrival: Rotation | None = None,
    ) -> Event:
        """Let something happen, and wait until Swarm has done it and every seat serves just what runs.

        Args:
            replicas: how many tasks there are in the end.
            wait: seconds before; see `phases`.
            arrival: started when the new task's address is known, before it runs.
        """
        time.sleep(wait)
        event, machine = Event(scenario, service.name, time.time()), process.Machine()
        with Watch(service) as watch:
            time.sleep(0.2)
            act()
            if arrival:
                arrival.start(wait_for(watch.newcomer, 30, "a new task's address", 0.02))
            wait_for(lambda: self._done(watch, replicas), 90, f"{scenario} of {service.name} to end")
            event.unsettled = self._settle(clients, watch)
            event.ended, event.busy = time.time(), machine.busy()
        event.arriving, event.dead = watch.arriving(), watch.dead()
        event.leaving = [story for story in watch.leaving() if not story.failed]
        late = f"; not settled: {', '.join(event.unsettled)}" if event.unsettled else ""
        self.say(f"{scenario} ({service.name}): {event.ended - event.began:.1f} s, {event.busy:.0%} busy{late}")
        return event

    def _done(self, watch: Watch, replicas: int) -> bool:
        changed = watch.arriving() + watch.leaving() + watch.dead()
        status = (watch.service.inspect().get("UpdateStatus") or {}).get("State", "")
        if status.endswith("paused"):
            raise RuntimeError(f"the update of {watch.service.name} is {status}")
        ended = all(story.over for story in watch.leaving() + watch.dead())
        return bool(changed) and ended and len(watch.present()) == replicas and status != "updating"

    def _settle(self, clients: Mapping[str, Sequence[Client]], watch: Watch) -> list[str]:
        """Wait until every seat serves exactly the present tasks; return those that do not in time."""
        since = time.time()
        deadline = time.monotonic() + SETTLE
        while True:
            time.sleep(0.25)
            late = [name for name, pair in clients.items() if not _serves(pair, watch.present(), since)]
            if not late or time.monotonic() > deadline:
                return late

    @contextlib.contextmanager
    def block(self, app: str) -> Iterator[tuple[dict[str, list[Client]], Block]]:
        """Run events under one load; the block is complete after the `with`."""
        block = Block(app, [], {}, {}, 0.0)
        with self.load(app) as clients:
            time.sleep(1.0)
            machine, began = process.Machine(), time.monotonic()
            before = {name: self._cpu(seat) for name, seat in self.seats.items()}
            yield clients, block
            seconds = time.monotonic() - began
            block.busy = machine.busy()
            for name, seat in self.seats.items():
                after = self._cpu(seat)
                block.cpu[name] = {key: (after[key] - before[name].get(key, 0.0)) / seconds for key in after}
                block.requests[name] = {client.mode: client.requests() for client in clients[name]}
                if isinstance(seat, seats.Lbgen):
                    block.applied[name] = seat.applied()

    @staticmethod
    def _cpu(seat: Seat) -> dict[str, float]:
        return {name: process.cpu_seconds(pids) for name, pids in seat.pids().items()}


def _serves(pair: Sequence[Client], present: set[str], since: float) -> bool:
    """Whether the last second's requests all went well, and to exactly these.

    Both clients together: two at the same rate can fall into step, and each then meets every other server only.
    """
    now = time.time()
    if now - since < QUIET:
        return False
    recent = [request for client in pair for request in client.tail() if request.ended > now - QUIET]
    well = all(not request.failed and not request.slow for request in recent)
    enough = len(recent) > ENOUGH * QUIET * sum(client.rate for client in pair)  # else some hang
    return enough and well and {request.who for request in recent} == present
