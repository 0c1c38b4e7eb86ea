"""How many failed attempts one address may make: beyond that it waits, and costs the hub neither signatures nor lines.

What succeeds does not count, so that many edges behind one address get in.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from lbgen.base.address import owner
from lbgen.source.hub.certificates import Refused

MOST_ADDRESSES = 4096


class Attempts:
    """What each address has failed of late."""

    def __init__(self, credit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            credit: failures at once.
            seconds: until one of them is forgiven.
        """
        self._credit, self._seconds, self._clock = credit, seconds, clock
        self._failed: OrderedDict[str, tuple[float, float]] = OrderedDict()  # owner -> failures, when
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Raise Refused if the address has to wait."""
        with self._lock:
            wait = (self._count(owner(address)) + 1 - self._credit) * self._seconds
        if wait > 0:
            raise Refused("limit", f"too many attempts from {address} have failed; try again in {wait:.0f} s")

    def failed(self, address: str) -> None:
        """Count a failure."""
        with self._lock:
            who = owner(address)
            self._failed[who] = self._count(who) + 1, self._clock()
            self._failed.move_to_end(who)
            while len(self._failed) > MOST_ADDRESSES:
                self._failed.popitem(last=False)

    def _count(self, who: str) -> float:
        count, at = self._failed.get(who, (0.0, 0.0))
        return max(0.0, count - (self._clock() - at) / self._seconds)
