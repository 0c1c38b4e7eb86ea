"""Containers that Docker is about to stop: it has sent them the signal that ends them, and they still run.

`docker stop`, `restart`, `compose up` and `compose down` all send a container's stop signal first, which an event tells
(``kill``). An application that ends by and by goes on serving meanwhile, so its server drains. A signal is no promise:
where the container still runs long after Docker's own patience, it has ignored it, and is up again.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Collection

from lbgen.snapshot import moment
from lbgen.source.hosts.containers import Details

MARGIN = 5.0  # seconds that a container may take to end after Docker has lost patience with it
_KILL = signal.SIGKILL.value


class Stopping:
    """Which containers of one host are being stopped, by id. Not for several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._until)

    def sent(self, container: str, text: str, at: int, details: Details) -> bool:
        """Note that a container was sent a signal, at these nanoseconds since 1970; return whether that stops it."""
        if not details.running or moment(details.started_at) * 1e9 > at:  # it has ended, or was started again since
            return False
        number = signal_number(text)
        if number not in (_KILL, signal_number(details.stop_signal) or signal.SIGTERM.value):
            return False
        self._until[container] = self._clock() + details.stop_timeout + MARGIN
        return True

    def forget(self, container: str) -> None:
        """It has ended, or was started again."""
        self._until.pop(container, None)

    def due(self) -> float:
        """Return when the next one has outlived its signal."""
        return min(self._until.values(), default=math.inf)

    def keep(self, running: Collection[str]) -> None:
        """Forget all but these: the others have ended, though nobody said so."""
        self._until = {container: until for container, until in self._until.items() if container in running}

    def expire(self) -> bool:
        """Forget those that have outlived their signals; return whether there were any."""
        over = [container for container, until in self._until.items() if until <= self._clock()]
        for container in over:
            del self._until[container]
        return bool(over)


def signal_number(text: str) -> int:
    """Return the number of a signal as Docker writes it: "15", "SIGTERM", "term", "RTMIN+3"; 0 for none known."""
    name = text.strip().upper().removeprefix("SIG")
    if name.isdecimal() and len(name) < 4:
        return int(name)
    if found := re.fullmatch(r"RT(MIN\+|MAX-)(\d{1,2})", name):
        offset = int(found[2])
        return int(signal.SIGRTMIN) + offset if found[1] == "MIN+" else int(signal.SIGRTMAX) - offset
    try:
        return signal.Signals[f"SIG{name}"].value
    except KeyError:
        return 0
