"""`daemon.loop`: newest snapshot first, one round after the other; what drains ends in time; mass loss is held."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.base.unexpected import Part, UnexpectedErrors
from lbgen.daemon.drain_store import Drain, changing
from lbgen.daemon.drains import Drains
from lbgen.daemon.kept_labels import KeptLabels
from lbgen.daemon.label_store import LabelStore
from lbgen.daemon.loop import Inbox, Loop
from lbgen.proxies.output_lock import OutputLock
from lbgen.render.credentials import CredentialReader
from lbgen.settings import Settings
from lbgen.snapshot import Cause, Snapshot
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task
from tests.support.clock import Clock
from tests.support.wait import PATIENCE, wait_for
from tests.support.watched import AT


class FakeSource:
    """A source that hands on what the test tells it."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.queue: queue.Queue[Snapshot | Exception | None] = queue.Queue()
        self.relists = 0
        self.closed = False
        self.relisted = threading.Event()
        for snapshot in snapshots:
            self.tell(snapshot)

    def tell(self, what: Snapshot | Exception | None) -> None:
        """Hand on a snapshot, raise an error, or end."""
        self.queue.put(what)

    def take(self) -> Snapshot:
        raise AssertionError("the loop follows, it does not take")

    def follow(self):
        while (what := self.queue.get()) is not None:
            if isinstance(what, Exception):
                raise what
            yield what
            self.queue.task_done()  # the loop has taken it

    def relist(self) -> None:
        self.relists += 1
        self.relisted.set()

    def close(self) -> None:
        self.closed = True
        self.tell(None)


def raising(error: BaseException | None) -> None:
    """Raise it, if there is one."""
    if error:
        raise error


@dataclass
class FakeTarget:
    """A target that remembers the models it was brought to, and can be made to wait."""

    models: list = field(default_factory=list)
    brought: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_go_on: threading.Event = field(default_factory=threading.Event)
    log: list[str] = field(default_factory=list)
    mistakes: list[BaseException | None] = field(default_factory=list)  # what the next calls raise
    snapshots: list[Snapshot] = field(default_factory=list)
    wanted: float | None = None

    def __post_init__(self) -> None:
        self.may_go_on.set()

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    def leave(self) -> None:
        self.log.append("leave")

    def due(self) -> float | None:
        return self.wanted

    def bring_to(self, model, snapshot) -> bool:
        raising(self.mistakes.pop(0) if self.mistakes else None)
        self.snapshots.append(snapshot)
        self.models.append(model)
        self.wanted = None
        self.brought.release()
        assert self.may_go_on.wait(PATIENCE)
        return True

    def wait(self, rounds: int = 1) -> None:
        """Wait until so many further rounds have reached the target."""
        for _ in range(rounds):
            assert self.brought.acquire(timeout=PATIENCE)


class Running:
    """A loop in a thread of its own, which tries again soon."""

    def __init__(
        self, source: FakeSource, *targets: FakeTarget, grace: float = 10.0, drains: Drains | None = None
    ) -> None:
        self.unexpected = UnexpectedErrors(first_pause=0.001, longest_pause=0.01)
        self.loop = Loop(source, a_rules(), targets, drain_grace=grace, drains=drains, unexpected=self.unexpected)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Wait until the loop has ended by itself."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def stop(self) -> None:
        """Stop the loop."""
        self.loop.stop()
        self.end()


def cluster(*slots: int, listing: int = 1, draining: tuple[int, ...] = (), **keys: object) -> Snapshot:
    """A service with a task in each of these slots."""
    return a_snapshot(
        a_node(),
        a_network(),
        a_service("web", {"port": 80, **keys}, networks=("edge-id",)),
        *[
            a_task(
                slot=slot,
                addresses={"edge-id": f"10.0.0.{slot}"},
                desired_state="shutdown" if slot in draining else "running",
            )
            for slot in slots
        ],
        listing=listing,
    )


def slots(target: FakeTarget) -> list[list[str]]:
    """Names of the servers of each model the target has seen."""
    return [[server.name.removeprefix("web.") for server in model.servers] for model in target.models]


def test_rounds():
    """Every target is started, brought to each snapshot, and stopped; the source is closed."""
    source, targets = FakeSource(cluster(1)), [FakeTarget(), FakeTarget()]
    running = Running(source, *targets)
    for target in targets:
        target.wait()
    source.tell(cluster(1, 2))
    for target in targets:
        target.wait()
    running.stop()
    for target in targets:
        assert slots(target) == [["1"], ["1", "2"]]
        assert target.log == ["start", "stop"]
    assert source.closed
    assert running.error is None


def test_revised():
    """Other settings count from the next round on, which follows at once; that servers vanish by them is meant."""
    target, seen, files = FakeTarget(), [], CredentialReader(Settings())
    services = [a_service(f"s{number}", {"port": 80}, networks=("edge-id",)) for number in range(6)]
    unlabelled = [replace(service, labels={"lbgen.port": "80"}) for service in services]
    tasks = [a_task(f"s{number}", addresses={"edge-id": f"10.0.0.{number + 1}"}) for number in range(6)]
    source = FakeSource(a_snapshot(a_node(), a_network(), *unlabelled, *tasks))
    running = Running(source, target)
    target.wait()

    def change(*, expose: bool) -> None:
        running.loop.revise(a_rules(expose_by_default=expose), drain_grace=3.0, files=files)
        seen.append((threading.current_thread(), len(target.models)))

    for expose in (True, False):
        running.loop.between_rounds(lambda expose=expose: change(expose=expose))
        target.wait()
    running.stop()
    assert [len(model.backends) for model in target.models] == [0, 6, 0]
    assert seen == [(running.thread, 1), (running.thread, 2)]
    assert running.loop.files is files


@pytest.mark.parametrize("grace", [0.0, 3600.0])
def test_drained_by_an_operator(tmp_path, grace):
    """What an operator drains goes at once, also where that is most of all servers; what leads to it is told once."""
    path = tmp_path / "drains.json"
    with changing(path) as drains:
        drains |= {f"web.{slot}": Drain(f"web.{slot}", time.time()) for slot in range(2, 8)}
    target, source = FakeTarget(), FakeSource(cluster(*range(1, 8)))
    running = Running(source, target, grace=grace, drains=Drains(path))
    target.wait()
    with changing(path) as drains:
        drains.clear()
    running.loop.poke()
    target.wait()
    with changing(path) as drains:
        drains |= {f"web.{slot}": Drain(f"web.{slot}", time.time()) for slot in range(1, 7)}
    running.loop.poke()
    target.wait()
    running.loop.poke()
    target.wait()
    running.stop()
    every = [str(slot) for slot in range(1, 8)]
    left = (["1"], ["7"]) if not grace else (every, every)
    assert slots(target) == [left[0], every, left[1], left[1]]
    up = [{server.name for server in model.servers if server.state == "up"} for model in target.models]
    assert up == [{"web.1"}, {f"web.{slot}" for slot in every}, {"web.7"}, {"web.7"}]
    told = [[cause.text for cause in snapshot.causes] for snapshot in target.snapshots]
    assert told[0] == told[3] == []
    assert told[1] == [f"no longer drained: server web.{slot}" for slot in range(2, 8)]
    assert told[2] == [f"drained by an operator: server web.{slot}" for slot in range(1, 7)]
    assert running.loop.held == 0


def test_drained_before_a_restart(tmp_path):
    """Its time to drain has been over while no daemon ran: it does not come back for another one."""
    path = tmp_path / "drains.json"
    with changing(path) as drains:
        drains["web.2"] = Drain("web.2", time.time() - 60)
    target = FakeTarget()
    running = Running(FakeSource(cluster(1, 2)), target, drains=Drains(path))
    target.wait()
    running.stop()
    assert slots(target) == [["1"]]


def test_drain_that_ends(tmp_path):
    """A drain for some time ends by itself."""
    path, clock = tmp_path / "drains.json", Clock(AT)
    with changing(path) as drains:
        drains["web.2"] = Drain("web.2", AT - 60, until=AT + 0.01)
    target = FakeTarget()
    running = Running(FakeSource(cluster(1, 2)), target, drains=Drains(path, clock))
    target.wait()
    clock.now += 1
    wait_for(lambda: slots(target)[-1] == ["1", "2"], "both servers")
    running.stop()
    assert slots(target)[0] == ["1"]


def test_revised_drain_grace():
    """Another time to drain counts also for who drains already."""
    target, source = FakeTarget(), FakeSource(cluster(1, 2, draining=(2,)))
    running = Running(source, target, grace=3600.0)
    target.wait()
    running.loop.between_rounds(lambda: running.loop.revise(a_rules(), drain_grace=0.0, files=None))
    target.wait()
    running.stop()
    assert slots(target) == [["1", "2"], ["1"]]


def test_newest_wins():
    """What arrives while a round is under way is folded into the next one: only the newest counts."""
    target = FakeTarget()
    target.may_go_on.clear()
    source = FakeSource(cluster(1))
    running = Running(source, target)
    target.wait()
    for slot in range(2, 6):
        source.tell(cluster(*range(1, slot + 1)))
    source.queue.join()
    target.may_go_on.set()
    target.wait()
    running.stop()
    assert slots(target) == [["1"], ["1", "2", "3", "4", "5"]]


def test_poke():
    """A poke renders the last snapshot again."""
    target, source = FakeTarget(), FakeSource(cluster(1))
    running = Running(source, target)
    target.wait()
    running.loop.poke()
    target.wait()
    running.stop()
    assert slots(target) == [["1"], ["1"]]


def test_poke_before_any_snapshot():
    """A poke without a snapshot does nothing."""
    target, source = FakeTarget(), FakeSource()
    running = Running(source, target)
    running.loop.poke()
    source.tell(cluster(1))
    target.wait()
    running.stop()
    assert slots(target) == [["1"]]


def test_target_is_due():
    """A target that has something left to do is asked again without any change."""
    target, source = FakeTarget(), FakeSource()
    running = Running(source, target)
    target.may_go_on.clear()
    source.tell(cluster(1))
    target.wait()
    target.wanted = 0.0  # long past
    target.may_go_on.set()
    target.wait()
    running.stop()
    assert slots(target) == [["1"], ["1"]]


def test_drained_server_goes():
    """A draining server is removed when its grace is over, without a further snapshot."""
    target, source = FakeTarget(), FakeSource(cluster(1, 2, draining=(2,)))
    running = Running(source, target, grace=0.05)
    target.wait(2)
    running.stop()
    assert slots(target) == [["1", "2"], ["1"]]


def test_last_server_stays():
    """The last one stays when its grace is over, until its task has ended."""
    target, source = FakeTarget(), FakeSource(cluster(1, draining=(1,)))
    running = Running(source, target, grace=0.0)
    target.wait()
    source.tell(cluster())
    target.wait()
    running.stop()
    assert slots(target) == [["1"], []]


@pytest.mark.parametrize("error", [SourceError("gone"), RecursionError("too deep"), AttributeError("get")])
def test_source_that_dies(error):
    """A source that raises is followed anew: what it says then arrives."""
    target, source = FakeTarget(), FakeSource(cluster(1))
    running = Running(source, target)
    target.wait()
    source.tell(error)
    source.tell(cluster(1, 2))
    target.wait()
    running.stop()
    assert slots(target) == [["1"], ["1", "2"]]
    assert running.error is None
    assert running.unexpected.counts()[Part.SOURCE] == 1


def test_round_that_raises():
    """A round that raises changes nothing, and is made again, with the same snapshot and all its causes."""
    target, source = FakeTarget(), FakeSource(cluster(1))
    running = Running(source, target)
    target.wait()
    target.mistakes = [RuntimeError("a mistake")] * 3
    source.tell(replace(cluster(1, 2), causes=(Cause("one more", 0.0),)))
    target.wait()
    assert running.unexpected.counts()[Part.ROUND] == 3
    source.tell(cluster(1, 2, 3))
    target.wait()
    running.stop()
    assert slots(target) == [["1"], ["1", "2"], ["1", "2", "3"]]
    assert [cause.text for cause in target.snapshots[1].causes] == ["one more"]
    assert running.unexpected.keep_failing() == []


def test_round_that_raises_without_news():
    """A round that nobody asked for and that raises is made again, too: a drain is over, a target is due."""
    target, source = FakeTarget(), FakeSource(cluster(1, 2, draining=(2,)))
    target.mistakes = [RuntimeError("a mistake"), None, RuntimeError("a mistake")]
    running = Running(source, target, grace=0.05)
    target.wait(2)
    running.stop()
    assert slots(target) == [["1", "2"], ["1"]]


def test_change_that_raises():
    """A change between two rounds that raises is made again; the rounds go on meanwhile."""
    target, source, tries = FakeTarget(), FakeSource(cluster(1)), []
    done = threading.Event()
    running = Running(source, target)
    target.wait()

    def change() -> None:
        tries.append(len(target.models))
        if len(tries) < 4:
            raise RuntimeError("a mistake")
        done.set()

    running.loop.between_rounds(change)
    assert done.wait(PATIENCE)
    running.stop()
    assert len(tries) == 4
    assert tries[0] < tries[-1]
    assert running.unexpected.counts()[Part.SAVES] == 3


def test_due_that_raises():
    """A target that cannot say when it is due does not end the loop; nor does it hold up a stop, or the others' end."""
    target, other = FakeTarget(), FakeTarget()
    target.due = other.stop = lambda: raising(RuntimeError("a mistake"))
    source = FakeSource(cluster(1))
    running = Running(source, other, target)
    wait_for(lambda: running.unexpected.counts()[Part.ROUND] > 3, "the mistakes")
    running.stop()
    assert running.error is None
    assert target.log == ["start", "stop"]
    assert running.unexpected.counts()[Part.END] == 1


def test_ended_by_an_error():
    """A loop that ends by anything but a stop leaves running what its targets have started."""
    target, source = FakeTarget(), FakeSource(cluster(1))
    target.mistakes = [SystemExit(70)]
    running = Running(source, target)
    running.end()
    assert isinstance(running.error, SystemExit)
    assert target.log == ["start", "leave"]
    assert source.closed


def test_shrunk_listing_is_held():
    """A listing that lost most servers is held, another listing asked for, and then believed if it says the same.

    What led to it is told all the same, although its source has nothing new to say the second time.
    """
    target, source = FakeTarget(), FakeSource(cluster(*range(1, 11), listing=1))
    with capture_logs() as logs:
        running = Running(source, target)
        target.wait()
        removed, confirmed = Cause("service web: labels changed", 1.0), Cause("task web.2: removed", 2.0)
        source.tell(replace(cluster(1, listing=2), causes=(removed,)))
        assert source.relisted.wait(PATIENCE)
        running.loop.poke()  # the accepted snapshot stays what is rendered
        target.wait()
        source.tell(replace(cluster(1, listing=3), causes=(confirmed,)))
        target.wait()
        source.tell(cluster(1, 2, listing=3))
        target.wait()
        running.stop()
    assert [snapshot.causes for snapshot in target.snapshots] == [(), (), (removed, confirmed), ()]
    assert [len(names) for names in slots(target)] == [10, 10, 1, 2]
    assert [entry["servers_vanished"] for entry in logs if entry["event"] == "held"] == [9]
    assert source.relists == 1


def test_problems_are_logged_once():
    """A problem is logged when it appears and when it is gone, not in every round."""
    target, source = FakeTarget(), FakeSource(cluster(1, weight="heavy"))
    with capture_logs() as logs:
        running = Running(source, target)
        target.wait()
        running.loop.poke()
        target.wait()
        source.tell(cluster(1))
        target.wait()
        running.stop()
    said = [(entry["event"], "lbgen.weight='heavy'" in entry["problem"]) for entry in logs if "problem" in entry]
    assert said == [("problem", True), ("problem_solved", True)]


def test_stopped_before_it_started():
    """A loop that is stopped at once ends."""
    source, target = FakeSource(), FakeTarget()
    ended = Loop(source, a_rules(), [target])
    ended.stop()
    ended.run()
    assert target.log == ["start", "stop"]


def test_equal_snapshots_in_another_listing():
    """The number of the listing is no fact: snapshots that differ in it alone are equal."""
    assert replace(cluster(1), listing=5, taken_at=7.0) == cluster(1)


def test_signal_between_two_steps():
    """A stop that a signal handler says at any moment of the loop's own thread ends it: no wake-up is lost."""
    source, target = FakeSource(cluster(1, 2, draining=(2,))), FakeTarget()

    def clock() -> float:
        if target.models:  # in the round, and when it is settled how long to sleep: a stop each time
            ended.stop()
        return 1000.0

    ended = Loop(source, a_rules(), [target], inbox=Inbox(clock), clock=clock)
    thread = threading.Thread(target=ended.run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert target.log == ["start", "stop"]


def test_flapping():
    """A service whose labels change again and again keeps earlier ones, its tasks are followed, and a problem tells."""
    target = FakeTarget()
    loop = Loop(FakeSource(), a_rules(), [target])
    with capture_logs() as logs:
        for weight in range(1, 20):
            assert loop.round(cluster(weight, weight=weight))
    models = target.models
    assert [model.servers[0].weight for model in models] == [1, 2, 3, 4, 5, *[6] * 14]
    assert [model.servers[0].address for model in models] == [f"10.0.0.{number}" for number in range(1, 20)]
    (problem,) = models[-1].problems
    assert "flapping" in problem.message
    assert sum("flapping" in str(entry.get("problem")) for entry in logs) == 1
    assert loop.accepted.services["web-id"].labels["lbgen.weight"] == "6"
    assert loop.flapping.due() is not None


def test_labels_change_whole():
    """A mistake in new labels leaves the previous ones in force, is told once, and is over when it is mended."""
    target = FakeTarget()
    loop = Loop(FakeSource(), a_rules(), [target], kept=KeptLabels())
    with capture_logs() as logs:
        for slot, keys in enumerate([{}, {"hots": "x"}, {"hots": "x"}, {"weight": 7}], 1):
            assert loop.round(cluster(slot, **keys))
    assert [[server.weight for server in model.servers] for model in target.models] == [[100], [100], [100], [7]]
    assert [server.address for server in target.models[2].servers] == ["10.0.0.3"]
    told = [entry["event"] for entry in logs if "previous labels" in str(entry.get("problem"))]
    assert told == ["problem", "problem_solved"]
    assert [change.method for change in loop.kept.changes] == ["labels", "labels"]


def test_labels_without_a_past():
    """A loop that only renders has no past: a mistake closes its route."""
    target = FakeTarget()
    loop = Loop(FakeSource(), a_rules(), [target])
    for keys in ({}, {"hots": "x"}):
        loop.round(cluster(1, **keys))
    assert target.models[1].routes == ()


def test_shrunk_listing_keeps_no_labels():
    """What the shrink guard holds is not in force, and changes nothing of what services are known to be served by."""
    loop = Loop(FakeSource(), a_rules(), [FakeTarget()], kept=KeptLabels())
    loop.round(cluster(*range(1, 9)))
    assert not loop.round(cluster(1, hots="x"))
    assert loop.kept.kept == {}
    assert loop.round(cluster(1, listing=2, hots="x"))
    assert list(loop.kept.kept) == ["web"]


def test_labels_are_saved(tmp_path):
    """What services are served by is on disk after each round."""
    store = LabelStore([OutputLock(tmp_path)])
    loop = Loop(FakeSource(), a_rules(), [FakeTarget()], kept=KeptLabels(store))
    loop.round(cluster(1))
    assert LabelStore([OutputLock(tmp_path)]).read()["web"].routes == ("web",)


def test_labels_are_saved_later(tmp_path, monkeypatch):
    """What a full disk kept from it is written in a round of its own, though nothing changes any more."""
    monkeypatch.setattr("lbgen.daemon.kept_labels.AGAIN", 0.01)
    store = LabelStore([OutputLock(tmp_path / "out")])
    (tmp_path / "out").write_text("in the way")
    loop = Loop(FakeSource(cluster(1)), a_rules(), [FakeTarget()], kept=KeptLabels(store))
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    wait_for(lambda: store.failing)
    (tmp_path / "out").unlink()
    wait_for(lambda: not store.failing)
    loop.stop()
    thread.join(PATIENCE)
    assert LabelStore([OutputLock(tmp_path / "out")]).read()["web"].routes == ("web",)
