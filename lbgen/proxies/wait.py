"""Waiting for what another process does in its own time: look, pause, look again, and give up after a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from lbgen.base.errors import ProxyUnreachable

PAUSE = 0.02  # seconds between two looks
T = TypeVar("T")


def looks(
    timeout: float,
    pause: float = PAUSE,
    longest: float = 0.0,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bool]:
    """Yield before each look whether it is the last one, which comes when the time is over.

    Args:
        longest: what pauses grow to where each look costs something; 0: they do not grow.
    """
    deadline = clock() + timeout
    while clock() < deadline:
        yield False
        sleep(pause)
        pause = min(pause * 1.2, longest or pause)
    yield True


def patiently(question: Callable[[], T], timeout: float, pause: float = PAUSE) -> T:
    """Return the answer of a proxy that may just be starting; raise ProxyUnreachable if it stays silent."""
    for last in looks(timeout, pause):
        try:
            return question()
        except ProxyUnreachable:
            if last:
                raise
    raise AssertionError("there is always a last look")
