"""Waiting until something holds: tests wait for what they need, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 120.0  # seconds; only a broken test, or something broken that it tests, needs them


def wait_for(
    condition: Callable[[], T],
    what: str = "",
    timeout: float = PATIENCE,
    *,
    interval: float = 0.01,
    not_yet: tuple[type[Exception], ...] = (),
    failure: type[Exception] = AssertionError,
) -> T:
    """Call `condition` until it returns something true, and return that.

    Args:
        not_yet: errors of the condition that count as "not yet".
        failure: raised after `timeout` seconds, with the last value or error.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            last: object = condition()
            if last:
                return last  # type: ignore[return-value]
        except not_yet as error:
            last = error
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "a condition")
            raise failure(f"waited {timeout:g} s in vain for {name}; last: {str(last)[:500]!r}")
        time.sleep(interval)
