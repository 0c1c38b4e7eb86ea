"""Where the facts come from: each source is an iterator of complete snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from lbgen.snapshot import Snapshot


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
