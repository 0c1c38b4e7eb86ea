"""The table of a rollout, row by row, and what each phase hands out."""

from __future__ import annotations

import json

import pytest

from lbgen.hub.rollout import TABLE, Event, Phase, Rollout

ROWS = [
    ("idle", "new version", "canary"),
    ("canary", "new version", "canary"),
    ("canary", "last edge accepted", "pause"),
    ("canary", "edge refused", "stopped"),
    ("canary", "readiness fell", "stopped"),
    ("canary", "resume", "rest"),
    ("canary", "abort", "stopped"),
    ("pause", "new version", "canary"),
    ("pause", "canary gone", "canary"),
    ("pause", "pause over", "rest"),
    ("pause", "edge refused", "stopped"),
    ("pause", "readiness fell", "stopped"),
    ("pause", "resume", "rest"),
    ("pause", "abort", "stopped"),
    ("rest", "new version", "canary"),
    ("rest", "last edge accepted", "done"),
    ("rest", "edge refused", "stopped"),
    ("rest", "readiness fell", "stopped"),
    ("rest", "abort", "stopped"),
    ("done", "new version", "canary"),
    ("done", "abort", "stopped"),
    ("stopped", "new version", "canary"),
    ("stopped", "last edge accepted", "rolled-back"),
    ("stopped", "resume", "canary"),
    ("rolled-back", "new version", "canary"),
    ("rolled-back", "resume", "canary"),
]
CANARIES = frozenset({"c"})


@pytest.mark.parametrize(("phase", "event", "following"), ROWS)
def test_row(phase: str, event: str, following: str) -> None:
    """Each row leads where this list says."""
    before = Rollout(Phase(phase), "new", "old", 1.0, "", frozenset("c"), frozenset("c"))
    rollout = before.of("newer", 2.0) if event == "new version" else before.after(Event(event), 2.0)
    assert rollout.phase == following
    assert rollout.since == 2.0


def test_no_other_rows() -> None:
    """Everything else means nothing: a resume of what is done, say."""
    assert {(phase.value, event.value, to.value) for (phase, event), to in TABLE.items()} == {*ROWS}
    for phase in Phase:
        for event in Event:
            if (phase, event) not in TABLE:
                assert Rollout(phase, "new", since=1.0).after(event, 2.0) == Rollout(phase, "new", since=1.0)


@pytest.mark.parametrize(
    ("phase", "versions"),
    [
        ("idle", "old old old"),
        ("canary", "new new old"),
        ("pause", "new new old"),
        ("rest", "new new new"),
        ("done", "new new new"),
        ("stopped", "old old old"),
        ("rolled-back", "old old old"),
    ],
)
def test_version_for(phase: str, versions: str) -> None:
    """A canary, one that was handed it before (as `rest`, say), and another one."""
    rollout = Rollout(Phase(phase), "new", "old", tried=frozenset({"was"}))
    assert " ".join(rollout.version_for(edge, CANARIES) for edge in ("c", "was", "other")) == versions


def test_what_is_gone_back_to() -> None:
    """Only what was rolled out whole is ever gone back to, also by an abort after the end."""
    first = Rollout().of("a", 1.0)
    assert first.before == ""
    assert first.after(Event.ABORT, 2.0).of("b", 3.0).before == ""
    done = first.after(Event.RESUME, 2.0).after(Event.LAST_ACCEPTED, 3.0)
    assert done.phase is Phase.DONE
    second = done.of("b", 4.0)
    assert second.before == "a"
    assert second.after(Event.EDGE_REFUSED, 5.0).of("c", 6.0).before == "a"
    whole = second.after(Event.RESUME, 5.0).after(Event.LAST_ACCEPTED, 6.0)
    assert whole.after(Event.ABORT, 7.0).version_for("c", CANARIES) == "a"


def test_resume_begins_anew() -> None:
    """After a stop canaries try it again, and no others, even if these were handed it before."""
    stopped = Rollout(Phase.REST, "new", "old").handed("other", ready=True).after(Event.EDGE_REFUSED, 1.0, "c refused")
    assert stopped.reason == "c refused"
    resumed = stopped.after(Event.RESUME, 2.0)
    assert (resumed.reason, resumed.tried, resumed.sound) == ("", frozenset(), frozenset())
    assert resumed.version_for("other", CANARIES) == "old"


def test_pause_begins_anew() -> None:
    """A canary that goes away keeps what it was handed: it is the one that is waited for."""
    paused = Rollout(Phase.PAUSE, "new", "old", 1.0).handed("c", ready=True)
    assert paused.after(Event.CANARY_GONE, 2.0).tried == {"c"}


def test_handed() -> None:
    """Whether an edge was ready is remembered for good: it may have fallen since."""
    rollout = Rollout(Phase.CANARY, "new").handed("a", ready=False).handed("b", ready=True)
    assert (rollout.tried, rollout.sound) == ({"a", "b"}, {"b"})
    assert rollout.handed("a", ready=True).handed("b", ready=False).sound == {"a", "b"}


def test_document() -> None:
    """A restarted hub reads what it wrote, and nothing else."""
    rollout = Rollout(Phase.STOPPED, "new", "old", 1.5, "why", frozenset({"a", "b"}), frozenset("a"))
    assert Rollout.read(json.loads(json.dumps(rollout.document()))) == rollout
    for document in ({}, {**rollout.document(), "phase": "x"}, {**rollout.document(), "since": "x"}):
        with pytest.raises((KeyError, ValueError)):
            Rollout.read(document)
