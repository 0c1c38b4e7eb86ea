"""An edge, as a rollout is told of it: by this hub, or by another one that the edge is connected to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lbgen.hub.rollout_events import EdgeState


@dataclass(frozen=True)
class Seen:
    """An edge as a hub sees it."""

    connected: bool = False
    since: float = 0.0  # seconds since 1970: when it connected, or went away
    accept: tuple[str, ...] = ()
    ready: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)  # of its certificate
    fleet: Mapping[str, Any] = field(default_factory=dict)  # of its report: version, sequence, refused, error

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Seen:
        """Read another hub's report of an edge; raise KeyError, TypeError or ValueError."""
        accept, labels = tuple(map(str, said["accept"])), {str(key): str(text) for key, text in said["labels"].items()}
        return cls(
            said["connected"] is True, float(said["since"]), accept, said["ready"] is True, labels, dict(said["fleet"])
        )

    def state(self) -> EdgeState:
        """Return the part of the report that a rollout needs; a malformed report counts as none."""
        version, refused, error = (str(self.fleet.get(key, ""))[:4000] for key in ("version", "refused", "error"))
        number = self.fleet.get("sequence", 0)
        sequence = number if isinstance(number, int) and 0 <= number < 1 << 53 else 0
        return EdgeState(version, sequence, refused, error, self.ready, self.connected, self.accept)
