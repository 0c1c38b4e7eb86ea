"""What became of a target's attempts: how far it is with the newest model, and what was changed, when and why."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from lbgen.base.logs import log
from lbgen.model import Model
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

    def tell(self, model: Model) -> None:
        """Log it, with what the proxy serves now."""
        causes = self.causes
        log.info(
            "applied",
            target=self.target,
            method=self.method,
            detail=self.detail,
            cause=causes[0].text + (f" and {len(causes) - 1} more" if causes[1:] else "") if causes else "",
            servers_up=sum(server.state == "up" for server in model.servers),
            servers_draining=sum(server.state == "drain" for server in model.servers),
            problems=sum(not problem.note for problem in model.problems),
            duration_ms=round(self.seconds * 1000, 1),
            lag_ms=round(max(self.lags) * 1000, 1) if causes else None,
            generation=self.generation,
        )


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


class State(Enum):
    """What has become of the newest model."""

    NEW = auto()  # nothing was served yet, and nothing has failed
    LIVE = auto()  # the proxy serves it
    WAITING = auto()  # it waits for its time, after one that was live
    REFUSED = auto()  # a template or the checker refuses it, or refused one before it
    FAILED = auto()  # it, or one before it, could not be applied


class Event(Enum):
    """How an attempt ended."""

    SERVED = auto()
    POSTPONED = auto()  # it has to wait for its time
    REFUSED = auto()
    FAILED = auto()


AFTER: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.SERVED): State.LIVE,
    (State.NEW, Event.POSTPONED): State.NEW,
    (State.NEW, Event.REFUSED): State.REFUSED,
    (State.NEW, Event.FAILED): State.FAILED,
    (State.LIVE, Event.SERVED): State.LIVE,
    (State.LIVE, Event.POSTPONED): State.WAITING,
    (State.LIVE, Event.REFUSED): State.REFUSED,
    (State.LIVE, Event.FAILED): State.FAILED,
    (State.WAITING, Event.SERVED): State.LIVE,
    (State.WAITING, Event.POSTPONED): State.WAITING,
    (State.WAITING, Event.REFUSED): State.REFUSED,
    (State.WAITING, Event.FAILED): State.FAILED,
    (State.REFUSED, Event.SERVED): State.LIVE,
    (State.REFUSED, Event.POSTPONED): State.REFUSED,  # what waits may be refused as well
    (State.REFUSED, Event.REFUSED): State.REFUSED,
    (State.REFUSED, Event.FAILED): State.FAILED,
    (State.FAILED, Event.SERVED): State.LIVE,
    (State.FAILED, Event.POSTPONED): State.FAILED,  # the retry waits
    (State.FAILED, Event.REFUSED): State.REFUSED,
    (State.FAILED, Event.FAILED): State.FAILED,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of one target, with what is remembered of how it came to it."""

    state: State = State.NEW
    ready: bool = False  # a model was live once
    failure: Failure | None = None  # the last one, over or not
    refusal: str = ""  # the last one that was reported since a model was live

    @property
    def failing(self) -> bool:
        """Whether something has failed since a model was live."""
        return self.state in (State.REFUSED, State.FAILED)

    def after(self, event: Event, failure: Failure | None = None) -> Progress:
        """Return it after an attempt that ended so."""
        state = AFTER[self.state, event]
        if state is State.LIVE:
            return replace(self, state=state, ready=True, refusal="")
        refusal = failure.error if failure and event is Event.REFUSED else self.refusal
        return replace(self, state=state, failure=failure or self.failure, refusal=refusal)
