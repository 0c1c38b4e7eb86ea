"""When lbgen begins anew, and when it ends."""

from __future__ import annotations

import itertools
import threading

import pytest

from lbgen.base.errors import SettingsError
from lbgen.base.unexpected import Part, UnexpectedErrors
from lbgen.daemon.lives import Lives
from lbgen.daemon.loop import Inbox, News
from tests.support.wait import PATIENCE, wait_for


def lives_of(inbox=None, **keys):
    """What begins anew after a hundredth of a second, and what it counts."""
    unexpected = UnexpectedErrors(first_pause=0.01, longest_pause=0.01)
    return Lives(inbox or Inbox(), unexpected=unexpected, process_1=False, **keys), unexpected


def raising(*errors):
    """A function that raises these, one at each call, then returns; and its calls."""
    calls = []

    def live():
        calls.append(len(calls))
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]

    return live, calls


def test_begins_anew():
    """After what nobody expected, and then after everything: something may run already."""
    lives, unexpected = lives_of()
    live, calls = raising(RuntimeError("x"), SettingsError("saved in the meantime"), ValueError("y"))
    lives.run(live)
    assert (len(calls), unexpected.counts()[Part.START]) == (4, 3)


@pytest.mark.parametrize("error", [SettingsError("wrong"), SystemExit(1)])
def test_ends(error):
    """By settings that cannot be used from the start, and by what is meant to end a process that is not process 1."""
    lives, unexpected = lives_of()
    live, calls = raising(error)
    with pytest.raises(type(error)):
        lives.run(live)
    assert (len(calls), unexpected.counts()[Part.START]) == (1, 0)


def test_process_1():
    """Not even SystemExit ends it."""
    unexpected = UnexpectedErrors(first_pause=0.01)
    live, calls = raising(SystemExit(1), KeyboardInterrupt())
    Lives(Inbox(), unexpected=unexpected, process_1=True).run(live)
    assert len(calls) == 3


def test_stop_in_a_pause():
    """It is no reason to wait for the end of the pause; what else is said meanwhile is for nobody."""
    inbox = Inbox()
    live, calls = raising(*(RuntimeError("x") for _ in range(9)))
    lives = Lives(inbox, unexpected=UnexpectedErrors(first_pause=PATIENCE), process_1=False)
    inbox.put(News())
    ending = threading.Thread(target=lives.run, args=[live], daemon=True)
    ending.start()
    wait_for(lambda: calls, "the first call")
    inbox.put(News(stop=True))
    ending.join(PATIENCE / 2)
    assert (ending.is_alive(), len(calls)) == (False, 1)


def test_steady():
    """One that lasts ends the failures in a row, and what is told of them."""
    lives, unexpected = lives_of(steady=0.01)
    number = itertools.count()

    def live():
        if next(number) < 5:
            raise RuntimeError("x")
        wait_for(lambda: not unexpected.keep_failing(), "the failures to be over")

    lives.run(live)
    assert unexpected.counts()[Part.START] == 5
