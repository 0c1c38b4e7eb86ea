"""What follows for a rollout from what the edges say. Pure.

An edge takes part if its own file accepts anything; what others are handed is not its business, nor does it hold a
rollout up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lbgen.hub.rollout import Event, Phase, Rollout

SETTLE = 10.0  # seconds: a hub that has just begun knows no edge; they come within seconds


@dataclass(frozen=True, slots=True)
class EdgeState:
    """One edge, as it last said."""

    version: str = ""  # of the bundle that it has in force; empty: its own file alone
    sequence: int = 0  # of what it was handed last, whether it took it or not
    refused: str = ""  # version of the bundle that it refused
    error: str = ""  # why
    ready: bool = False  # its proxies serve what they should
    connected: bool = False
    accept: tuple[str, ...] = ()  # what its own file accepts

    def has(self, version: str) -> bool:
        """Tell whether a version of the bundle is in force there now."""
        return self.connected and self.version == version


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that a rollout's next step depends on."""

    rollout: Rollout
    edges: Mapping[str, EdgeState]
    canaries: frozenset[str]
    wanted: Callable[[str], str]  # the version of the bundle that an edge is to have now
    pause: float  # seconds
    began: float  # seconds since 1970: since when this hub has been able to see edges

    def next_event(self, now: float) -> tuple[Event, str] | None:
        """Return what has happened, and why; None: nothing that decides anything."""
        phase = self.rollout.phase
        if phase in (Phase.CANARY, Phase.PAUSE, Phase.REST) and (trouble := next(self._troubles(), None)):
            return trouble
        if phase is Phase.PAUSE and self.awaited():
            return Event.CANARY_GONE, ""
        if (due := self.due()) is not None and due <= now:
            return (Event.PAUSE_OVER if phase is Phase.PAUSE else Event.LAST_ACCEPTED), ""
        return None

    def due(self) -> float | None:
        """Return when something happens if nobody says anything, in seconds since 1970; None: never."""
        rollout = self.rollout
        if rollout.phase is Phase.PAUSE:
            return rollout.since + self.pause
        if rollout.phase not in (Phase.CANARY, Phase.REST, Phase.STOPPED) or self.awaited():
            return None
        return max(rollout.since, self.began + SETTLE) if rollout.phase is not Phase.CANARY else rollout.since

    def awaited(self) -> dict[str, str]:
        """Return the edges that the phase waits for, and for what each."""
        match self.rollout.phase:
            case Phase.CANARY | Phase.PAUSE:
                return dict(self._canaries())
            case Phase.REST:
                return {name: "has not taken it yet" for name in self._parties() if not self._took(name)}
            case Phase.STOPPED:
                tried = (name for name in self._parties() if name in self.rollout.tried)
                return {name: "has not gone back yet" for name in tried if not self._is_back(name)}
        return {}

    def to_hand_out(self) -> list[str]:
        """Return the edges that have something else than they are to have, and have not refused that."""
        other = [name for name in self._parties() if self.edges[name].version != self.wanted(name)]
        return [name for name in other if not self._has_refused(name)]

    def _has_refused(self, name: str) -> bool:
        """Tell whether there is no use in handing an edge the same once more. With a resume there is."""
        wanted, rollout = self.wanted(name), self.rollout
        again = rollout.version_for(name, self.canaries) == rollout.version and name not in rollout.tried
        return bool(wanted) and self.edges[name].refused == wanted and not again

    def _parties(self) -> list[str]:
        """Return the connected edges that take part."""
        return sorted(name for name, state in self.edges.items() if state.connected and state.accept)

    def _troubles(self) -> Iterator[tuple[Event, str]]:
        for name in sorted(self.rollout.tried & self.edges.keys()):
            state, wanted = self.edges[name], self.wanted(name)
            if wanted and state.refused == wanted:
                yield Event.EDGE_REFUSED, f"{name} refused it: {state.error}"
            if state.has(wanted) and not state.ready and name in self.rollout.sound:
                yield Event.READINESS_FELL, f"{name} is no longer ready with it"

    def _canaries(self) -> Iterator[tuple[str, str]]:
        """Yield the canaries that are not ready with what they are to have."""
        known = {name: self.edges.get(name, EdgeState()) for name in sorted(self.canaries)}
        nobody = not any(state.accept for state in known.values())
        for name, state in known.items():
            if not state.connected:
                yield name, "is not connected"
            elif not state.accept:
                if nobody:
                    yield name, "accepts nothing from a hub (source.hub.accept)"
            elif not state.has(self.wanted(name)):
                yield name, "has not taken it yet"
            elif not state.ready:
                yield name, "is not ready"

    def _took(self, name: str) -> bool:
        return self.edges[name].has(self.wanted(name))

    def _is_back(self, name: str) -> bool:
        state, wanted = self.edges[name], self.wanted(name)
        return state.has(wanted) or (bool(wanted) and state.refused == wanted)
