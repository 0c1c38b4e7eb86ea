"""lbgen does not end by an error that nobody expected, wherever that happens: it begins anew, inside its process.

What it has started goes on meanwhile, and is taken over. In a container, where lbgen is process 1, its end would be
that of its proxy.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

from lbgen.base.errors import LbgenError
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.daemon.loop import Inbox

STEADY = 30.0  # seconds after which it counts as having begun well


class Lives:
    """Calls what is to run until it ends as it is told to."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        clock: Callable[[], float] = time.monotonic,
        unexpected: UnexpectedErrors = UNEXPECTED,
        process_1: bool | None = None,
        steady: float = STEADY,
    ) -> None:
        """
        Args:
            inbox: a stop in it ends a pause as well.
            unexpected: goes by the same clock.
            process_1: whether not even SystemExit may end it; None: if it is process 1.
            steady: seconds after which it counts as having begun well.
        """
        self._inbox, self._clock, self._seconds = inbox, clock, steady
        self._process_1 = os.getpid() == 1 if process_1 is None else process_1
        effect = "lbgen begins anew; what it has started goes on, and is taken over"
        self._guard = unexpected.guard(Part.START, event="begins_anew", effect=effect)

    def run(self, live: Callable[[], None]) -> None:
        """Call it until it returns.

        Raises:
            LbgenError: the first call raised it: settings or templates cannot be used, and nothing was running yet.
        """
        while True:
            try:
                with self._steady():
                    live()
                return
            except LbgenError as error:
                if not self._guard.count:
                    raise
                failed: Exception = error
            except Exception as error:
                failed = error
            except BaseException as error:
                if not self._process_1:
                    raise
                failed = RuntimeError(f"{error!r} in process 1")
                failed.__cause__ = error
            if self._stopped(self._guard.failed(failed)):
                return

    @contextlib.contextmanager
    def _steady(self) -> Iterator[None]:
        timer = threading.Timer(self._seconds, self._guard.worked)
        timer.daemon = True
        if self._guard.in_a_row:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _stopped(self, pause: float) -> bool:
        """Wait so long; return whether it is to end. What else was said was said to what has failed."""
        until = self._clock() + pause
        while self._clock() < until:
            if self._inbox.wait(until).stop:
                return True
        return False
