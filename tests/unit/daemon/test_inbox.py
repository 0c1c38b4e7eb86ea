"""`daemon.inbox`: what was said is one piece of news, and nobody who has something to say is missed."""

from __future__ import annotations

from dataclasses import replace

from lbgen.daemon.loop import Inbox, News
from lbgen.snapshot import Cause, Snapshot
from tests.support.builders import a_snapshot
from tests.support.clock import Clock


def caused(*texts: str) -> Snapshot:
    """A snapshot that such changes led to."""
    return replace(a_snapshot(), causes=tuple(Cause(text, 0.0) for text in texts))


def change() -> None:
    """A change between two rounds."""


def test_all_is_one():
    """Of snapshots the newest counts, with the causes of all; changes keep their order; a stop stays a stop."""
    inbox = Inbox()
    for news in (
        News(caused("a")),
        News(),
        News(changes=(change,)),
        News(caused("b", "c")),
        News(stop=True),
        News(changes=(print,)),
        News(stop=True),
    ):
        inbox.put(news)
    assert inbox.wait(None) == News(caused("a", "b", "c"), (change, print), stop=True)


def test_nothing():
    """At the moment that was named there may be nothing; also if it is over already."""
    clock = Clock()
    assert Inbox(clock).wait(clock.now + 0.01) == Inbox(clock).wait(clock.now - 5.0) == News()


def test_said_while_the_wait_begins():
    """What a signal handler says between the last look and the sleep ends the sleep: the clock is read in between."""
    inbox = Inbox(clock=lambda: inbox.put(News(stop=True)) or 0.0)
    assert inbox.wait(3600.0).stop
