"""How a new version goes through the fleet: canaries, a pause, then all others; back again where one does not take it.

A table of phases and events, and the record that outlives a restart. Pure: no clock, no files, no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where a rollout is."""

    IDLE = "idle"  # nothing was ever handed out
    CANARY = "canary"  # canaries have the new version, or are about to get it
    PAUSE = "pause"  # all canaries are ready with it
    REST = "rest"  # all others get it, too
    DONE = "done"  # every edge that is connected has it; others get it when they come
    STOPPED = "stopped"  # those that got it get the version before
    ROLLED_BACK = "rolled-back"  # they have it


class Event(StrEnum):
    """What may happen to a rollout. What happens to one edge is an event once it decides something."""

    NEW_VERSION = "new version"
    LAST_ACCEPTED = "last edge accepted"  # of those that the phase waits for
    EDGE_REFUSED = "edge refused"
    READINESS_FELL = "readiness fell"
    CANARY_GONE = "canary gone"
    PAUSE_OVER = "pause over"
    RESUME = "resume"
    ABORT = "abort"


_UNDER_WAY = (Phase.CANARY, Phase.PAUSE, Phase.REST)
_STOPS = (Event.EDGE_REFUSED, Event.READINESS_FELL, Event.ABORT)
TABLE: Mapping[tuple[Phase, Event], Phase] = {
    **{(phase, Event.NEW_VERSION): Phase.CANARY for phase in Phase},
    **{(phase, event): Phase.STOPPED for phase in _UNDER_WAY for event in _STOPS},
    (Phase.CANARY, Event.LAST_ACCEPTED): Phase.PAUSE,
    (Phase.CANARY, Event.RESUME): Phase.REST,  # somebody has looked, and waits for no canary any longer
    (Phase.PAUSE, Event.CANARY_GONE): Phase.CANARY,  # nobody knows whether it is ready: the pause begins again
    (Phase.PAUSE, Event.PAUSE_OVER): Phase.REST,
    (Phase.PAUSE, Event.RESUME): Phase.REST,
    (Phase.REST, Event.LAST_ACCEPTED): Phase.DONE,
    (Phase.DONE, Event.ABORT): Phase.STOPPED,  # a mistake that no edge has noticed
    (Phase.STOPPED, Event.LAST_ACCEPTED): Phase.ROLLED_BACK,
    (Phase.STOPPED, Event.RESUME): Phase.CANARY,
    (Phase.ROLLED_BACK, Event.RESUME): Phase.CANARY,
}


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout: what it is about, and how far it has come."""

    phase: Phase = Phase.IDLE
    version: str = ""  # of the fleet's directory
    before: str = ""  # of the directory that edges have meanwhile, and go back to; empty: none, their own files alone
    since: float = 0.0  # seconds since 1970: when this phase began
    reason: str = ""  # why it was stopped
    tried: frozenset[str] = field(default_factory=frozenset)  # edges that were handed the version
    sound: frozenset[str] = field(default_factory=frozenset)  # those of them that were ready then, or are since

    def after(self, event: Event, now: float, reason: str = "") -> Rollout:
        """Return it after an event other than a new version; the same where the event means nothing to the phase."""
        phase = TABLE.get((self.phase, event))
        if phase is None:
            return self
        changed = replace(self, phase=phase, since=now)
        if phase is Phase.STOPPED:
            return replace(changed, reason=reason or event.value)
        if event is Event.RESUME and self.phase in (Phase.STOPPED, Phase.ROLLED_BACK):
            return replace(changed, reason="", tried=frozenset(), sound=frozenset())
        return changed

    def of(self, version: str, now: float) -> Rollout:
        """Return the rollout of another version. One that was rolled out whole is what is gone back to."""
        before = self.version if self.phase is Phase.DONE else self.before
        return Rollout(TABLE[self.phase, Event.NEW_VERSION], version, before, now)

    def handed(self, edge: str, *, ready: bool) -> Rollout:
        """Note that an edge gets the version, or is ready with it."""
        if edge in self.tried and (not ready or edge in self.sound):
            return self
        return replace(self, tried=self.tried | {edge}, sound=self.sound | {edge} if ready else self.sound)

    def version_for(self, edge: str, canaries: frozenset[str]) -> str:
        """Return the directory's version that an edge is to have now; empty: its own file alone."""
        if self.phase in (Phase.REST, Phase.DONE):
            return self.version
        if self.phase in (Phase.CANARY, Phase.PAUSE) and (edge in canaries or edge in self.tried):
            return self.version
        return self.before

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "phase": self.phase.value, "tried": sorted(self.tried), "sound": sorted(self.sound)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Rollout:
        """Return what `document` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        version, before, reason = (str(document[key]) for key in ("version", "before", "reason"))
        tried, sound = (frozenset(map(str, document[key])) for key in ("tried", "sound"))
        return cls(Phase(document["phase"]), version, before, float(document["since"]), reason, tried, sound)
