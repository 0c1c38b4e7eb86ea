"""`source.engine.schedule`: what is listed when, what counts as drift and as motion. No clock, only numbers."""

from __future__ import annotations

import random

import pytest

from lbgen.snapshot import Node, Service, Task
from lbgen.source.engine.schedule import Drift, Pace, Schedule, moving
from lbgen.source.facts import ALL, EMPTY
from tests.support.clock import Clock

PACE = Pace()
TASKS = frozenset({"tasks"})
SERVICES = frozenset({"services", "tasks"})


class Middle(random.Random):
    """No jitter."""

    def uniform(self, a, b):
        return (a + b) / 2


def schedule(polled=TASKS):
    """A schedule after its first full listing, at time 100, which took no time."""
    made = Schedule(PACE, Middle(), polled)
    assert made.due() == 0.0
    assert made.begin(100.0) == ALL
    made.done(ALL, 100.0, 100.0, moving=False)
    return made


@pytest.mark.parametrize(("in_motion", "next_listing"), [(False, 105.0), (True, 101.0)])
def test_tasks_are_listed_on_a_timer(in_motion, next_listing):
    """Each second in motion, each five otherwise."""
    made = schedule()
    made.done(ALL, 100.0, 100.0, moving=in_motion)
    assert made.due() == next_listing
    assert made.begin(next_listing) == TASKS


def test_event_is_answered_at_once_then_again_then_fast_for_a_while():
    """Listing at the event, a quarter of a second later, each second for five seconds, then slowly again."""
    made, now, listed = schedule(), 102.0, []
    made.heard(SERVICES, now)
    while now < 120.0:
        now = max(now, made.due())
        kinds = made.begin(now)
        listed.append((now, kinds))
        made.done(kinds, now, now, moving=False)
    assert listed[0] == (102.0, SERVICES)
    fast = [103.25, 104.25, 105.25, 106.25, 107.25]
    assert [time for time, _ in listed] == [102.0, 102.25, *fast, 112.25, 117.25, 122.25]
    assert {kinds for _, kinds in listed[1:]} == {TASKS}


def test_events_of_no_interest():
    """Secrets and configs are in no snapshot."""
    made = schedule()
    made.heard((), 102.0)
    assert made.due() == 105.0


def test_rest_after_a_long_listing():
    """Events in a burst are answered together, after as long a rest as the last listing took."""
    made = schedule()
    made.heard(SERVICES, 102.0)
    kinds = made.begin(102.0)
    made.heard({"nodes"}, 103.0)
    made.done(kinds, 102.0, 105.0, moving=True)
    made.heard({"services"}, 105.0)
    assert made.due() == 108.0
    assert made.begin(108.0) == {"nodes", "services", "tasks"}


def test_full_listing_each_minute():
    """Whatever else happens, give or take ten percent."""
    made = schedule(polled=frozenset())
    assert made.due() == 160.0
    assert made.begin(160.0) == ALL
    dates = set()
    for seed in range(20):
        jittered = Schedule(PACE, random.Random(seed), frozenset())
        jittered.done(jittered.begin(0.0), 0.0, 0.0, moving=False)
        dates.add(jittered.due())
    assert min(dates) >= 54.0
    assert max(dates) <= 66.0
    assert len(dates) > 15


def test_partial_listing_does_not_postpone_the_full_one():
    """A busy cluster is listed fully all the same."""
    made = schedule()
    for second in range(1, 60):
        made.heard(SERVICES, 100.0 + second)
        made.done(made.begin(100.0 + second), 100.0 + second, 100.0 + second, moving=True)
    assert made.begin(160.0) == ALL


def test_without_a_stream_everything_is_polled():
    """What nobody tells of is listed on the task timer."""
    made = schedule(polled=ALL)
    assert made.begin(made.due()) == ALL


def test_wanting_all():
    """relist() and a reopened stream."""
    made = schedule()
    made.want_all()
    assert made.due() <= 100.0
    assert made.begin(100.0) == ALL
    assert made.begin(100.0) == frozenset()


def test_backoff():
    """From 0.1 s doubling to 10 s, spread."""
    backoff = PACE.backoff(Clock(), Middle())
    assert [round(backoff.pause(), 1) for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    spread = {PACE.backoff(Clock(), random.Random(seed)).pause() for seed in range(20)}
    assert len(spread) > 15
    assert min(spread) >= 0.075
    assert max(spread) <= 0.125


def test_drift():
    """Untold changes count once, when the grace is over; told, late-told and untellable ones never."""
    drift = Drift(PACE, frozenset({"services", "nodes", "networks"}))
    drift.listed(ALL, {"services": {"z"}}, now=0.0)  # when everything counts as told
    drift.heard({"networks"})
    drift.listed(ALL, {"services": {"a", "b"}, "nodes": {"n"}, "tasks": {"t"}, "networks": {"w"}}, now=10.0)
    drift.heard({"nodes"})
    assert drift.due() == 12.0
    assert drift.judged(11.9) == {}
    assert drift.judged(12.0) == {"services": 2}
    assert drift.judged(99.0) == {}


def facts(state, desired, node="ready", update=""):
    return EMPTY | {
        "nodes": {"n": Node("n", "n1", state=node)} if node else {},
        "services": {"s": Service("s", "web", update_state=update)},
        "tasks": {"t": Task("t", "s", "n", state=state, desired_state=desired)},
    }


@pytest.mark.parametrize(
    ("state", "desired", "node", "update", "expected"),
    [
        ("running", "running", "ready", "", False),
        ("running", "running", "ready", "completed", False),
        ("running", "running", "ready", "paused", False),
        ("running", "running", "ready", "updating", True),
        ("running", "running", "ready", "rollback_started", True),
        ("preparing", "running", "ready", "", True),
        ("starting", "running", "ready", "", True),
        ("failed", "running", "ready", "", True),
        ("ready", "ready", "ready", "", True),
        ("running", "shutdown", "ready", "", True),
        ("running", "remove", "ready", "", True),
        ("shutdown", "shutdown", "ready", "", False),
        ("failed", "shutdown", "ready", "", False),
        ("complete", "shutdown", "ready", "", False),
        ("running", "complete", "ready", "", False),
        ("running", "shutdown", "down", "", False),
        ("running", "shutdown", None, "", False),
        ("running", "shutdown", "unknown", "", True),
        ("running", "running", "unknown", "", False),
    ],
)
def test_moving(state, desired, node, update, expected):
    """A task between states, or an update; not what a dead node left behind, not a job that runs."""
    assert moving(facts(state, desired, node, update)) is expected


def test_task_without_a_node_moves():
    """It waits for one; the follower gives up on it after a while of nothing happening."""
    assert moving(EMPTY | {"tasks": {"t": Task("t", "s", state="pending")}})
