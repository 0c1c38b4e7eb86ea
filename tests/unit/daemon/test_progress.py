"""`daemon.progress`: what may follow what, each row of the table by a target that does it."""

from __future__ import annotations

from itertools import product

import pytest

from lbgen.base.errors import ApplyFailed
from lbgen.daemon.history import AFTER, Event, State
from tests.support.bench import INTERVAL, Bench

LONG = 100.0  # seconds after which neither an interval nor a retry has to be waited for


def fail() -> None:
    raise ApplyFailed("no")


def serve(bench: Bench) -> None:
    """Bring the target to something that it serves."""
    bench.mend()
    bench.proxy.on_reload = lambda: None
    bench.clock.now += LONG
    assert bench.bring()


def postpone(bench: Bench) -> None:
    """Bring the target to something that needs a reload, which has to wait."""
    bench.mend()
    bench.target.schedule.reloading()
    assert not bench.bring(2, "random")


def refuse(bench: Bench) -> None:
    """Bring the target to something that the checker refuses."""
    bench.spoil()
    bench.proxy.on_reload = lambda: None
    bench.clock.now += LONG
    assert not bench.bring(2, "least-conn")


def break_down(bench: Bench) -> None:
    """Bring the target to something that cannot be applied."""
    bench.mend()
    bench.proxy.on_reload = fail
    bench.clock.now += LONG
    assert not bench.bring(2, "random")


DO = {Event.SERVED: serve, Event.POSTPONED: postpone, Event.REFUSED: refuse, Event.FAILED: break_down}
TO = {  # how a new target comes to each state
    State.NEW: [],
    State.LIVE: [Event.SERVED],
    State.WAITING: [Event.SERVED, Event.POSTPONED],
    State.REFUSED: [Event.REFUSED],
    State.FAILED: [Event.FAILED],
}
ROWS = [
    (State.NEW, Event.SERVED, State.LIVE),
    (State.NEW, Event.POSTPONED, State.NEW),
    (State.NEW, Event.REFUSED, State.REFUSED),
    (State.NEW, Event.FAILED, State.FAILED),
    (State.LIVE, Event.SERVED, State.LIVE),
    (State.LIVE, Event.POSTPONED, State.WAITING),
    (State.LIVE, Event.REFUSED, State.REFUSED),
    (State.LIVE, Event.FAILED, State.FAILED),
    (State.WAITING, Event.SERVED, State.LIVE),
    (State.WAITING, Event.POSTPONED, State.WAITING),
    (State.WAITING, Event.REFUSED, State.REFUSED),
    (State.WAITING, Event.FAILED, State.FAILED),
    (State.REFUSED, Event.SERVED, State.LIVE),
    (State.REFUSED, Event.POSTPONED, State.REFUSED),
    (State.REFUSED, Event.REFUSED, State.REFUSED),
    (State.REFUSED, Event.FAILED, State.FAILED),
    (State.FAILED, Event.SERVED, State.LIVE),
    (State.FAILED, Event.POSTPONED, State.FAILED),
    (State.FAILED, Event.REFUSED, State.REFUSED),
    (State.FAILED, Event.FAILED, State.FAILED),
]


@pytest.mark.parametrize(("state", "event", "after"), ROWS, ids=lambda row: row.name.lower())
def test_row(tmp_path, state, event, after):
    """A target in this state is in that one after this event; ready and failing follow from it."""
    bench = Bench(tmp_path)
    events = [*TO[state], event]
    for number, each in enumerate(events, 1):
        if number == len(events):
            assert bench.target.progress.state is state
        DO[each](bench)
    target = bench.target
    assert target.progress.state is after
    assert target.failing == (after in (State.REFUSED, State.FAILED))
    assert target.ready == (Event.SERVED in events)
    assert (target.failure is None) == (not {Event.REFUSED, Event.FAILED} & set(events))


def test_table():
    """Every event may follow in every state."""
    assert AFTER.keys() == set(product(State, Event)) == {(state, event) for state, event, _ in ROWS}


def test_refusal_is_told_once(tmp_path):
    """A refusal is reported anew once something was live in between, and only then."""
    bench = Bench(tmp_path)
    assert bench.bring()
    told = []
    for step in (refuse, refuse, break_down, serve, refuse):
        step(bench)
        told.append([entry["event"] for entry in bench.logs if entry["event"] != "applied"])
    assert told == [["refused"], [], ["apply_failed"], [], ["refused"]]
    assert INTERVAL < LONG
