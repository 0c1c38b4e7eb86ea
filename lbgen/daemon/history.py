"""What was changed in a proxy, when, how, and because of what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from lbgen.snapshot import Cause

KEPT = 200  # changes of a target
MOST_CAUSES = 50  # of one change; of more, the first are kept


@dataclass(frozen=True, slots=True)
class Change:
    """One generation brought to one proxy and proven live there."""

    at: float  # seconds since 1970, when it was proven live
    target: str
    generation: str
    method: str  # "runtime-api", "reload", "start"
    detail: str  # why a reload, or what was changed live
    seconds: float  # from the beginning of the round to proven live
    causes: tuple[Cause, ...] = ()  # what had changed in Swarm since the change before

    @property
    def lags(self) -> tuple[float, ...]:
        """Seconds from each cause, by Swarm's own clock, to live; at least 0, since clocks differ."""
        return tuple(max(0.0, self.at - cause.at) for cause in self.causes)


@dataclass(frozen=True, slots=True)
class Failure:
    """What kept a proxy from the newest model; it goes on with its last good configuration."""

    at: float  # seconds since 1970
    kind: str  # as in the log: "refused" (by a template or the checker), "apply_failed"
    error: str


class History:
    """The last changes of one target, and the causes of what is not live there yet."""

    def __init__(self) -> None:
        self.changes: deque[Change] = deque(maxlen=KEPT)  # the oldest first
        self.causes: tuple[Cause, ...] = ()

    def expect(self, causes: Iterable[Cause]) -> None:
        """Note what led to the model that is not live yet."""
        self.causes = (*self.causes, *causes)[:MOST_CAUSES]

    def settle(self) -> None:
        """Forget the causes: what they led to is live, or concerns nothing that this proxy serves."""
        self.causes = ()
