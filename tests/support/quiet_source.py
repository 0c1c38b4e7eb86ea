"""A source that tells of nothing: tests hand the loop their snapshots themselves."""

from __future__ import annotations

from collections.abc import Iterator

from lbgen.snapshot import Snapshot
from lbgen.source import PartState, Source


class QuietSource(Source):
    """It follows nothing."""

    def take(self) -> Snapshot:
        """Fail: the loop only follows its source, and a test in which something else is asked for has to fail."""
        raise AssertionError("the loop takes no single snapshot")

    def follow(self) -> Iterator[Snapshot]:
        """Tell of nothing."""
        return iter(())

    def relist(self) -> None:
        """Tell of nothing again."""

    def close(self) -> None:
        """End nothing."""

    def states(self) -> tuple[PartState, ...]:
        """Tell of nothing that goes on."""
        return (PartState("file", mode="file"),)
