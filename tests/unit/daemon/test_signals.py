"""`daemon.signals`: a signal ends a wait of the main thread, also one that no handler would be run in."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.daemon.loop import Inbox, News
from lbgen.daemon.signals import on_signal
from tests.support.wait import PATIENCE, wait_for


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handler, descriptor = signal.getsignal(signal.SIGUSR1), signal.set_wakeup_fd(-1)
    yield
    signal.signal(signal.SIGUSR1, handler)
    signal.set_wakeup_fd(descriptor)


def test_the_main_thread_waits():
    """A signal that does not interrupt the main thread's wait ends it all the same: another thread gets it here."""
    inbox, waiting = Inbox(), threading.Event()

    def get_it() -> None:
        assert waiting.wait(PATIENCE)
        time.sleep(0.1)  # it waits by now
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    on_signal(signal.SIGUSR1, lambda: inbox.put(News(stop=True)))
    threading.Thread(target=get_it, daemon=True).start()
    began = time.monotonic()
    waiting.set()
    assert inbox.wait(began + PATIENCE).stop
    assert time.monotonic() - began < PATIENCE / 2


def test_call_that_raises():
    """What is called may raise: the next signal is noticed all the same."""
    calls, called = [], threading.Semaphore(0)

    def call() -> None:
        calls.append(len(calls))
        called.release()
        raise RuntimeError("a mistake")

    on_signal(signal.SIGUSR1, call)
    for _ in range(3):
        signal.raise_signal(signal.SIGUSR1)
        assert called.acquire(timeout=PATIENCE)
    wait_for(lambda: UNEXPECTED.counts()[Part.SIGNALS] == 3, "the mistakes")


def test_several_times():
    """Each time counts, and the last one who asked is called."""
    calls, called = [], threading.Semaphore(0)
    on_signal(signal.SIGUSR1, lambda: calls.append("before"))
    on_signal(signal.SIGUSR1, lambda: calls.append("now") or called.release())
    for _ in range(3):
        signal.raise_signal(signal.SIGUSR1)
        assert called.acquire(timeout=PATIENCE)
    assert calls == ["now"] * 3
