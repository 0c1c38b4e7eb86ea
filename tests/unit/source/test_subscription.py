"""`lbgen.source.engine.subscription`: which stream is used, when another is tried, what the log says. Time is given."""

from __future__ import annotations

import random

import pytest
import structlog
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.source.engine.events import NotOffered, StreamKind
from lbgen.source.engine.schedule import Pace
from lbgen.source.engine.subscription import Counters, Subscription
from tests.support.clock import Clock

PACE = Pace()


class Middle(random.Random):
    """No jitter."""

    def uniform(self, a, b):
        return (a + b) / 2


class Stream:
    """A stream that does what the test says."""

    def __init__(self, ready):
        self.covers, self.ready, self.ended, self.last = frozenset(), ready, "", 0.0

    def close(self):
        self.ended = self.ended or "closed"


class Streams:
    """A subscription to "push", which gets ready when the test says so, and "events", which is ready at once."""

    def __init__(self, push_ready=False):
        self.errors = {}  # mode -> SourceError to raise
        self.opened = {"push": [], "events": []}
        self.push_ready = push_ready
        self.waited = []
        self.counters = Counters()
        self.clock = Clock(0.0)
        kinds = [StreamKind("push", None), StreamKind("events", None)]
        self.subscription = Subscription(
            kinds, self._open, self._wait, PACE, Middle(), self.clock, self.counters, structlog.get_logger()
        )

    def _open(self, kind):
        if kind.mode in self.errors:
            raise self.errors[kind.mode]
        self.opened[kind.mode].append(Stream(kind.mode == "events" or self.push_ready))
        return self.opened[kind.mode][-1]

    def _wait(self, reached, seconds):
        if not reached():
            self.waited.append(seconds)

    def at(self, now):
        """Look after the streams then; returns (changed, mode)."""
        self.clock.now = now
        return self.subscription.ensure(), self.subscription.mode

    def when_due(self):
        """Look after the streams when it is time to."""
        return self.at(max(self.clock.now, self.subscription.due()))

    def counts(self):
        return len(self.opened["push"]), len(self.opened["events"])


def lines(logs):
    return [(entry["event"], entry["stream"], entry["mode"]) for entry in logs]


def test_push_at_once():
    """Nothing else is opened, and nothing logged beyond what following says anyway."""
    streams = Streams(push_ready=True)
    with capture_logs() as logs:
        assert streams.at(0) == (True, "push")
        assert streams.at(1) == (False, "push")
    assert streams.counts() == (1, 0)
    assert streams.subscription.due() == float("inf")
    assert logs == []


def test_push_gets_a_head_start_once():
    """The first listing waits for it a moment; then events carry on, and push takes over when it is ready."""
    streams = Streams()
    assert streams.at(0) == (True, "events")
    assert streams.waited == [PACE.head_start]
    [push], [events] = streams.opened.values()
    assert streams.at(1) == (False, "events")
    push.ready = True
    assert streams.at(2) == (True, "push")
    assert events.ended
    assert streams.waited == [PACE.head_start]


def test_push_breaks():
    """Events are opened in the same moment; push is tried again with growing pauses and taken up again."""
    streams = Streams(push_ready=True)
    with capture_logs() as logs:
        streams.at(0)
        streams.opened["push"][0].ended = "gone"
        streams.errors["push"] = SourceError("refused")
        assert streams.at(100) == (True, "events")
        tries = []
        for _ in range(9):
            tries.append(round(streams.subscription.due() - streams.clock.now, 1))
            assert streams.when_due() == (False, "events")
        assert tries == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
        assert streams.counts() == (1, 1)
        streams.errors.clear()
        assert streams.when_due() == (True, "push")
    assert streams.opened["events"][0].ended
    assert streams.counts() == (2, 1)
    assert lines(logs) == [("stream_lost", "push", "events"), ("stream_back", "push", "push")]
    assert logs[0]["error"] == "gone"
    assert logs[1]["gone_s"] == round(streams.clock.now - 100, 1)
    assert streams.counters.lost == {}


def test_never_any_push():
    """Said once, and why; at a low level where nobody had promised it."""
    for error, level in ((SourceError("denied"), "warning"), (NotOffered("not there"), "info")):
        streams = Streams()
        streams.errors["push"] = error
        with capture_logs() as logs:
            for _ in range(5):
                streams.when_due()
        assert lines(logs) == [("stream_lost", "push", "events")]
        assert logs[0]["log_level"] == level
        assert {mode: loss.why for mode, loss in streams.counters.lost.items()} == {"push": str(error)}
        assert streams.counts() == (0, 1)


def test_push_that_never_says_subscribed():
    """It ends by itself after a while; until then it is not opened a second time."""
    streams = Streams()
    streams.at(0)
    assert streams.at(5) == (False, "events")
    assert streams.counts() == (1, 1)
    streams.opened["push"][0].ended = "nothing within 10 s"
    assert streams.at(10) == (False, "events")
    assert streams.at(10.2) == (False, "events")
    assert streams.counts() == (2, 1)


def test_push_that_breaks_again_and_again():
    """Each time at once: the pauses grow, and the log keeps still until it holds."""
    streams = Streams(push_ready=True)
    with capture_logs() as logs:
        streams.at(0)
        for _ in range(6):
            streams.opened["push"][-1].ended = "gone"
            streams.at(streams.clock.now + 0.1)
            streams.when_due()
            assert streams.subscription.mode == "push"
        assert lines(logs) == [("stream_lost", "push", "events")]
        assert streams.subscription.due() == streams.clock.now + PACE.retry_max
        streams.at(streams.subscription.due() + 0.1)
    assert lines(logs)[1:] == [("stream_back", "push", "push")]
    assert streams.counts() == (7, 6)


def test_nothing_works():
    """Everything is polled for, and both are tried on."""
    streams = Streams()
    streams.errors = {"push": SourceError("a"), "events": SourceError("b")}
    with capture_logs() as logs:
        assert streams.at(0) == (False, "polling")
        for _ in range(4):
            assert streams.when_due() == (False, "polling")
        streams.errors.pop("events")
        streams.when_due()
        assert streams.when_due() == (False, "events")
    assert lines(logs) == [
        ("stream_lost", "push", "polling"),
        ("stream_lost", "events", "polling"),
        ("stream_back", "events", "events"),
    ]


def test_events_break_meanwhile():
    """They are opened again as ever."""
    streams = Streams()
    streams.errors["push"] = SourceError("a")
    streams.at(0)
    streams.opened["events"][0].ended = "gone"
    assert streams.at(50) == (True, "polling")
    assert streams.at(50.1) == (True, "events")


def test_restart():
    """A stream that missed something is replaced at once, without a word: what it missed was logged."""
    streams = Streams(push_ready=True)
    with capture_logs() as logs:
        streams.at(0)
        streams.subscription.restart()
        assert streams.opened["push"][0].ended
        assert streams.at(1) == (True, "push")
    assert streams.counts() == (2, 0)
    assert logs == []


def test_restart_gives_push_its_head_start_anew():
    """What it missed is listed then, so the listing had better wait for the new stream."""
    streams = Streams(push_ready=True)
    streams.at(0)
    streams.push_ready = False
    streams.subscription.restart()
    assert streams.at(1) == (True, "events")
    assert streams.waited == [PACE.head_start]


def test_failure_of_long_ago_does_not_put_events_off():
    """When push breaks they are opened at once, though they failed just before push was there."""
    streams = Streams()
    streams.errors["events"] = SourceError("refused")
    assert streams.at(0) == (False, "polling")
    streams.opened["push"][0].ready = True
    assert streams.at(0.01) == (True, "push")
    streams.opened["push"][0].ended = "gone"
    streams.errors = {"push": SourceError("gone")}
    assert streams.at(0.02) == (True, "events")


@pytest.mark.parametrize("push_ready", [True, False])
def test_close(push_ready):
    """No stream stays open."""
    streams = Streams(push_ready)
    streams.at(0)
    streams.subscription.close()
    assert all(stream.ended for of_mode in streams.opened.values() for stream in of_mode)
