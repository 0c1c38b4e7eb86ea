"""When to list what, and what nobody had told of. Pure: the time is given, nothing waits here.

Times are monotonic seconds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from lbgen.base.backoff import Backoff
from lbgen.snapshot import Service, Task
from lbgen.source.facts import ALL, Facts
from lbgen.source.mailbox import Change

# States a task does not leave any more. Source: moby, api/types/swarm/task.go.
_OVER = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})


@dataclass(frozen=True, slots=True)
class Pace:
    """All intervals of following an engine, in seconds."""

    fast: float = 1.0  # between task listings while anything is in motion
    slow: float = 5.0  # between task listings otherwise
    rest: float = 0.1  # between two listings for events: a storm of them costs ten a second
    settle: float = 0.25  # a second look at the tasks after an event: the orchestrator acts after it
    excited: float = 5.0  # how long an event keeps the pace fast
    quiet: float = 60.0  # a motion in which nothing changes for so long is none: a task that fits on no node, say
    resync: float = 60.0  # between full listings, give or take 10 %
    grace: float = 2.0  # how late a message may be before its change counts as untold
    retry_min: float = 0.1  # back-off: doubles from here ...
    retry_max: float = 10.0  # ... to here
    head_start: float = 1.0  # how long the first listing waits for the best stream
    timeout: float = 10.0  # longest silence within one request

    def backoff(self, clock: Callable[[], float], rng: random.Random) -> Backoff:
        """Return a back-off at this pace, spread so that many lbgens do not come back at the same moment."""
        return Backoff(self.retry_min, self.retry_max, clock, lambda: rng.uniform(0.75, 1.25))


class Schedule:
    """Which kinds are due when. Kinds are those of `facts.KINDS`."""

    def __init__(self, pace: Pace, rng: random.Random, polled: frozenset[str]) -> None:
        """Everything is due at once. `polled`: kinds that nobody tells of, listed on a timer."""
        self._pace, self._rng, self.polled = pace, rng, polled
        self._wanted = set(ALL)
        self._excited_until = self._next_poll = self._next_full = 0.0
        self._rest_until = self._calm_until = 0.0
        self._event = self._urgent = False

    def heard(self, kinds: Iterable[str], now: float) -> None:
        """Something said that these kinds have changed."""
        if kinds := frozenset(kinds):
            self._wanted |= kinds
            self._excited_until = now + self._pace.excited
            self._event = True

    def want_all(self) -> None:
        """Everything is to be listed anew."""
        self._wanted |= ALL
        self._urgent = True

    def due(self) -> float:
        """Return when the next listing is due."""
        soonest = 0.0 if self._wanted else min(self._next_full, self._next_poll if self.polled else self._next_full)
        told_of = self._event and not self._urgent
        return max(soonest, self._rest_until, self._calm_until if told_of else 0.0)

    def begin(self, now: float) -> frozenset[str]:
        """Return the kinds to list now; they count as listed."""
        kinds = frozenset(self._wanted)
        if now >= self._next_full:
            kinds = ALL
        elif self.polled and now >= self._next_poll:
            kinds |= self.polled
        self._wanted.clear()
        return kinds

    def done(self, kinds: Iterable[str], started: float, now: float, moving: bool) -> None:
        """A listing of these kinds, begun at `started`, is complete; plan the next."""
        # Rest as long as the listing took, so that events in a burst do not keep the manager busy with us alone.
        self._rest_until = now + min(now - started, self._pace.slow)
        self._calm_until = now + self._pace.rest
        interval = self._pace.fast if moving or now < self._excited_until else self._pace.slow
        self._next_poll = now + (min(interval, self._pace.settle) if self._event else interval)
        self._event = self._urgent = False
        if frozenset(kinds) >= ALL:
            self._next_full = now + self._pace.resync * self._rng.uniform(0.9, 1.1)


class Drift:
    """Changes that a listing found and that should have been told, but were not.

    A message may come a little later than the listing that already shows its change: only after `grace` it counts.
    """

    def __init__(self, pace: Pace, covers: frozenset[str]) -> None:
        """Everything counts as told at first. `covers`: kinds of whose every change the stream should tell."""
        self._pace, self._covers = pace, covers
        self._told = ALL  # kinds of which was said that they changed, since they were listed
        self.suspects: dict[str, set[str]] = {}  # kind -> ids
        self._judged_at = math.inf

    def listed(self, kinds: Iterable[str], changes: Mapping[str, Collection[str]], now: float) -> None:
        """These kinds were listed, and these ids have changed, per kind."""
        for kind in self._covers - self._told:
            if changes.get(kind):
                self.suspects.setdefault(kind, set()).update(changes[kind])
                self._judged_at = now + self._pace.grace
        self._told -= frozenset(kinds)

    def heard(self, kinds: Iterable[str], changes: Iterable[Change] = ()) -> None:
        """The message was only under way: about anything of these kinds, or about single objects."""
        self._told |= frozenset(kinds)
        for kind in kinds:
            self.suspects.pop(kind, None)
        for change in changes:
            if (suspects := self.suspects.get(change.kind)) is not None:
                suspects.discard(change.id)
                if not suspects:
                    del self.suspects[change.kind]

    def due(self) -> float:
        """Return when there is something to judge."""
        return self._judged_at if self.suspects else math.inf

    def judged(self, now: float) -> dict[str, int]:
        """Return the untold changes per kind, once; empty while there are none or it is too early."""
        if now < self.due():
            return {}
        untold, self.suspects = self.suspects, {}
        return {kind: len(ids) for kind, ids in untold.items()}


def moving(facts: Facts) -> bool:
    """Tell whether Swarm has something under way: a service updating, or a task between states.

    Tasks of a node that is down or gone keep their state for a long time: nothing moves there.
    """
    services: Iterable[Service] = facts["services"].values()
    if any(service.update_state in ("updating", "rollback_started") for service in services):
        return True
    tasks: Iterable[Task] = facts["tasks"].values()
    for task in tasks:
        node = facts["nodes"].get(task.node_id)
        stuck = task.node_id != "" and (node is None or node.state == "down")
        if not stuck and _between_states(task.state, task.desired_state):
            return True
    return False


def _between_states(state: str, desired: str) -> bool:
    """A job's task has the desired state "complete", and may rightly run for hours before it is."""
    if desired in ("shutdown", "remove"):
        return state not in _OVER
    return desired != "complete" and not (state == desired == "running")
