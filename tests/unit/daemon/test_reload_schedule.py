"""`daemon.reload_schedule`: what is due when, by a clock that is handed in."""

from __future__ import annotations

import pytest

from lbgen.daemon.reload_schedule import FIRST_RETRY, ReloadSchedule
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """The schedule's clock."""
    return Clock()


@pytest.fixture
def schedule(clock) -> ReloadSchedule:
    """A schedule with five seconds between two reloads."""
    return ReloadSchedule(5.0, clock)


@pytest.mark.parametrize("seconds", [(1.0, 5.0), (5.0, 1.0)])
def test_the_earliest_is_due(schedule, clock, seconds):
    """Of several moments the earliest is due, in whichever order they are noted."""
    for each in seconds:
        schedule.ask_again(each)
    assert schedule.due() == clock.now + 1.0


def test_a_reload_that_waits_does_not_put_off_what_is_due_earlier(schedule, clock):
    """Nor does a save, nor a retry."""
    schedule.reloading()
    schedule.saving()
    schedule.ask_again(1.0)
    assert not schedule.may_reload(spaced=True)
    assert not schedule.may_save()
    schedule.retry.pause()
    schedule.retry.pause()
    assert schedule.due() == clock.now + 1.0


def test_interval(schedule, clock):
    """The first reload is due at once, the next after the interval; one that costs nothing does not wait for it."""
    assert schedule.may_reload(spaced=True)
    assert schedule.due() is None
    schedule.reloading()
    clock.now += 2.0
    assert schedule.may_reload(spaced=False)
    assert not schedule.may_reload(spaced=True)
    assert schedule.due() == clock.now + 3.0
    clock.now += 3.0
    assert schedule.may_reload(spaced=True)


def test_reloads_and_saves_are_spaced_apart(schedule):
    """A save does not put a reload off, nor the other way round."""
    schedule.saving()
    assert (schedule.may_save(), schedule.may_reload(spaced=True)) == (False, True)
    schedule.reloading()
    assert not schedule.may_reload(spaced=True)


def test_interval_of_other_settings(schedule, clock):
    """Another interval counts from the last reload on."""
    schedule.reloading()
    schedule.interval = 1.0
    clock.now += 1.0
    assert schedule.may_reload(spaced=True)


def test_retry(schedule, clock):
    """What failed waits for its time even where nothing is spaced; it is due once, and then begun."""
    schedule.retry.pause()
    assert not schedule.may_reload(spaced=False)
    assert schedule.due() == clock.now + FIRST_RETRY
    schedule.begin()
    assert schedule.due() == clock.now + FIRST_RETRY
    clock.now += FIRST_RETRY
    schedule.begin()
    assert schedule.due() is None
    assert schedule.may_reload(spaced=False)


def test_begin(schedule):
    """An attempt notes anew whatever still waits."""
    schedule.ask_again(1.0)
    schedule.begin()
    assert schedule.due() is None


def test_follow_up(schedule, clock):
    """The rest of a partial change is next, unless it waits for a moment already."""
    schedule.follow_up()
    assert schedule.due() == clock.now
    schedule.begin()
    schedule.ask_again(3.0)
    schedule.follow_up()
    assert schedule.due() == clock.now + 3.0


@pytest.mark.parametrize(
    ("interval", "generations", "seconds", "urgent"),
    [
        (1.0, 0.0, 1.0, 1.0),
        (1.0, 4.0, 1.0, 1.0),
        (1.0, 4.5, 2.0, 2.0),  # Nginx with two workers: nine old ones
        (1.0, 5.0, 2.0, 2.0),
        (1.0, 7.0, 8.0, 5.0),
        (1.0, 9.0, 32.0, 5.0),
        (1.0, 10.0, 60.0, 5.0),
        (1.0, 1e6, 60.0, 5.0),
        (0.0, 4.0, 0.0, 0.0),
        (0.0, 5.0, 2.0, 2.0),  # no interval is no leave to start a worker each moment
        (8.0, 5.0, 16.0, 8.0),
        (300.0, 9.0, 300.0, 300.0),
    ],
)
def test_spacing(schedule, interval, generations, seconds, urgent):
    """Beyond four reloads' old workers the interval is doubled for each, up to a minute; urgent changes wait 5 s."""
    schedule.interval = interval
    schedule.crowd(generations)
    assert (schedule.spacing(urgent=False), schedule.spacing(urgent=True)) == (seconds, urgent)


def test_reloads_are_spaced_wider_and_saves_are_not(schedule, clock):
    """What servers come or go by waits less; what was changed live is saved as before."""
    schedule.crowd(8.0)
    schedule.reloading()
    schedule.saving()
    clock.now += 5.0
    assert schedule.may_save()
    assert not schedule.may_reload(spaced=True)
    assert schedule.due() == clock.now + 55.0
    assert schedule.may_reload(spaced=True, urgent=True)


def test_what_waits_is_due_when_old_workers_are_gone(schedule, clock):
    """A reload that waits because of old workers is looked at again as soon as there are fewer."""
    schedule.crowd(9.0)
    schedule.reloading()
    assert not schedule.may_reload(spaced=True)
    clock.now += 6.0
    schedule.crowd(9.0)
    assert schedule.due() == clock.now + 54.0
    schedule.crowd(4.0)
    assert schedule.due() == clock.now
    assert schedule.may_reload(spaced=True)


def test_nothing_is_due_because_old_workers_are_gone(schedule):
    """Where nothing waits, fewer old workers are nothing to do."""
    schedule.crowd(9.0)
    schedule.crowd(0.0)
    assert schedule.due() is None
