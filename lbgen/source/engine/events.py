"""Learning that something changed from the engine's event stream.

The stream tells of services, nodes, networks, secrets and configs, never of tasks (seen, engine 20.10, and read in
moby). It can end, break or go silent, and it loses events when read slowly: it only says when to list, never what.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from lbgen.base.errors import SourceError
from lbgen.source.engine.api import Engine
from lbgen.source.mailbox import Signals

# What to list again after an event. Tasks follow from services and nodes, though no event says so.
KINDS = {
    "service": frozenset({"services", "tasks"}),
    "node": frozenset({"nodes", "tasks"}),
    "network": frozenset({"networks", "tasks"}),
    "secret": frozenset[str](),
    "config": frozenset[str](),
}
_OVERLAP = 2.0  # seconds of the past to ask for: the engine's clock is only known to the second


class Changes(Protocol):
    """One stream of changes: subscribed from the moment it is `ready` until it is closed.

    It tells `Signals` which kinds to list again, or what objects have become. When it gets ready, or ends by itself
    and sets `ended`, it wakes the follower.
    """

    covers: frozenset[str]  # kinds of whose every change it should tell

    @property
    def ready(self) -> bool:
        """Whether whatever changes from now on will be told: the moment to list."""

    @property
    def ended(self) -> str:
        """Why it ended; empty while it goes on."""

    @property
    def last(self) -> float:
        """When it last said anything, else when it began (monotonic seconds)."""

    def close(self) -> None:
        """Stop telling; returns at once, also while the stream hangs."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of learning of changes."""

    mode: str  # a name for metrics and log: "push", "events"
    subscribe: Callable[[Engine, Signals], Changes]  # raises SourceError where there is no such stream to be had


class NotOffered(SourceError):
    """There is no such stream, and nobody had promised one. What the next best way gives is all there is."""


class Events:
    """`Changes` by way of ``GET /events``."""

    covers = frozenset({"services", "nodes", "networks"})
    ready = True

    def __init__(self, engine: Engine, signals: Signals) -> None:
        """Subscribe; raise SourceError if the engine refuses."""
        filters = {"type": sorted(KINDS), "scope": ["swarm"]}
        # The engine sends its headers just before it subscribes us; asking for the last moments closes that gap.
        since = f"{engine.now() - _OVERLAP:.0f}"
        self._stream = engine.stream("/events", {"filters": json.dumps(filters), "since": since})
        self._signals = signals
        self.ended = ""
        self.last = time.monotonic()
        threading.Thread(target=self._read, name="lbgen-source-events", daemon=True).start()

    def close(self) -> None:
        self.ended = self.ended or "closed"
        self._stream.end()

    def _read(self) -> None:
        try:
            with closing(self._stream.lines()) as lines:
                for line in lines:
                    self.last = time.monotonic()
                    self._signals.tell(kinds_of(line))
            reason = "the engine ended it"
        except SourceError as error:
            reason = str(error)
        self.ended = self.ended or reason
        self._signals.tell()


EVENTS = Way("events", Events)


def kinds_of(line: bytes) -> frozenset[str]:
    """Return the kinds that one line of the stream says have changed; SourceError if it is no event.

    Shape: ``{"Type": "service", "Action": "update", "Actor": {"ID": ..., "Attributes": {...}}, "scope": "swarm",
    "time": ..., "timeNano": ...}``.
    """
    try:
        return KINDS.get(json.loads(line)["Type"], frozenset())
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"not an event: {line[:80]!r}") from error
