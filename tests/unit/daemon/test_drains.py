"""`daemon.drains`: what operators drain, put into each snapshot; a bad file changes nothing."""

from __future__ import annotations

import json

import pytest
from structlog.testing import capture_logs

from lbgen.daemon.drain_store import Drain, changing
from lbgen.daemon.drains import Drains
from tests.support.builders import a_node, a_service, a_snapshot, a_task
from tests.support.clock import Clock
from tests.support.watched import AT

NODES = a_node("node1"), a_node("node2")
SNAPSHOT = a_snapshot(*NODES, a_service(), a_task("web", 1), a_task("web", 2, node="node2"))


class Bench:
    """Drains of a file, and clocks that stand still."""

    def __init__(self, directory) -> None:
        self.path, self.clock, self.loop_clock = directory / "drains.json", Clock(AT + 5), Clock()
        self.drains = Drains(self.path, self.clock, self.loop_clock)

    def ask(self, *names: str, at: float = AT, until: float | None = None, reason: str = "") -> None:
        """Have these names drained, and no others."""
        with changing(self.path) as drains:
            drains.clear()
            drains |= {name: Drain(name, at, reason, until) for name in names}

    def marked(self, snapshot=SNAPSHOT) -> set[str]:
        """The ids that are marked."""
        found = self.drains.applied(snapshot)
        return {item.id for item in (*found.nodes.values(), *found.tasks.values()) if item.drain_asked}

    def told(self) -> list[tuple[str, float]]:
        """What history is told, once."""
        causes = [(cause.text, cause.at) for cause in self.drains.causes()]
        self.drains.accepted()
        return causes


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A bench without a file."""
    return Bench(tmp_path)


def test_marked(bench):
    """Nodes and tasks of the names are marked, from the next round on; nothing else is touched."""
    assert bench.drains.applied(SNAPSHOT) is SNAPSHOT
    bench.ask("node2", "web.1")
    assert bench.marked() == {"node2-id", "web-1-id"}
    bench.ask("web.1")
    assert bench.marked() == {"web-1-id"}
    bench.ask()
    assert bench.drains.applied(SNAPSHOT) is SNAPSHOT


def test_without_a_file():
    """Where nothing can be drained, nothing is."""
    drains = Drains()
    assert drains.applied(SNAPSHOT) is SNAPSHOT
    assert (drains.due(), drains.problems, drains.causes()) == (None, (), ())


def test_same_objects(bench):
    """What has not changed is the same object as in the round before, so that nothing is decided anew."""
    bench.ask("node2", "web.1")
    one = bench.drains.applied(SNAPSHOT)
    two = bench.drains.applied(SNAPSHOT)
    assert one.nodes is two.nodes
    assert one.tasks is two.tasks
    assert two.services is SNAPSHOT.services
    tasks = {**SNAPSHOT.tasks, "web-3-id": a_task("web", 3)}
    later = a_snapshot(*SNAPSHOT.nodes.values(), a_service(), *tasks.values())
    three = bench.drains.applied(later)
    assert three.nodes is one.nodes
    assert three.tasks["web-1-id"] is one.tasks["web-1-id"]
    assert three.tasks["web-3-id"] is later.tasks["web-3-id"]


def test_a_new_task_in_the_slot(bench):
    """The name is drained, so what takes its place is, too."""
    bench.ask("web.1")
    bench.marked()
    new = a_task("web", 1, node="node2", id="another")
    assert bench.marked(a_snapshot(*NODES, a_service(), new)) == {"another"}


def test_bad_file(bench):
    """What was read last stays in force; it is told once, and once more when it is mended."""
    bench.ask("node2")
    bench.marked()
    bench.path.write_text("{")
    with capture_logs() as logs:
        assert bench.marked() == bench.marked() == {"node2-id"}
    assert [entry["event"] for entry in logs] == ["drains_refused"]
    (problem,) = bench.drains.problems
    assert problem.file == str(bench.path)
    assert not problem.note
    assert "what was drained before stays drained" in str(problem)
    with capture_logs() as logs:
        bench.path.write_text(json.dumps({"version": 1, "drains": {}}))
        assert bench.marked() == set()
    assert [entry["event"] for entry in logs] == ["drains_usable_again"]
    assert bench.drains.problems == ()


def test_directory_gone(bench, tmp_path):
    """A state directory that is not there says nothing: a file that was removed takes everything back."""
    bench.ask("node2")
    bench.marked()
    kept = tmp_path.with_name(f"{tmp_path.name}-kept")
    tmp_path.rename(kept)
    assert bench.marked() == {"node2-id"}
    kept.rename(tmp_path)
    bench.path.unlink()
    assert bench.marked() == set()


def test_unknown_name(bench):
    """A name that means nothing is kept and told as a note, until it means something."""
    bench.ask("node3")
    assert bench.marked() == set()
    (problem,) = bench.drains.problems
    assert problem.note
    assert "node3 is to be drained" in str(problem)
    assert "lbgen drain --undo node3" in str(problem)
    assert bench.marked(a_snapshot(*NODES, a_node("node3"))) == {"node3-id"}
    assert bench.drains.problems == ()


def test_until(bench):
    """It ends by itself, and says when that is."""
    bench.ask("node2", "web.1", until=AT + 65)
    assert bench.marked() == {"node2-id", "web-1-id"}
    assert bench.drains.due() == bench.loop_clock.now + 60
    bench.clock.now += 60
    assert bench.marked() == set()
    assert bench.drains.due() is None


def test_origins(bench):
    """Since when each is drained, tasks of a drained node as well."""
    bench.ask("node2", "web.1", at=AT - 5)
    found = bench.drains.applied(SNAPSHOT)
    assert bench.drains.origins(found) == {"node2-id": 10.0, "web-1-id": 10.0, "web-2-id": 10.0}
    bench.clock.now = AT - 100  # a clock that was set back
    bench.drains.applied(SNAPSHOT)
    assert set(bench.drains.origins(found).values()) == {0.0}


def test_causes(bench):
    """History is told who drains what, at the time of the command; of what a daemon finds at its start nothing."""
    bench.ask("node2")
    bench.marked()
    assert bench.told() == []
    bench.ask("node2", "web.1", reason="disk full")
    bench.marked()
    assert [text for text, _ in bench.told()] == ["drained by an operator: server web.1 (disk full)"]
    assert bench.told() == []
    bench.ask("web.1")
    bench.marked()
    assert [text for text, _ in bench.told()] == ["no longer drained: node node2"]
    bench.ask("web.1", "node1")
    bench.marked()
    assert bench.told() == [("drained by an operator: node node1", AT)]
    bench.clock.now += 3600
    bench.marked(a_snapshot(*NODES))
    assert bench.told() == [("drained by an operator, and not there any more: server web.1", bench.clock.now)]
