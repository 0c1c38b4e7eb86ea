"""`lbgen.source.several`: each part is followed alone, and what is known of all is one snapshot."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.base.unexpected import UnexpectedErrors
from lbgen.snapshot import Cause, Part, Snapshot
from lbgen.source import PartState
from lbgen.source.last_known import store_in
from lbgen.source.several import SeveralSources
from tests.support.builders import a_node, a_service, a_snapshot, a_task
from tests.support.wait import wait_for

PATIENCE = 60.0  # seconds; only a broken test needs them


class Told:
    """A source that says what it is told to."""

    def __init__(self, first: Snapshot | None = None, kind: str = "docker") -> None:
        self.queue: queue.SimpleQueue[Snapshot | Exception | None] = queue.SimpleQueue()
        self.kind, self.first, self.relists, self.closed = kind, first, 0, False
        self.failing = ""
        if first is not None:
            self.queue.put(first)

    def take(self) -> Snapshot:
        if self.first is None:
            raise SourceError("no answer")
        return self.first

    def follow(self) -> Iterator[Snapshot]:
        while (told := self.queue.get()) is not None:
            if isinstance(told, Exception):
                raise told
            yield told

    def relist(self) -> None:
        self.relists += 1

    def close(self) -> None:
        self.closed = True
        self.queue.put(None)

    def states(self) -> tuple[PartState, ...]:
        return (PartState(self.kind, mode="push", failing=self.failing),)


the_service, the_task = cache(a_service), cache(a_task)  # sources hand on the same object for what did not change


def facts(*names: str, cluster: str = "", listing: int = 1, tasks: int = 1) -> Snapshot:
    """Services with so many tasks each; ids are the names'."""
    own = [each for name in names for each in (the_service(name), *(the_task(name, n) for n in range(1, tasks + 1)))]
    return replace(a_snapshot(*own, listing=listing), cluster=cluster, causes=(Cause("something", 1.0),))


class Followed:
    """What a source has yielded."""

    def __init__(self, source: SeveralSources) -> None:
        self.source, self.seen = source, []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for snapshot in self.source.follow():
            self.seen.append(snapshot)

    def names(self) -> list[str]:
        return sorted(service.name for service in self.seen[-1].services.values()) if self.seen else []

    def wait(self, *names: str) -> Snapshot:
        """Return the newest snapshot once it has these services."""
        wait_for(lambda: self.names() == sorted(names), f"services {names}", not_yet=(IndexError,))
        return self.seen[-1]


@contextmanager
def following(parts, **options) -> Iterator[Followed]:
    source = SeveralSources(parts, unexpected=UnexpectedErrors(first_pause=0.001, longest_pause=0.001), **options)
    followed = Followed(source)
    try:
        yield followed
    finally:
        source.close()
        followed.thread.join(PATIENCE)
        assert not followed.thread.is_alive()


def test_one_snapshot():
    """The first snapshot has all parts; a change of one is there at once, and its causes name it."""
    a, b = Told(facts("web")), Told(facts("api"))
    with following({"a": a, "b": b}, head_start=PATIENCE) as followed:
        first = followed.wait("web", "api")
        assert first is followed.seen[0]
        assert {cause.text for cause in first.causes} == {"something (source a)", "something (source b)"}
        b.queue.put(facts("api", "shop"))
        second = followed.wait("web", "api", "shop")
        assert [cause.text for cause in second.causes] == ["something (source b)"]
        assert second.services["web-id"] is first.services["web-id"]
    assert a.closed
    assert b.closed


def test_slow_part():
    """A part that does not answer holds the others up for its head start, and comes in later."""
    a, b = Told(facts("web")), Told()
    with following({"a": a, "b": b}, head_start=0.05) as followed:
        assert list(followed.wait("web").parts) == ["a"]
        b.queue.put(facts("api"))
        assert list(followed.wait("web", "api").parts) == ["a", "b"]


def test_nothing_known():
    """While nothing is known of any part there is no snapshot: it would empty the proxy."""
    a = Told()
    with following({"a": a}, head_start=0.01) as followed:
        followed.source.relist()
        assert not followed.seen
        a.queue.put(facts("web"))
        assert len(followed.wait("web").services) == 1
        assert len(followed.seen) == 1


def test_part_that_raises():
    """A part that ends in an error is followed again; its facts stay, and the others' changes arrive meanwhile."""
    a, b = Told(facts("web")), Told(facts("api"))
    with following({"a": a, "b": b}, head_start=PATIENCE) as followed:
        followed.wait("web", "api")
        b.queue.put(RuntimeError("broken"))
        a.queue.put(facts("web", "new"))
        followed.wait("web", "new", "api")
        b.queue.put(facts("api", "again"))
        followed.wait("web", "new", "api", "again")


def test_add_and_remove():
    """Parts come and go: what is removed is gone; what replaces another has its facts till it answers."""
    a, b, c = Told(facts("web")), Told(facts("api"), kind="offer"), Told(kind="offer")
    with following({"a": a}, head_start=PATIENCE) as followed:
        followed.wait("web")
        followed.source.add("b", b)
        assert "b/api-id" in followed.wait("web", "api").services
        followed.source.add("b", c)
        assert b.closed
        a.queue.put(facts("web", "new"))
        followed.wait("web", "new", "api")
        c.queue.put(facts("other"))
        followed.wait("web", "new", "other")
        followed.source.remove("b")
        followed.wait("web", "new")
        followed.source.remove("b")  # of what is not there nothing is left to do
        assert [state.name for state in followed.source.states()] == ["a"]


def test_last_known(tmp_path):
    """A restart while a part is away goes on with what was known of it, and says so; damaged files are ignored."""
    store = store_in(tmp_path)
    with following({"a": Told(facts("web")), "b": Told(facts("api"))}, store=store, head_start=PATIENCE) as followed:
        followed.wait("web", "api")
    away = Told()
    with (
        capture_logs() as logs,
        following({"a": Told(facts("web")), "b": away}, store=store, head_start=0.05) as followed,
    ):
        snapshot = followed.wait("web", "api")
        assert any("source b: away" in cause.text for cause in snapshot.causes)
        away.queue.put(facts("api", "new"))
        followed.wait("web", "api", "new")
    assert [entry["source"] for entry in logs if entry["event"] == "source_away"] == ["b"]
    (tmp_path / "source" / "b.json").write_text("{")
    with following({"a": Told(facts("web")), "b": Told()}, store=store, head_start=0.05) as followed:
        followed.wait("web")


def test_one_cluster_twice():
    """The second part that follows a cluster is refused: told once, never twice the same servers."""
    a, b = Told(facts("web", cluster="c")), Told(kind="hub")
    with capture_logs() as logs, following({"a": a, "b": b}, head_start=0.05) as followed:
        followed.wait("web")
        for _ in range(2):
            b.queue.put(facts("web", cluster="c"))
        state = wait_for(lambda: next((s for s in followed.source.states() if s.failing), None), "the refusal")
        assert (state.name, state.facts) == ("b", False)
        assert "same cluster as part a" in state.failing
        b.queue.put(facts("api", cluster="d"))
        followed.wait("web", "api")
        assert not any(state.failing for state in followed.source.states())
    assert [entry["event"] for entry in logs if entry["event"] == "source_refused"] == ["source_refused"]


def test_hostile_ids():
    """A part that takes another one's ids loses nothing but its own change."""
    a, b = Told(facts("web")), Told(facts("api"))
    with following({"a": a, "b": b}, head_start=PATIENCE) as followed:
        before = followed.wait("web", "api")
        b.queue.put(facts("api", "web"))
        wait_for(lambda: any(state.failing for state in followed.source.states()), "the refusal")
        a.queue.put(facts("web", "new"))
        after = followed.wait("web", "new", "api")
        assert after.services["web-id"] is before.services["web-id"]


def test_most_vanish_at_once():
    """A listing without most of a part's tasks has to be confirmed by another one; the others go on."""
    a, b = Told(facts("web")), Told(facts("api", tasks=6))
    with following({"a": a, "b": b}, head_start=PATIENCE) as followed:
        followed.wait("web", "api")
        b.queue.put(facts(listing=2))
        wait_for(lambda: b.relists, "the question for another listing")
        a.queue.put(facts("web", "new"))
        followed.wait("web", "new", "api")
        b.queue.put(facts(listing=3))
        followed.wait("web", "new")
    assert a.relists == 0


def test_same_file_in_two_parts():
    """Parts of files have ids of their own, so that two of equal ids stand side by side."""
    parts = {"a": Told(facts("web"), "file"), "b": Told(facts("web"), "file")}
    with following(parts, head_start=PATIENCE) as followed:
        snapshot = followed.wait("a_web", "b_web")
    assert sorted(snapshot.services) == ["a/web-id", "b/web-id"]
    assert {task.service_id for task in snapshot.tasks.values()} == set(snapshot.services)


def test_parts_of_a_part():
    """What a hub hands out has parts of its own: they are below the hub's."""
    inner = a_snapshot(a_node(part="prod"), a_service(part="prod"), a_task())
    inner = replace(inner, parts={"prod": Part("prod", "c")})
    with following({"hub": Told(inner, "hub"), "b": Told(facts("api"))}, head_start=PATIENCE) as followed:
        snapshot = followed.wait("web", "api")
    assert sorted(snapshot.parts) == ["b", "hub-prod"]
    assert snapshot.services["hub/web-id"].part == "hub-prod"


def test_take():
    """One snapshot of all; what is missing a part is none."""
    whole = SeveralSources({"a": Told(facts("web")), "b": Told(facts("web"), "file")}).take()
    assert sorted(service.name for service in whole.services.values()) == ["a_web", "b_web"]
    assert list(whole.parts) == ["a", "b"]
    with pytest.raises(SourceError, match="source b: no answer"):
        SeveralSources({"a": Told(facts("web")), "b": Told()}).take()
