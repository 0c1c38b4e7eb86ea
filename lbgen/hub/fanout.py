"""What each edge has to be told, decided from what it was told last; pure.

There is one log of what has changed, not a queue for each edge: an edge is a sequence number. Whatever has happened
since, it is told once, as it is now; edges at the same number are sent the same bytes, made once. An edge that is too
far behind is sent everything. So a slow edge costs a number, however slow it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.snapshot import Snapshot
from lbgen.source.facts import KINDS
from lbgen.source.hub import facts as wire
from lbgen.source.hub.change_log import MOST_KEYS, ChangeLog
from lbgen.source.hub.messages import Same, Whole, packed, written

MOST_OF_WHOLE = 0.5  # of all objects; changes to more are not worth telling one by one
FEW = 100  # objects that are told one by one, however few there are


@dataclass(frozen=True, slots=True)
class Payload:
    """One message, as it is sent to every edge that needs it."""

    data: str | bytes
    sequence: int  # the edge's, once it has it
    whole: bool


class Fanout:
    """The newest facts, and what has changed to them."""

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        self._log = ChangeLog(most_keys)
        self._made: dict[int, Payload] = {}  # of this sequence number, by the one that the edge is at
        self._whole: tuple[Payload, str] | None = None  # with its digest

    @property
    def facts(self) -> Snapshot | None:
        """The newest; None: nothing is known yet, and nobody is told anything."""
        return self._log.facts

    @property
    def sequence(self) -> int:
        """Grows with every change."""
        return self._log.sequence

    def publish(self, facts: Snapshot) -> bool:
        """Take over newer facts; return whether they differ. What is equal is the same object as before."""
        if not self._log.publish(facts):
            return False
        self._made.clear()
        self._whole = None
        return True

    def payload(self, at: int) -> Payload | None:
        """Return what an edge has to be told; None: nothing.

        Args:
            at: the sequence number of what it was told last; 0: nothing.
        """
        if self.facts is None or at == self.sequence:
            return None
        if at not in self._made:
            self._made[at] = self._changes(at) or self._everything()[0]
        return self._made[at]

    def greeting(self, holds: str) -> Payload | None:
        """Return the first thing that an edge is told; None: there is nothing yet.

        Args:
            holds: digest of what it has.
        """
        if self.facts is None:
            return None
        whole, digest = self._everything()
        if holds == digest:
            return Payload(written(Same(self.sequence, digest)), self.sequence, whole=False)
        return whole

    def _changes(self, at: int) -> Payload | None:
        """Return the changes since then; None: they are not known any more, or are about as large as everything."""
        assert self.facts is not None
        missed = self._log.missed(at)
        if missed is None:
            return None
        keys, parts = missed
        if len(keys) > FEW and len(keys) > MOST_OF_WHOLE * sum(len(getattr(self.facts, kind)) for kind in KINDS):
            return None
        told = wire.changes(self.facts, keys, at, self.sequence, parts=parts)
        return Payload(packed(written(told)), self.sequence, whole=False)

    def _everything(self) -> tuple[Payload, str]:
        assert self.facts is not None
        if self._whole is None:
            document = wire.document(self.facts)
            digest = wire.digest(document)
            text = written(Whole(self.sequence, digest, document))
            self._whole = Payload(packed(text), self.sequence, whole=True), digest
        return self._whole
