"""`lbgen.source.mailbox`: what is said to the follower of a source, by a clock that is handed in."""

from __future__ import annotations

import math
import threading

import pytest

from lbgen.base.errors import SourceError
from lbgen.source.engine.events import ThreadedStream
from lbgen.source.mailbox import Change, Closed, Mail, Mailbox
from tests.support.clock import Clock
from tests.support.wait import PATIENCE, wait_for


def test_messages_are_joined():
    """What was said several times is read once, changes in their order; then there is nothing more."""
    mailbox = Mailbox(Clock())
    first, second = Change("tasks", "a", None, 1), Change("tasks", "b", None, 2)
    mailbox.tell({"nodes"})
    mailbox.tell(changes=[first])
    mailbox.relist()
    mailbox.tell({"services"}, [second])
    told = Mail(frozenset({"nodes", "services"}), (first, second), relist=True)
    assert mailbox.unread == told
    assert mailbox.wait(math.inf) == told
    assert mailbox.wait(0.0) == mailbox.unread == Mail()


def test_waiting_ends_by_the_clock():
    """Nothing was said until then; a message that says nothing ends a wait as well."""
    clock = Clock()
    mailbox = Mailbox(clock)
    assert mailbox.wait(clock.now) == Mail()
    mailbox.tell()
    assert mailbox.wait(clock.now + PATIENCE) == Mail()


@pytest.mark.parametrize(
    "wait",
    [
        lambda mailbox: mailbox.wait(math.inf),
        lambda mailbox: mailbox.pause(math.inf),
        lambda mailbox: mailbox.wait_until(lambda: False, math.inf),
        lambda mailbox: mailbox.run("engine", threading.Event().wait, math.inf, lambda: None),
    ],
)
def test_close_ends_every_wait(wait):
    """One that has begun, and one that begins later."""
    mailbox = Mailbox()
    threading.Timer(0.05, mailbox.close).start()
    for _ in range(2):
        with pytest.raises(Closed):
            wait(mailbox)


def test_work_that_hangs():
    """It is given up with an error, and told to end; what it returns in the end is closed."""
    go_on, closed = threading.Event(), threading.Event()

    class Connection:
        close = staticmethod(closed.set)

    def work():
        go_on.wait(PATIENCE)
        return Connection()

    mailbox = Mailbox()
    with pytest.raises(SourceError, match=r"engine: no whole answer within 0\.01 s"):
        mailbox.run("engine", work, 0.01, go_on.set)
    assert closed.wait(PATIENCE)


def test_work_that_fails():
    """Its error is raised where it was asked for."""
    with pytest.raises(ZeroDivisionError):
        Mailbox().run("engine", lambda: 1 // 0, PATIENCE, lambda: None)


def test_mistake_in_reading_a_stream():
    """It ends the stream with a reason and wakes the follower: a stream that is silent for good would be worse."""

    class Mistaken(ThreadedStream):
        def received(self, message):
            raise ZeroDivisionError(message.decode())

    mailbox = Mailbox(Clock(7.0))
    stream = Mistaken("test", (message for message in [b"by nothing"]), lambda: None, mailbox)
    mailbox.wait(mailbox.clock() + PATIENCE)
    wait_for(lambda: stream.ended)
    assert (stream.ended, stream.last) == ("ZeroDivisionError('by nothing')", 7.0)
