"""What has changed to facts, and since when, for readers that are told only what is new; pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lbgen.snapshot import Snapshot
from lbgen.source.facts import KINDS, changed
from lbgen.source.hub.facts import Key

MOST_KEYS = 20_000  # objects in the log; who has missed more gets everything


@dataclass(frozen=True, slots=True)
class _Entry:
    sequence: int
    keys: frozenset[Key]
    parts: bool  # whether parts or their clusters have changed


class ChangeLog:
    """The newest facts, and which objects have changed up to them."""

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        self.facts: Snapshot | None = None
        self.sequence = 0  # grows with every change
        self._most_keys = most_keys
        self._entries: deque[_Entry] = deque()
        self._keys = 0  # in all entries

    def publish(self, facts: Snapshot) -> bool:
        """Take over newer facts; return whether they differ. What is equal is the same object as before."""
        before = self.facts
        keys = _differing(before, facts) if before else frozenset[Key]()
        parts = before is None or (before.cluster, before.parts) != (facts.cluster, facts.parts)
        if before and not keys and not parts:
            return False
        self.facts = facts
        self.sequence += 1
        self._entries.append(_Entry(self.sequence, keys, parts))
        self._keys += len(keys)
        while self._keys > self._most_keys or len(self._entries) > self._most_keys:
            self._keys -= len(self._entries.popleft().keys)
        return True

    def missed(self, at: int) -> tuple[frozenset[Key], bool] | None:
        """Return what has changed since a sequence number, and whether parts have; None: it is not known any more."""
        entries = [entry for entry in self._entries if entry.sequence > at]
        if not at or at > self.sequence or len(entries) != self.sequence - at:
            return None
        return frozenset[Key]().union(*(entry.keys for entry in entries)), any(entry.parts for entry in entries)


def _differing(before: Snapshot, facts: Snapshot) -> frozenset[Key]:
    kinds = {kind: (getattr(before, kind), getattr(facts, kind)) for kind in KINDS}
    return frozenset((kind, id_) for kind, (old, new) in kinds.items() for id_ in changed(old, new))
