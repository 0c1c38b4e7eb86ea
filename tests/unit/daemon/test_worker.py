"""`lbgen.daemon.worker`: every target in a thread of its own, so that none waits for another."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SettingsError
from lbgen.base.unexpected import Part, UnexpectedErrors
from lbgen.daemon.worker import Worker
from lbgen.model import Model
from lbgen.snapshot import Cause, Snapshot
from tests.support.builders import a_snapshot
from tests.support.wait import PATIENCE, wait_for


class SlowLook:
    """A look at old workers that is due when it is wanted."""

    def __init__(self) -> None:
        self.wanted: float | None = None
        self.looked = threading.Event()

    def due(self) -> float | None:
        return self.wanted

    def look(self) -> None:
        self.wanted = None
        self.looked.set()


class SlowTarget:
    """What a worker needs of a target; it takes until it is told to go on."""

    def __init__(self, name: str = "edge") -> None:
        self.name = name
        self.brought: list[tuple[Model, Snapshot]] = []
        self.began, self.may_go_on = threading.Semaphore(0), threading.Event()
        self.may_go_on.set()
        self.wanted: float | None = None
        self.mistakes: list[Exception] = []
        self.failures: list[tuple[str, str]] = []
        self.log: list[str] = []
        self.old_workers, self.output_watch = SlowLook(), SlowLook()
        self.free = True  # no other lbgen has its output
        self.looks = 0

    def may_start(self) -> bool:
        self.looks += 1
        return self.free

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    def leave(self) -> None:
        self.log.append("leave")

    def due(self) -> float | None:
        return self.wanted

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        self.wanted = None
        self.brought.append((model, snapshot))
        self.began.release()
        assert self.may_go_on.wait(PATIENCE)
        if self.mistakes:
            raise self.mistakes.pop()
        return True

    def revise(self, *parts: object) -> None:
        self.log.append(f"revise {parts} after {len(self.brought)}")

    def failed(self, kind: str, error: Exception) -> None:
        self.failures.append((kind, str(error)))

    def wait(self) -> None:
        """Wait until it was brought to something once more."""
        assert self.began.acquire(timeout=PATIENCE)


@pytest.fixture
def workers():
    """Two workers that run."""
    made = [Worker(SlowTarget("slow")), Worker(SlowTarget("quick"))]
    for worker in made:
        worker.start()
    yield made
    for worker in made:
        worker.target.may_go_on.set()
        worker.stop()


def caused(*texts: str) -> Snapshot:
    """A snapshot that such changes led to."""
    return replace(a_snapshot(), causes=tuple(Cause(text, 0.0) for text in texts))


def test_none_waits_for_another(workers):
    """While one target hangs in its checker the other follows, and only the one counts as busy."""
    slow, quick = workers
    slow.target.may_go_on.clear()
    for _ in range(3):
        for worker in workers:
            assert worker.bring_to(Model(), caused())
        quick.target.wait()
    slow.target.wait()
    assert len(slow.target.brought) == 1
    assert slow.busy_since is not None
    assert slow.due() is None


def test_revised_with_the_next_model(workers):
    """Other settings go with the model that was made by them: not with an older one that is tried again."""
    worker = workers[0]
    worker.target.may_go_on.clear()
    worker.bring_to(Model(), caused())
    worker.target.wait()
    worker.revise("renderer", "check", 2.0)
    worker.target.wanted = 0.0
    worker.target.may_go_on.set()
    worker.target.wait()
    assert worker.target.log == ["start"]
    worker.bring_to(Model(), caused())
    worker.target.wait()
    assert worker.target.log == ["start", "revise ('renderer', 'check', 2.0) after 2"]


def test_newest_counts_and_all_causes(workers):
    """Of what arrives while a target is busy the newest is next, with the causes of what was skipped."""
    worker = workers[0]
    worker.target.may_go_on.clear()
    worker.bring_to(Model(), caused("first"))
    worker.target.wait()
    newest = Model(problems=())
    worker.bring_to(Model(), caused("second"))
    worker.bring_to(newest, caused("third"))
    worker.target.may_go_on.set()
    worker.target.wait()
    assert [[cause.text for cause in snapshot.causes] for _, snapshot in worker.target.brought] == [
        ["first"],
        ["second", "third"],
    ]
    assert worker.target.brought[1][0] is newest


def test_target_is_due(workers):
    """A target that has something left to do is brought to the same again, but told the causes only once."""
    worker = workers[0]
    worker.target.may_go_on.clear()
    worker.bring_to(Model(), caused("first"))
    worker.target.wait()
    worker.target.wanted = time.monotonic() + 0.05
    worker.target.may_go_on.set()
    worker.target.wait()
    assert [len(snapshot.causes) for _, snapshot in worker.target.brought] == [1, 0]


def test_a_look_is_due(workers):
    """Old workers are looked at in their own time, and nothing is rendered for that."""
    worker = workers[0]
    worker.target.may_go_on.clear()
    worker.bring_to(Model(), caused("first"))
    worker.target.wait()
    worker.target.old_workers.wanted = time.monotonic() + 0.05
    worker.target.may_go_on.set()
    assert worker.target.old_workers.looked.wait(PATIENCE)
    assert len(worker.target.brought) == 1


def test_mistake(workers):
    """An exception nobody thought of is logged and told; the target gets its chance with the next model."""
    worker = workers[0]
    worker.target.mistakes = [ZeroDivisionError("by nothing")]
    with capture_logs() as logs:
        worker.bring_to(Model(), caused())
        worker.target.wait()
        worker.bring_to(Model(), caused())
        worker.target.wait()
    assert worker.target.failures == [("target_failed", "by nothing")]
    assert [entry["target"] for entry in logs if entry["event"] == "target_failed"] == ["slow"]


def test_mistake_is_tried_again():
    """What raised is brought to the target once more, without any news, until it does not raise."""
    unexpected = UnexpectedErrors(first_pause=0.001, longest_pause=0.01)
    worker = Worker(SlowTarget(), unexpected=unexpected)
    worker.target.mistakes = [RuntimeError("a mistake") for _ in range(6)]
    model = Model()
    worker.start()
    worker.bring_to(model, caused("first"))
    for _ in range(7):
        worker.target.wait()
    wait_for(lambda: not unexpected.keep_failing(), "the last one")
    worker.stop()
    assert [id(brought) for brought, _ in worker.target.brought] == [id(model)] * 7
    assert unexpected.counts()[Part.TARGET] == 6


def test_revision_that_raises():
    """Other settings that cannot be taken over are tried again with their model, never left out."""
    unexpected = UnexpectedErrors(first_pause=0.001, longest_pause=0.01)
    worker = Worker(SlowTarget(), unexpected=unexpected)
    tries = []

    def revise(*_: object) -> None:
        tries.append(len(worker.target.brought))
        if len(tries) < 3:
            raise RuntimeError("a mistake")

    worker.target.revise = revise
    worker.start()
    worker.revise("renderer", "check", 2.0)
    worker.bring_to(Model(), caused())
    worker.target.wait()
    worker.stop()
    assert tries == [0, 0, 0]


def test_start_that_raises():
    """A target whose start raises what nobody expected is started again in its thread, before any model."""
    unexpected = UnexpectedErrors(first_pause=0.001, longest_pause=0.01)
    worker, tries, started = Worker(SlowTarget(), unexpected=unexpected), [], threading.Event()

    def start() -> None:
        tries.append(len(tries))
        if len(tries) < 4:
            raise RuntimeError("a mistake")
        started.set()

    worker.target.start = start
    worker.start()
    assert started.wait(PATIENCE)
    worker.bring_to(Model(), caused())
    worker.target.wait()
    worker.stop()
    assert tries == [0, 1, 2, 3]


def test_due_that_raises(workers):
    """A target that cannot say when it is due still gets every model."""
    worker = workers[0]
    worker.target.due = lambda: 1 / 0
    for number in range(3):
        worker.bring_to(Model(), caused())
        worker.target.wait()
        wait_for(lambda number=number: len(worker.target.failures) > number, "the mistake")


def test_leave(workers):
    """A worker that is left ends its thread, but not what its target has started."""
    worker = workers[0]
    worker.leave()
    assert worker.target.log == ["start", "leave"]


def test_start_and_stop():
    """What starting a target raises is the caller's; a worker that never began can be stopped."""

    class Refused(SlowTarget):
        def start(self) -> None:
            raise SettingsError("no such directory")

    worker = Worker(Refused())
    with pytest.raises(SettingsError):
        worker.start()
    worker.stop()
    assert worker.target.log == ["stop"]


def test_end_waits_for_what_is_under_way(workers):
    """A worker ends after the work it has begun."""
    worker = workers[0]
    worker.target.may_go_on.clear()
    worker.bring_to(Model(), caused())
    worker.target.wait()
    threading.Timer(0.05, worker.target.may_go_on.set).start()
    worker.stop()
    assert worker.busy_since is None
    assert worker.target.log == ["start", "stop"]


def test_end_does_not_wait_for_the_pause_after_a_mistake():
    """A worker that pauses after a mistake ends at once."""
    worker = Worker(SlowTarget())
    worker.target.mistakes = [ZeroDivisionError("by nothing")]
    with capture_logs():
        worker.start()
        worker.bring_to(Model(), caused())
        worker.target.wait()
        began = time.monotonic()
        worker.stop()
    assert time.monotonic() - began < PATIENCE / 4
    assert worker.target.log == ["start", "stop"]


def test_waits_for_its_output():
    """While another lbgen has the output nothing is started or brought; then the newest model is."""
    worker = Worker(SlowTarget(), turn=0.01)
    worker.target.free = False
    worker.start()
    worker.bring_to(Model(), caused("one"))
    worker.bring_to(Model(), caused("two"))
    wait_for(lambda: worker.target.looks > 3, "looks")
    assert (worker.target.log, worker.target.brought, worker.busy_since) == ([], [], None)
    worker.target.free = True
    worker.target.wait()
    assert worker.target.log == ["start"]
    assert [[cause.text for cause in snapshot.causes] for _, snapshot in worker.target.brought] == [["one", "two"]]
    worker.stop()


def test_ends_while_it_waits():
    """A worker that waits for its output ends at once, without having started anything."""
    worker = Worker(SlowTarget(), turn=PATIENCE)
    worker.target.free = False
    worker.start()
    worker.stop()
    assert worker.target.log == ["stop"]
