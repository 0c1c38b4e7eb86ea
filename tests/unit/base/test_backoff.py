"""`base.backoff`: pauses that grow up to a limit, by a clock that is handed in."""

from __future__ import annotations

from lbgen.base.backoff import Backoff
from tests.support.clock import Clock


def test_pauses_grow_up_to_a_limit():
    """Each pause is twice as long as the one before, up to the limit; a success starts anew."""
    backoff = Backoff(1.0, 5.0, Clock())
    assert [backoff.pause() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert (backoff.due, backoff.pause()) == (None, 1.0)


def test_due():
    """The next attempt is due when the pause is over, and then once; the pause after it is longer all the same."""
    clock = Clock()
    backoff = Backoff(1.0, 60.0, clock)
    assert (backoff.due, backoff.remaining(), backoff.arrive()) == (None, 0.0, True)
    backoff.pause()
    clock.now += 0.25
    assert (backoff.due, backoff.remaining(), backoff.arrive()) == (1001.0, 0.75, False)
    clock.now += 0.75
    assert (backoff.due, backoff.remaining(), backoff.arrive(), backoff.due) == (1001.0, 0.0, True, None)
    assert backoff.pause() == 2.0


def test_spread():
    """Pauses are spread by a factor that does not add up from one to the next."""
    backoff = Backoff(1.0, 60.0, Clock(), spread=lambda: 0.75)
    assert [backoff.pause() for _ in range(3)] == [0.75, 1.5, 3.0]
