"""What events say of containers and the engine's list does not, yet.

An engine tells that a container has died before it takes its network down, and lists it as running until that is done:
half a second later, under load (seen, engine 20.10; read in moby: `daemon/monitor.go` logs "die", cleans up, and then
updates what is listed; `pause.go` and `unpause.go` log first, too).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from lbgen.source.hosts.containers import Container

STATES = {"die": "exited", "pause": "paused"}  # what a container is after an event, whatever the list says
LONGEST = 10.0  # seconds, after which the list is right: the container was started again, and that was not told
AGAIN = 0.25  # seconds until a second look at a container to which something happened


class Said:
    """Which containers of a host are as events say, and which to look at again, by id. Not for several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._states: dict[str, tuple[str, float]] = {}  # id -> state, and until when it holds
        self._again: dict[str, float] = {}  # id -> when to look again

    def hear(self, container: str, action: str) -> None:
        """Something happened to a container."""
        if action in STATES:
            self._states[container] = STATES[action], self._clock() + LONGEST
        elif action in ("start", "unpause", "destroy"):
            self._states.pop(container, None)
        self._again[container] = self._clock() + AGAIN

    def seen(self, each: Container) -> Container:
        """Return a container as it is, given how it was known."""
        state, until = self._states.get(each.id, ("", 0.0))
        if not state or each.ended or each.state == state or until <= self._clock():
            return each
        return replace(each, state=state, addresses={} if state == STATES["die"] else each.addresses)

    def listed(self, each: Container) -> Container:
        """Return a container as it is, given how it is listed; where that says the same, no event has to any more."""
        seen = self.seen(each)
        if seen is each:
            self._states.pop(each.id, None)
        else:
            self._again.setdefault(each.id, self._clock() + AGAIN)
        return seen

    def due(self) -> float:
        """Return when to look again at a container."""
        return min(self._again.values(), default=math.inf)

    def take_due(self) -> list[str]:
        """Return the containers to look at again now; they count as looked at."""
        now = self._clock()
        due = [container for container, at in self._again.items() if at <= now]
        for container in due:
            del self._again[container]
        return due

    def keep(self, containers: Iterable[str]) -> None:
        """Forget all but these: the others are gone, though nobody said so."""
        left = set(containers)
        self._states = {id_: state for id_, state in self._states.items() if id_ in left}
