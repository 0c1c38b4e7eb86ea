"""The edge's copy of a hub's facts; pure. What did not change keeps its identity, whichever hub it came from.

Hubs of one fleet do not learn everything in the same moment. After a change from one to another, a snapshot that is
older than what is known, by the cluster's own time stamps, is held for a while: the new hub is about to learn the rest.
"""

from __future__ import annotations

from dataclasses import replace

from lbgen.snapshot import Snapshot
from lbgen.source.hub import facts as wire
from lbgen.source.hub.messages import Changes, Message, Same, Whole

CATCH_UP = 3.0  # seconds that another hub has to learn what is known already


class Gap(Exception):
    """Changes to another state than the copy's: everything is needed. Never leaves lbgen/source/hub."""


class Replica:
    """What is in force, and what the hub of the moment has said."""

    def __init__(self, facts: Snapshot | None = None) -> None:
        self.facts = facts  # in force; None: nothing is known
        self.sequence = 0  # of the hub's, of what it has said; 0: nothing
        self._said: Snapshot | None = None
        self._until = 0.0  # by which what the hub says is in force in any case

    def digest(self) -> str:
        """Return the digest of what is in force, for a hub's greeting; empty: nothing is."""
        return wire.digest(wire.document(self.facts)) if self.facts else ""

    def connected(self, now: float) -> None:
        """Another connection begins: what it says first may be behind."""
        self.sequence, self._said, self._until = 0, None, now + CATCH_UP

    def take(self, message: Message, now: float) -> bool:
        """Take over a message; return whether what is in force is other than before, or was confirmed.

        Raises:
            SourceError: it cannot be read; nothing has changed.
            Gap: it is about another state than the copy's.
        """
        match message:
            case Same():
                self.sequence, self._said, self._until = message.sequence, self.facts, 0.0
                return self.facts is not None
            case Whole():
                self._said = self._identical(wire.snapshot(message.facts))
                self.sequence = message.sequence
            case Changes():
                if self._said is None or message.since != self.sequence:
                    raise Gap
                self._said = self._identical(wire.changed(self._said, message))
                self.sequence = message.sequence
            case _:
                return False
        return self._settle(now)

    def held_until(self) -> float | None:
        """Return when what is held is in force in any case; None: nothing is held."""
        return self._until if self._said is not None and self._said is not self.facts else None

    def settle(self, now: float) -> bool:
        """Put in force what has been held long enough; return whether there was something."""
        return self.held_until() is not None and self._settle(now)

    def _settle(self, now: float) -> bool:
        assert self._said is not None
        behind = self.facts is not None and now < self._until and wire.newest(self._said) < wire.newest(self.facts)
        if behind:
            return False
        self._until = 0.0  # it has caught up
        self.facts = self._said
        return True

    def _identical(self, facts: Snapshot) -> Snapshot:
        known = self.facts or Snapshot()
        return replace(wire.identical(known, facts), taken_at=facts.taken_at)
