"""Where the facts come from: each source is an iterator of complete snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lbgen.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PartState:
    """How it goes with one source of facts, at one moment."""

    kind: str  # "docker", "file", "hosts", "hub", "offer"
    name: str = ""  # of the part, or of a member; empty: the one source, without a name
    mode: str = "none"  # how changes are learnt: push, events, polling (none is told), file; none: nothing answers
    endpoint: str = ""  # what is followed, or was last: an address, or files
    cluster: str = ""  # its id, once known
    failing: str = ""  # why nothing is learnt at the moment; empty: nothing is wrong
    failing_since: float | None = None  # seconds since 1970
    no_push: str = ""  # why changes are not pushed; empty while they are, or are not meant to be
    stream_age: float | None = None  # seconds since the stream last said anything, or began; None without one
    counts: Mapping[str, int] = field(default_factory=dict)  # drift, listings, reconnects, objects: what it counts
    facts: bool = True  # whether there are any of it: read, or known from an earlier run
    members: tuple[PartState, ...] = ()  # of what consists of several: hosts


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a certificate of a fleet is good for."""

    which: str  # "authority": the one that signs; "own": an edge's
    until: float  # seconds since 1970
    message: str = ""  # what is wrong with that; empty: nothing
    remedy: str = ""


class Source(Protocol):
    """What the loop needs from a source. `follow` runs in a thread of its own; the rest may be called from any."""

    def take(self) -> Snapshot:
        """Return one complete snapshot now, or raise SourceError."""

    def follow(self) -> Iterator[Snapshot]:
        """Yield a snapshot at once and one after each change, until `close`.

        A listing that fails yields nothing: the last snapshot stays true. What did not change is the same
        object as before, and `causes` says what did.
        """

    def relist(self) -> None:
        """Ask `follow` for a new, independent listing, which it yields even if nothing changed."""

    def close(self) -> None:
        """End `follow`, also while it waits."""

    def states(self) -> tuple[PartState, ...]:
        """Return how it goes with each of its parts; a source that has none is one itself."""
