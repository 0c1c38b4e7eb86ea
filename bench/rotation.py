"""When a seat takes a server into its rotation, or out of it, asked of the load balancer itself.

The requests tell that less well: a new server has to wait for its turn, and that nothing was sent to a dead one shows
only in what does not happen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from bench.seats import Seat

LONGEST = 60.0  # seconds


class Rotation:
    """Watches one address in every seat, each in a thread of its own, until it is in (or out) or the block ends."""

    def __init__(self, seats: Mapping[str, Seat], service: str, inside: bool) -> None:
        self.inside, self.address = inside, ""
        self.when: dict[str, float] = {}  # {seat: seconds since the epoch}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(name, seat, service), daemon=True)
            for name, seat in seats.items()
        ]

    def __enter__(self) -> Rotation:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(10)

    def start(self, address: str) -> None:
        """Begin to watch."""
        self.address = address
        for thread in self._threads:
            thread.start()

    def _follow(self, name: str, seat: Seat, service: str) -> None:
        ends = time.monotonic() + LONGEST
        while time.monotonic() < ends and not self._stop.wait(seat.look_interval):
            try:
                inside = seat.in_rotation(service, self.address)
            except (OSError, ValueError, KeyError):
                continue
            if inside == self.inside:
                self.when[name] = time.time()
                return
