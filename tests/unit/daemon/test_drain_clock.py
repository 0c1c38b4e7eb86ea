"""`daemon.drain_clock`: who drains is over after the grace, by a clock that is handed in."""

from __future__ import annotations

from lbgen.daemon.drain_clock import DrainClock
from tests.support.clock import Clock


def test_drains():
    """Who leaves is over after the grace, counted from when it was first seen leaving."""
    clock = Clock()
    drains = DrainClock(10.0, clock)
    assert drains.due() is None
    assert drains.expired(frozenset({"a"})) == frozenset()
    assert drains.due() == 1010.0
    clock.now += 4
    assert drains.expired(frozenset({"a", "b"})) == frozenset()
    assert drains.due() == 1010.0
    clock.now += 6
    assert drains.expired(frozenset({"a", "b"})) == {"a"}
    assert drains.due() == 1014.0
    clock.now += 4
    assert drains.expired(frozenset({"a", "b"})) == {"a", "b"}
    assert drains.due() is None


def test_drains_are_forgotten():
    """Who is gone, or stays after all, starts anew the next time."""
    clock = Clock()
    drains = DrainClock(10.0, clock)
    drains.expired(frozenset({"a"}))
    clock.now += 9
    assert drains.expired(frozenset()) == frozenset()
    assert drains.due() is None
    clock.now += 9
    assert drains.expired(frozenset({"a"})) == frozenset()
    assert drains.due() == clock.now + 10


def test_grace_that_ends_during_a_round():
    """A grace that ends while a round is under way is due at once, not forgotten."""
    clock = Clock()
    drains = DrainClock(10.0, clock)
    drains.expired(frozenset({"a"}))
    clock.now += 9.9
    assert drains.expired(frozenset({"a"})) == frozenset()
    clock.now += 0.2  # building, rendering, checking
    assert drains.due() == 1010.0
    assert drains.expired(frozenset({"a"})) == {"a"}
    assert drains.due() is None


def test_drained_before():
    """What has been draining for a while, as something that outlives this process tells, has less time left."""
    clock = Clock()
    drains = DrainClock(10.0, clock)
    assert drains.expired(frozenset({"a", "b", "c"}), {"a": 4.0, "b": 10.0}) == {"b"}
    assert drains.due() == clock.now + 6.0


def test_no_grace():
    """Without a grace who leaves is over at once."""
    assert DrainClock(0.0, Clock()).expired(frozenset({"a"})) == {"a"}
